//! Flows that are run: parameters of all sorts, and runtimes that a program describes.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};

use flowkit::cli::{Cli, Exit};
use flowkit::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::said::{say, say_with};

/// A type that says nothing of its form.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Span {
    from: u32,
    to: u32,
}

/// One that is a text, and does not say so.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Code(String);

#[flow]
async fn sorts(
    wide: bool,
    shift: i64,
    code: Code,
    span: Span,
    many: Vec<Vec<u8>>,
    r#type: Option<String>,
) -> Result<Value> {
    Ok(json!({ "wide": wide, "shift": shift, "code": code, "span": span, "many": many, "type": r#type }))
}

/// Its parameters have the names of our own options.
#[flow]
async fn taken(json: u8, data_dir: String, help: u8, _spare: u8) -> Result<String> {
    Ok(format!("{json} {data_dir} {help} {_spare}"))
}

/// What cannot be read from outside.
#[derive(Debug, Clone)]
struct Opaque;

#[flow]
async fn closed(opaque: Opaque) -> Result<String> {
    Ok(format!("{opaque:?}"))
}

/// What the program lends.
#[derive(Default)]
struct Counter(AtomicU32);

#[task]
async fn count(#[resource] counter: &Counter) -> u32 {
    counter.0.fetch_add(1, Ordering::Relaxed) + 1
}

#[flow]
async fn counted() -> Result<u32> {
    Ok(count().await?)
}

#[tokio::test]
async fn a_parameter_is_read_as_its_type_wants_it() {
    let said = say(&[
        "run",
        "sorts",
        "--wide",
        "--shift",
        "-12",
        "--code",
        "north",
        "--span",
        r#"{"from": 1, "to": 2}"#,
        "--many",
        "[1, 2]",
        "--many",
        "[]",
        "--type",
        "7",
    ])
    .await;
    assert_eq!(said.exit, Exit::Completed, "{}", said.err);
    let value: Value = serde_json::from_str(&said.out).unwrap();
    let expected = json!({ "wide": true, "shift": -12, "code": "north", "span": { "from": 1, "to": 2 }, "many": [[1, 2], []], "type": "7" });
    assert_eq!(value, expected);
    let list = say(&["list", "--json"]).await;
    let listed: Value = serde_json::from_str(&list.out).unwrap();
    let sorts = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|flow| flow["name"] == "sorts");
    let properties = &sorts.unwrap()["parameters"]["properties"];
    assert_eq!(
        (&properties["span"], &properties["code"]),
        (&json!(true), &json!(true))
    );
}

#[tokio::test]
async fn what_a_type_does_not_take_is_told_in_its_own_words() {
    for (span, reason) in [
        ("[1]", "parameter `span`: invalid length 1"),
        (r#"{"from": 1}"#, "parameter `span`: missing field `to`"),
        ("wide", "parameter `span`: invalid type: string \"wide\""),
    ] {
        let said = say(&[
            "run", "sorts", "--wide", "--shift", "1", "--code", "a", "--many", "[]", "--span", span,
        ])
        .await;
        assert_eq!(said.exit, Exit::Usage);
        assert!(said.err.contains(reason), "{}", said.err);
    }
}

#[tokio::test]
async fn a_flow_whose_parameters_have_the_names_of_our_options_keeps_them() {
    let said = say(&[
        "run",
        "taken",
        "--json",
        "1",
        "--data-dir",
        "here",
        "--help",
        "2",
        "--_spare",
        "3",
    ])
    .await;
    assert_eq!(
        (said.exit, said.out.trim()),
        (Exit::Completed, "1 here 2 3"),
        "{}",
        said.err
    );
}

#[tokio::test]
async fn a_flow_that_cannot_be_given_its_parameters_from_outside_says_so() {
    let said = say(&["run", "closed"]).await;
    assert_eq!(said.exit, Exit::Usage);
    assert!(said.err.contains("its type is not `Deserialize`"), "{}", said.err);
}

#[tokio::test]
async fn the_program_s_own_runtime_runs_the_flow() {
    let directory = tempfile::tempdir().unwrap();
    let own = || Runtime::builder().resource(Counter(AtomicU32::new(41)));
    let said = say_with(Cli::new().runtime(own), directory.path(), &["run", "counted"]).await;
    assert_eq!(
        (said.exit, said.out.trim()),
        (Exit::Completed, "42"),
        "{}",
        said.err
    );
    let connected = Cli::new().runtime_async(async || {
        tokio::task::yield_now().await;
        Ok(Runtime::builder().resource(Counter::default()))
    });
    let said = say_with(connected, directory.path(), &["run", "counted", "--json"]).await;
    let value: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(value["value"], 1);
    let unreachable = Cli::new().runtime_async(async || Err("no route to the database".into()));
    let said = say_with(unreachable, directory.path(), &["run", "counted"]).await;
    assert_eq!(said.exit, Exit::Failed);
    assert!(said.err.contains("no route to the database"), "{}", said.err);
    let said = say_with(Cli::new(), directory.path(), &["run", "counted"]).await;
    assert_eq!(said.exit, Exit::Failed, "without what it is lent, the flow fails");
}

/// An output that is as full as a disk.
struct Full;

impl Write for Full {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_output_that_cannot_be_written_is_no_success() {
    let mut err = Vec::new();
    let exit = Cli::new().run(["program", "list"], &mut Full, &mut err).await;
    assert_eq!(exit, Exit::Store);
    assert!(
        String::from_utf8(err)
            .unwrap()
            .contains("the output cannot be written")
    );
}

#[test]
fn the_exit_codes_are_those_that_are_told() {
    let codes = [Exit::Completed, Exit::Failed, Exit::Usage, Exit::Store].map(Exit::code);
    assert_eq!(codes, [0, 1, 2, 3]);
}
