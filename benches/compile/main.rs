//! What it costs to compile: crates of a hundred tasks beside the same hundred functions without the attribute, and the core itself.
//!
//! `cargo bench -p flowkit-benches --bench compile`. It writes both crates to a temporary directory and has cargo build them there, with
//! the dependencies that are in the lock file of this workspace. Dependencies are built once; then each crate is built several times.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench prints, measures time, and stops where it cannot go on"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const FUNCTIONS: usize = 100;
const ROUNDS: usize = 3;

/// What the crates consist of.
struct Shape {
    what: &'static str,
    /// The functions, each under the attribute.
    functions: fn(attribute: &str) -> String,
    /// What is done with them in an async function.
    calls: fn() -> String,
}

const SHAPES: [Shape; 2] = [
    Shape {
        what: "tasks of few types",
        functions: of_few_types,
        calls: calls_of_few_types,
    },
    Shape {
        what: "tasks, each of its own types",
        functions: of_own_types,
        calls: calls_of_own_types,
    },
];

/// Functions as a program has them that works on numbers and texts.
fn of_few_types(attribute: &str) -> String {
    let mut text = String::new();
    for n in 0..FUNCTIONS {
        let function = match n % 4 {
            0 => format!("async fn step_{n}(a: u64, b: u64) -> u64 {{ a + b + {n} }}"),
            1 => {
                format!("async fn step_{n}(rows: Vec<f64>) -> f64 {{ rows.iter().sum::<f64>() * {n}.0 }}")
            }
            2 => format!(
                "async fn step_{n}(name: &str) -> Result<String, std::fmt::Error> {{ Ok(format!(\"{{name}} {n}\")) }}"
            ),
            _ => format!(
                "async fn step_{n}(rows: &[u64], least: u64) -> Result<Vec<u64>, std::num::TryFromIntError> {{ \
                 let _ = u8::try_from(least)?; Ok(rows.iter().copied().filter(|row| *row > least).collect()) }}"
            ),
        };
        writeln!(text, "{attribute}\npub {function}").unwrap();
    }
    text
}

fn calls_of_few_types() -> String {
    let mut text = String::new();
    for n in 0..FUNCTIONS {
        let call = match n % 4 {
            0 => format!("step_{n}(1u64, 2u64).await"),
            1 => format!("step_{n}(vec![1.0]).await"),
            2 => format!("step_{n}(\"name\").await"),
            _ => format!("step_{n}(&[1u64, 2][..], 1u64).await"),
        };
        writeln!(text, "    let _ = {call};").unwrap();
    }
    text
}

/// Functions that each make rows of one type of those of another.
fn of_own_types(attribute: &str) -> String {
    let mut text =
        "#[derive(Clone, serde::Serialize, serde::Deserialize)]\npub struct Row0(pub u64);\n".to_owned();
    for n in 0..FUNCTIONS {
        let next = n + 1;
        writeln!(
            text,
            "#[derive(Clone, serde::Serialize, serde::Deserialize)]\npub struct Row{next}(pub u64);\n\
             {attribute}\npub async fn step_{n}(row: Row{n}) -> Row{next} {{ Row{next}(row.0 + 1) }}"
        )
        .unwrap();
    }
    text
}

fn calls_of_own_types() -> String {
    let mut text = String::new();
    for n in 0..FUNCTIONS {
        writeln!(text, "    let _ = step_{n}(Row{n}({n})).await;").unwrap();
    }
    text
}

fn write(directory: &Path, dependencies: &str, source: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::create_dir_all(directory.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"hundred\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{dependencies}"
    );
    std::fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    std::fs::copy(root.join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
    std::fs::copy(
        root.join("rust-toolchain.toml"),
        directory.join("rust-toolchain.toml"),
    )
    .unwrap();
    std::fs::write(directory.join("src/main.rs"), source).unwrap();
}

fn build(directory: &Path, arguments: &[&str]) -> f64 {
    let start = Instant::now();
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--quiet"])
        .args(arguments)
        .current_dir(directory);
    let output = cargo
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    start.elapsed().as_secs_f64()
}

/// What the crate itself takes, when everything that it depends on is there; the least of several builds, since others may be busy.
fn own(directory: &Path, arguments: &[&str]) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let source = directory.join("src/main.rs");
        let text = std::fs::read_to_string(&source).unwrap();
        std::fs::write(&source, format!("{text}\n")).unwrap();
        build(directory, arguments)
    });
    rounds.fold(f64::INFINITY, f64::min)
}

fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let others = "tokio = { version = \"1\", features = [\"rt-multi-thread\", \"macros\"] }\n\
                  serde = { version = \"1\", features = [\"derive\"] }\n";
    let flowkit = format!("flowkit = {{ path = {:?} }}\n", root.join("flowkit"));
    let (tasks, plain) = (temporary.path().join("tasks"), temporary.path().join("plain"));
    let write_both = |shape: &Shape| {
        let body = format!("#[tokio::main]\nasync fn main() {{\n{}}}\n", (shape.calls)());
        let of = |attribute| format!("{}{body}", (shape.functions)(attribute));
        write(&tasks, &format!("{flowkit}{others}"), &of("#[flowkit::task]"));
        write(&plain, others, &of(""));
    };
    for (number, shape) in SHAPES.iter().enumerate() {
        write_both(shape);
        let (with, without) = (build(&tasks, &[]), build(&plain, &[]));
        if number == 0 {
            println!("from nothing: {with:.1} s with flowkit, {without:.1} s without");
            build(&tasks, &["--release"]);
            build(&plain, &["--release"]);
        }
        for (how, arguments) in [("debug", &[][..]), ("optimised", &["--release"][..])] {
            let (with, without) = (own(&tasks, arguments), own(&plain, arguments));
            println!(
                "{FUNCTIONS} {}, {how}: {with:.2} s, {without:.2} s as plain functions; {:.0} ms more for each",
                shape.what,
                (with - without) * 1e3 / FUNCTIONS as f64
            );
        }
    }
}
