/* Lets an operation on the files of a program's data directory fail: put before the C library with LD_PRELOAD.
 *
 * FLOWKIT_FAULTS_IN is the directory, FLOWKIT_FAULTS_AT the how-manieth operation fails, from 1 (0: none does), and with FLOWKIT_FAULTS_EVER all after it do, too.
 * FLOWKIT_FAULTS_WITH is the number of the error. FLOWKIT_FAULTS_REPORT is a file that says at the end how many operations there were, and which failed
 * first. With FLOWKIT_FAULTS_READS, reads are counted as well. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long operations;
static atomic_flag told = ATOMIC_FLAG_INIT;
static char first[PATH_MAX + 32];

static long number(const char *name) {
    const char *said = getenv(name);
    return said ? atol(said) : 0;
}

static int is_inside(const char *path) {
    const char *directory = getenv("FLOWKIT_FAULTS_IN");
    return directory && path && strncmp(path, directory, strlen(directory)) == 0;
}

/* Whether this operation fails. */
static int fails(const char *what, const char *path) {
    if (!is_inside(path)) return 0;
    long nth = atomic_fetch_add(&operations, 1) + 1, at = number("FLOWKIT_FAULTS_AT");
    if (!at || nth < at || (nth > at && !getenv("FLOWKIT_FAULTS_EVER"))) return 0;
    if (!atomic_flag_test_and_set(&told))
        snprintf(first, sizeof first, "%s %s", what, path + strlen(getenv("FLOWKIT_FAULTS_IN")));
    errno = (int)number("FLOWKIT_FAULTS_WITH");
    return 1;
}

static int fails_on(const char *what, int file) {
    char link[64], path[PATH_MAX];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = before;
    if (size < 0) return 0;
    path[size] = 0;
    return fails(what, path);
}

static int fails_reading(int file) {
    return getenv("FLOWKIT_FAULTS_READS") && fails_on("read", file);
}

__attribute__((destructor)) static void report(void) {
    const char *path = getenv("FLOWKIT_FAULTS_REPORT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%ld %s\n", atomic_load(&operations), first);
    fclose(file);
}

#define REALLY(type, name, ...) type (*really)(__VA_ARGS__) = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REALLY(int, #name, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return fails("open", path) ? -1 : really(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        REALLY(int, #name, int, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return fails("open", path) ? -1 : really(at, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int file, const void *bytes, size_t size) {
    REALLY(ssize_t, "write", int, const void *, size_t);
    return fails_on("write", file) ? -1 : really(file, bytes, size);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    REALLY(ssize_t, "writev", int, const struct iovec *, int);
    return fails_on("write", file) ? -1 : really(file, parts, count);
}

#define PWRITE(name, offset_type) \
    ssize_t name(int file, const void *bytes, size_t size, offset_type offset) { \
        REALLY(ssize_t, #name, int, const void *, size_t, offset_type); \
        return fails_on("write", file) ? -1 : really(file, bytes, size, offset); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t read(int file, void *bytes, size_t size) {
    REALLY(ssize_t, "read", int, void *, size_t);
    return fails_reading(file) ? -1 : really(file, bytes, size);
}

#define PREAD(name, offset_type) \
    ssize_t name(int file, void *bytes, size_t size, offset_type offset) { \
        REALLY(ssize_t, #name, int, void *, size_t, offset_type); \
        return fails_reading(file) ? -1 : really(file, bytes, size, offset); \
    }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

#define TRUNCATE(name, offset_type) \
    int name(int file, offset_type size) { \
        REALLY(int, #name, int, offset_type); \
        return fails_on("truncate", file) ? -1 : really(file, size); \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int fsync(int file) {
    REALLY(int, "fsync", int);
    return fails_on("sync", file) ? -1 : really(file);
}

int fdatasync(int file) {
    REALLY(int, "fdatasync", int);
    return fails_on("sync", file) ? -1 : really(file);
}

int sync_file_range(int file, off64_t offset, off64_t size, unsigned flags) {
    REALLY(int, "sync_file_range", int, off64_t, off64_t, unsigned);
    return fails_on("sync", file) ? -1 : really(file, offset, size, flags);
}

int rename(const char *from, const char *to) {
    REALLY(int, "rename", const char *, const char *);
    return fails("rename", from) ? -1 : really(from, to);
}

int unlink(const char *path) {
    REALLY(int, "unlink", const char *);
    return fails("unlink", path) ? -1 : really(path);
}

int mkdir(const char *path, mode_t mode) {
    REALLY(int, "mkdir", const char *, mode_t);
    return fails("mkdir", path) ? -1 : really(path, mode);
}
