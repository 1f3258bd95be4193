//! What a command line said, within the process of the test.

use std::path::Path;

use flowkit::cli::{Cli, Exit};
use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) exit: Exit,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) async fn say_with(cli: Cli, directory: &Path, arguments: &[&str]) -> Said {
    let directory = directory.to_str().unwrap();
    let start = ["program", "--data-dir", directory];
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = cli.run(start.iter().chain(arguments), &mut out, &mut err).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said {
        exit,
        out: text(out),
        err: text(err),
    }
}

/// Says something of a directory that is there.
pub(crate) async fn say_in(directory: &Path, arguments: &[&str]) -> Said {
    say_with(Cli::new(), directory, arguments).await
}

/// Says something in a directory of its own.
pub(crate) async fn say(arguments: &[&str]) -> Said {
    let directory = tempfile::tempdir().unwrap();
    say_in(directory.path(), arguments).await
}

/// What a command that must be done prints as JSON.
pub(crate) async fn json(directory: &Path, arguments: &[&str]) -> Value {
    let said = say_in(directory, &[arguments, &["--json"]].concat()).await;
    assert_eq!(said.exit, Exit::Completed, "{arguments:?}: {said:?}");
    serde_json::from_str(&said.out).unwrap()
}
