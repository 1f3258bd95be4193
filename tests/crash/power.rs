//! Power failures: of what the program wrote, only what it had synced is there in its next life.
//!
//! A kill alone keeps what the system has in memory, and so proves nothing about syncing. Here a library before the C library keeps an image of what was
//! synced, and after each kill the image takes the place of the directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::library::Library;

/// Keeps images.
pub(crate) struct PowerFailures(Library);

impl PowerFailures {
    pub(crate) fn new() -> Self {
        Self(Library::compile("power"))
    }

    /// Has the program keep an image of its data. What is there already is on the disk.
    pub(crate) fn watch(&self, program: &mut Command, directory: &Path) {
        let (data, image) = places(directory);
        if data.exists() {
            copy(&data, &image);
        } else {
            std::fs::create_dir_all(&image).unwrap();
        }
        self.0.put_before(program);
        program
            .env("FLOWKIT_POWER_FROM", &data)
            .env("FLOWKIT_POWER_TO", &image);
    }

    /// The power fails: what was not synced is gone.
    pub(crate) fn fail(directory: &Path) {
        let (data, image) = places(directory);
        if data.exists() {
            std::fs::remove_dir_all(&data).unwrap();
        }
        std::fs::rename(image, data).unwrap();
    }

    /// The power did not fail.
    pub(crate) fn spare(directory: &Path) {
        std::fs::remove_dir_all(places(directory).1).unwrap();
    }
}

fn places(directory: &Path) -> (PathBuf, PathBuf) {
    let directory = directory.canonicalize().unwrap();
    (directory.join("data"), directory.join("image"))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).unwrap();
        }
    }
}
