//! Flows that take secrets, and names that are in the way of how they are given.

use flowkit::Secret;
use flowkit::cli::{Cli, Exit};
use flowkit::prelude::*;
use serde::Deserialize;

use crate::said::{json, say_in, say_with};

#[flow]
async fn signed(token: Secret<String>) -> Result<usize> {
    Ok(token.expose_secret().len())
}

/// Says nothing of its form.
#[derive(Debug, Clone, Deserialize)]
struct Opaque(u64);

/// Its other parameter has the name of how the first is given.
#[flow]
async fn crowded(pin: Secret<Opaque>, pin_file: String, note: Secret<Option<String>>) -> Result<String> {
    let note = note.expose_secret().as_deref().unwrap_or("none");
    Ok(format!("{} {pin_file} {note}", pin.expose_secret().0))
}

#[tokio::test]
async fn a_secret_that_is_typed_is_never_shown_again() {
    let directory = tempfile::tempdir().unwrap();
    let typed = ["run", "signed", "--token", "1234567"];
    let said = say_with(Cli::new(), directory.path(), &typed).await;
    assert_eq!(
        (said.exit, said.out.trim()),
        (Exit::Completed, "7"),
        "{}",
        said.err
    );
    assert!(
        said.err.starts_with("warning: `--token` shows the secret"),
        "{}",
        said.err
    );
    for command in [
        &["show", "last"][..],
        &["show", "last", "--json"],
        &["logs", "last"],
        &["graph", "last"],
    ] {
        let shown = say_in(directory.path(), command).await;
        assert_eq!(shown.exit, Exit::Completed, "{}", shown.err);
        assert!(!shown.out.contains("1234567"), "{}", shown.out);
    }
}

#[tokio::test]
async fn a_secret_of_any_type_is_known_as_one_and_a_parameter_keeps_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let pin = directory.path().join("pin");
    std::fs::write(&pin, "42\r\n").unwrap();
    let pin = pin.to_str().unwrap();
    let given = [
        "run",
        "crowded",
        "--pin",
        "7",
        "--pin-file",
        "mine",
        "--note-file",
        pin,
    ];
    let said = say_in(directory.path(), &given).await;
    assert_eq!(
        (said.exit, said.out.trim()),
        (Exit::Completed, "7 mine 42"),
        "{}",
        said.err
    );
    let without = say_in(
        directory.path(),
        &["run", "crowded", "--pin", "7", "--pin-file", "mine"],
    )
    .await;
    assert_eq!(without.out.trim(), "7 mine none", "{}", without.err);

    let flows = json(directory.path(), &["list"]).await;
    let crowded = flows
        .as_array()
        .unwrap()
        .iter()
        .find(|flow| flow["name"] == "crowded")
        .unwrap();
    let parameters = &crowded["parameters"]["properties"];
    assert_eq!(parameters["pin"]["writeOnly"], true);
    assert_eq!(parameters["note"]["writeOnly"], true);
    assert_eq!(parameters["pin_file"].get("writeOnly"), None);
}
