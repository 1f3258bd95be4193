//! A mail server for tests: aiosmtpd, where Python has it.
//!
//! Where it is not installed (`apt-get install python3-aiosmtpd`, or `pip install aiosmtpd`), the tests say so and go on without; with `FLOWKIT_TEST_ALL_SERVERS` set, they fail.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const PROGRAM: &str = include_str!("smtp_server.py");

/// A mail server that ends when this is dropped.
pub(crate) struct MailServer {
    pub(crate) port: u16,
    /// Its certificate, for `localhost`, as PEM.
    pub(crate) certificate: String,
    printed: Lines<BufReader<ChildStdout>>,
    _process: Child,
    _directory: tempfile::TempDir,
}

impl MailServer {
    /// Encrypted by "none", "starttls" or "tls"; `etl` is let in with this password, and the first messages are put off.
    pub(crate) async fn start(encryption: &str, password: &str, busy: u32) -> Option<Self> {
        let python = python().await?;
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = (
            directory.path().join("cert.pem"),
            directory.path().join("key.pem"),
        );
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let mut process = Command::new(python)
            .args(["-c", PROGRAM, encryption])
            .args([&certificate, &key])
            .args([password, &busy.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()) // it tells of every connection that breaks
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut printed = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = printed.next_line().await.unwrap().expect("it prints its port");
        Some(Self {
            port: port.parse().unwrap(),
            certificate: made.cert.pem(),
            printed,
            _process: process,
            _directory: directory,
        })
    }

    /// The next message.
    pub(crate) async fn message(&mut self) -> serde_json::Value {
        let line = self.printed.next_line().await.unwrap().expect("it goes on");
        serde_json::from_str(&line).unwrap()
    }
}

/// A Python that has aiosmtpd.
async fn python() -> Option<&'static str> {
    for python in ["python3", "/usr/bin/python3"] {
        let mut command = Command::new(python);
        command.args(["-c", "import aiosmtpd"]).stderr(Stdio::null());
        if command.status().await.is_ok_and(|status| status.success()) {
            return Some(python);
        }
    }
    let message = "aiosmtpd is not installed: `apt-get install python3-aiosmtpd`, or `pip install aiosmtpd`";
    assert!(
        std::env::var_os("FLOWKIT_TEST_ALL_SERVERS").is_none(),
        "{message}"
    );
    println!("not tested with a mail server: {message}");
    None
}
