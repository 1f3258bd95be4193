//! Damage to the files of a store, as disks and people do it: the journal's tests hurt theirs in the same way.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Every file below a directory, in order.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub(crate) fn copy_all(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

/// Numbers that look random, the same each time.
pub(crate) fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    }
}

/// Damages a file: flips bits, cuts it off, zeroes or swaps pages, deletes it or puts a directory in its place. Says what it did.
pub(crate) fn damage(file: &Path, mut random: impl FnMut(usize) -> usize) -> String {
    let mut bytes = fs::read(file).unwrap();
    let length = bytes.len();
    let what = random(8);
    match what {
        0..=2 if length > 0 => {
            for _ in 0..=random(1 + what * 8) {
                let at = random(length);
                bytes[at] ^= 1 << random(8);
            }
        }
        3 => bytes.truncate(random(length)),
        4 => {
            let at = random(length) / 4_096 * 4_096;
            let end = (at + 4_096).min(length);
            bytes[at..end].fill(0);
        }
        5 if length > 8_192 => {
            let (a, b) = (random(length / 4_096) * 4_096, random(length / 4_096) * 4_096);
            let page = bytes[a..a + 4_096].to_vec();
            bytes.copy_within(b..b + 4_096, a);
            bytes[b..b + 4_096].copy_from_slice(&page);
        }
        6 => {
            fs::remove_file(file).unwrap();
            return format!("{} is gone", file.display());
        }
        7 if random(4) == 0 => {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
            return format!("{} is a directory", file.display());
        }
        _ => {}
    }
    fs::write(file, bytes).unwrap();
    format!("{}: damage {what}", file.display())
}

/// How many stores are damaged, `FLOWKIT_TRIALS` of them or so many.
pub(crate) fn trials(usual: u64) -> u64 {
    std::env::var("FLOWKIT_TRIALS").map_or(usual, |trials| trials.parse().unwrap())
}

/// Says how long the openings took.
pub(crate) fn tell(what: &str, mut openings: Vec<Duration>) {
    openings.sort_unstable();
    let (median, longest) = (openings[openings.len() / 2], openings[openings.len() - 1]);
    println!(
        "{what}: {} openings, the longest {longest:?}, the median {median:?}",
        openings.len()
    );
}
