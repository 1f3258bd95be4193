//! The example `operate` as a process, and what it said.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// The program and a data directory of its own.
pub(crate) struct Program {
    directory: TempDir,
}

/// How a command ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Where the program is, built from what it is now: an example is not rebuilt for a test that is run alone, and one from yesterday would prove nothing.
fn executable() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // target/PROFILE/deps/operate-…
        let this = std::env::current_exe().unwrap();
        let profile = this.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args([
                "build",
                "-q",
                "-p",
                "flowkit-examples",
                "--features",
                "operate",
                "--example",
                "operate",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .arg("--target-dir")
            .arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the example is not built");
        profile
            .join("examples")
            .join(format!("operate{}", std::env::consts::EXE_SUFFIX))
    })
}

impl Program {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// A path in its directory, apart from its data.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(executable());
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("FLOWKIT_HOME", self.data_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn say(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().unwrap())
    }

    /// Runs a command that must succeed, and reads what it prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let said = self.say(&[arguments, &["--json"]].concat());
        assert_eq!(said.code, Some(0), "{arguments:?}: {said:?}");
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said:?}"))
    }

    /// Begins a command, and gives it beside what `show last` says of its run once that is as wanted.
    pub(crate) fn begin(&self, arguments: &[&str], wanted: impl Fn(&Value) -> bool) -> (Child, Value) {
        let mut child = self.command(arguments).spawn().unwrap();
        loop {
            let shown = self.say(&["show", "last", "--json"]);
            if let Ok(run) = serde_json::from_str::<Value>(&shown.out)
                && wanted(&run)
            {
                return (child, run);
            }
            if child.try_wait().unwrap().is_some() {
                panic!("it ended: {:?}", Said::of(child.wait_with_output().unwrap()));
            }
        }
    }
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let said = Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        assert!(!said.err.contains("panicked"), "{said:?}");
        said
    }
}

/// The task runs of a run that completed.
pub(crate) fn completed(run: &Value) -> Vec<&Value> {
    let tasks = run["tasks"].as_array().unwrap();
    tasks.iter().filter(|task| task["state"] == "Completed").collect()
}
