//! What it costs to compile: a crate of a hundred tasks beside the same hundred functions without the attribute, and the core itself.
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

/// Functions of several shapes, as a program has them.
fn functions(attribute: &str) -> String {
    let mut text = String::new();
    for n in 0..FUNCTIONS {
        let function = match n % 4 {
            0 => format!("async fn step_{n}(a: u64, b: u64) -> u64 {{ a + b + {n} }}"),
            1 => format!("async fn step_{n}(rows: Vec<f64>) -> f64 {{ rows.iter().sum::<f64>() * {n}.0 }}"),
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

fn calls() -> String {
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
    let tokio = "tokio = { version = \"1\", features = [\"rt-multi-thread\", \"macros\"] }\n";
    let (tasks, plain) = (temporary.path().join("tasks"), temporary.path().join("plain"));
    let flowkit = format!("flowkit = {{ path = {:?} }}\n", root.join("flowkit"));
    let body = format!("#[tokio::main]\nasync fn main() {{\n{}}}\n", calls());
    write(
        &tasks,
        &format!("{flowkit}{tokio}"),
        &format!("{}{body}", functions("#[flowkit::task]")),
    );
    write(&plain, tokio, &format!("{}{body}", functions("")));
    let (with, without) = (build(&tasks, &[]), build(&plain, &[]));
    println!("from nothing: {with:.1} s with flowkit, {without:.1} s with tokio alone");
    for (what, arguments) in [
        ("debug", &["--profile=dev"][..]),
        ("optimised", &["--release"][..]),
    ] {
        if arguments == ["--release"] {
            build(&tasks, arguments);
            build(&plain, arguments);
        }
        let (with, without) = (own(&tasks, arguments), own(&plain, arguments));
        println!(
            "{FUNCTIONS} tasks, {what}: {with:.2} s, {without:.2} s as plain functions; {:.0} ms more for each",
            (with - without) * 1e3 / FUNCTIONS as f64
        );
    }
}
