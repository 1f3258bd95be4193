//! The example as a process, and what it said.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// How the program ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// The figures of the genotypes that grew fastest.
    pub(crate) fn figures(&self) -> Vec<&str> {
        self.out.lines().filter(|line| line.contains('±')).collect()
    }
}

/// Where the program is, built from what it is now.
fn executable() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // target/PROFILE/deps/ends-…
        let this = std::env::current_exe().unwrap();
        let profile = this.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let example = "build -q -p flowkit-examples --features servers --example plant_phenotyping";
        cargo
            .args(example.split(' '))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .arg("--target-dir")
            .arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the example is not built");
        let name = format!("plant_phenotyping{}", std::env::consts::EXE_SUFFIX);
        profile.join("examples").join(name)
    })
}

/// The program in a directory of its own, with what the environment says of a bucket.
#[derive(Clone)]
pub(crate) struct Program {
    directory: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Program {
    pub(crate) fn new(directory: &Path, endpoint: &str, secret: &str) -> Self {
        let environment = [
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_REGION", "us-east-1"),
            ("FLOWKIT_HOME", "home"),
        ];
        Self {
            directory: directory.to_owned(),
            environment: environment.map(|(name, value)| (name, value.to_owned())).to_vec(),
        }
    }

    /// The same, where nothing says who one is, and no machine of Amazon's does.
    pub(crate) fn unknown(&self) -> Self {
        let mut unknown = self.clone();
        unknown.environment.retain(|(name, _)| !name.contains("KEY"));
        let nobody = ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1".to_owned());
        unknown.environment.push(nobody);
        unknown
    }

    /// The same, where the environment says something more.
    pub(crate) fn with(&self, name: &'static str, value: String) -> Self {
        let mut with = self.clone();
        with.environment.push((name, value));
        with
    }

    /// Runs it with these ends, and waits for its end without blocking the servers of this process.
    pub(crate) async fn run(&self, source: Option<&str>, destination: &str) -> Said {
        let mut command = Command::new(executable());
        command
            .current_dir(&self.directory)
            .args(["--destination", destination]);
        command.args(source.map(|source| ["--source", source]).into_iter().flatten());
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("AWS_") || name.starts_with("AZURE_"))
        {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
