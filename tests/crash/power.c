/* Keeps an image of what a program has synced, which is all that a power failure would leave: put before the C library with LD_PRELOAD.
 *
 * A file is in the image as it was when it was last synced. It is there under another name, or no longer, once the directory was synced in which it was
 * renamed or deleted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST 4096
/* What happened to names, in order; what was deleted has no other. */
static struct { char from[PATH_MAX], to[PATH_MAX]; } changed[MOST];
static int pending;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The place in the image of a file of the program's directory; 0 for any other file. */
static int in_image(const char *path, char *place) {
    const char *from = getenv("FLOWKIT_POWER_FROM"), *to = getenv("FLOWKIT_POWER_TO");
    if (!from || !to || strncmp(path, from, strlen(from)) != 0) return 0;
    return snprintf(place, PATH_MAX, "%s%s", to, path + strlen(from)) < PATH_MAX;
}

static void make_parents(const char *place) {
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", place);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(part, 0700);
        *slash = '/';
    }
}

static void keep_file(const char *path, const char *place) {
    char part[PATH_MAX + 8], buffer[1 << 16];
    make_parents(place);
    snprintf(part, sizeof part, "%s.part", place);
    int in = open(path, O_RDONLY), out = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t size;
    while (in >= 0 && out >= 0 && (size = read(in, buffer, sizeof buffer)) > 0)
        if (write(out, buffer, size) != size) abort();
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    int (*really)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    if (in >= 0 && out >= 0) really(part, place);
}

static void keep_names(const char *directory) {
    int (*rename_really)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    int (*unlink_really)(const char *) = dlsym(RTLD_NEXT, "unlink");
    size_t length = strlen(directory);
    int left = 0;
    for (int i = 0; i < pending; i++) {
        const char *name = changed[i].to[0] ? changed[i].to : changed[i].from, *slash = strrchr(name, '/');
        char from[PATH_MAX], to[PATH_MAX];
        if (!slash || (size_t)(slash - name) != length || strncmp(name, directory, length)) {
            changed[left++] = changed[i];
            continue;
        }
        if (!in_image(changed[i].from, from)) continue;
        if (!changed[i].to[0]) unlink_really(from);
        else if (in_image(changed[i].to, to)) {
            make_parents(to);
            rename_really(from, to);
        }
    }
    pending = left;
}

static void note_name(const char *from, const char *to) {
    char place[PATH_MAX];
    if (!in_image(from, place)) return;
    pthread_mutex_lock(&lock);
    if (pending < MOST) {
        snprintf(changed[pending].from, PATH_MAX, "%s", from);
        snprintf(changed[pending].to, PATH_MAX, "%s", to);
        pending++;
    }
    pthread_mutex_unlock(&lock);
}

static void synced(int file) {
    char link[64], path[PATH_MAX], place[PATH_MAX];
    struct stat kind;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0 || fstat(file, &kind)) return;
    path[size] = 0;
    if (!in_image(path, place)) return;
    pthread_mutex_lock(&lock);
    if (S_ISDIR(kind.st_mode)) keep_names(path);
    else if (S_ISREG(kind.st_mode)) keep_file(path, place);
    pthread_mutex_unlock(&lock);
}

int fsync(int file) {
    int (*really)(int) = dlsym(RTLD_NEXT, "fsync");
    int outcome = really(file);
    if (outcome == 0) synced(file);
    return outcome;
}

int fdatasync(int file) {
    int (*really)(int) = dlsym(RTLD_NEXT, "fdatasync");
    int outcome = really(file);
    if (outcome == 0) synced(file);
    return outcome;
}

int rename(const char *from, const char *to) {
    int (*really)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    int outcome = really(from, to);
    if (outcome == 0) note_name(from, to);
    return outcome;
}

int unlink(const char *path) {
    int (*really)(const char *) = dlsym(RTLD_NEXT, "unlink");
    int outcome = really(path);
    if (outcome == 0) note_name(path, "");
    return outcome;
}
