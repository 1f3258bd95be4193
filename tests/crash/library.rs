//! Libraries that are put before the C library of a program, compiled for the test.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A library that is there as long as this is.
pub(crate) struct Library {
    _directory: tempfile::TempDir,
    file: PathBuf,
}

impl Library {
    /// Compiles the one whose source has this name.
    pub(crate) fn compile(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(name).with_extension("so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("crash").join(name);
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&file)
            .arg(source.with_extension("c"))
            .args(["-ldl", "-lpthread"])
            .status()
            .unwrap();
        assert!(compiled.success(), "a C compiler is needed to play failures");
        Self {
            _directory: directory,
            file,
        }
    }

    pub(crate) fn put_before(&self, program: &mut Command) {
        program.env("LD_PRELOAD", &self.file);
    }
}
