//! Database servers for tests: a running one, by its address in the environment, or one that is started from what is installed.
//!
//! `FLOWKIT_TEST_POSTGRES` and `FLOWKIT_TEST_MYSQL` are addresses of a user who may make databases. Where nothing is there, the tests say so and go on without;
//! with `FLOWKIT_TEST_ALL_SERVERS` set, they fail.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use flowkit_etl::sql::Database;

/// What kind a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    MySql,
}

/// A database of a test's own.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) database: Database,
    pub(crate) address: String,
}

/// A server that was started, or found.
struct Server {
    address: String,
    _input: Option<ChildStdin>,
}

/// A server that was started. It ends when its input does: when this is dropped, or when this process ends.
pub(crate) struct Started {
    kind: Kind,
    pub(crate) address: String,
    input: ChildStdin,
    said: Receiver<String>,
}

impl Started {
    /// A server of a test's own, if it is installed.
    pub(crate) fn of(kind: Kind) -> Option<Self> {
        let started = match kind {
            Kind::Postgres => start_postgres(),
            _ => start_mariadb(),
        };
        if started.is_none() {
            missing(&format!("{kind:?} is not installed"), kind);
        }
        started
    }

    /// Ends it at once, as it ends when it crashes, and waits until it is gone.
    pub(crate) fn stop(&mut self) {
        // PostgreSQL is told to end all its processes at once (`pg_ctl stop -m immediate`), MariaDB is one process.
        let signal = match self.kind {
            Kind::Postgres => "QUIT",
            _ => "KILL",
        };
        writeln!(self.input, "{signal}").unwrap();
        self.wait_until_it_says(GONE);
    }

    /// Starts it again after it was stopped, and waits until it is ready.
    pub(crate) fn start(&mut self) {
        writeln!(self.input).unwrap();
        self.wait_until_it_says(ready(self.kind));
    }

    fn wait_until_it_says(&self, what: &str) {
        let mut said = String::new();
        while !said.lines().last().is_some_and(|line| line.contains(what)) {
            let line = self.said.recv();
            said.push_str(&line.unwrap_or_else(|_| panic!("the server did not say `{what}`: {said}")));
        }
    }
}

/// What is said for a server once it is gone.
const GONE: &str = "the server is gone";

/// What a server says once it can be used.
fn ready(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgres => "ready to accept connections",
        _ => "ready for connections",
    }
}

impl From<Started> for Server {
    fn from(started: Started) -> Self {
        Self {
            address: started.address,
            _input: Some(started.input),
        }
    }
}

/// Says what is not tested, or fails where everything must be.
fn missing(message: &str, kind: Kind) {
    assert!(
        std::env::var_os("FLOWKIT_TEST_ALL_SERVERS").is_none(),
        "{message}"
    );
    println!("not tested on {kind:?}: {message}");
}

/// Tells a story on each kind of database.
pub(crate) async fn on_each<F: Future<Output = ()>>(story: impl Fn(Place) -> F) {
    for kind in [Kind::Sqlite, Kind::Postgres, Kind::MySql] {
        on(kind, &story).await;
    }
}

/// Tells a story on a kind of database.
pub(crate) async fn on<F: Future<Output = ()>>(kind: Kind, story: impl Fn(Place) -> F) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    if kind == Kind::Sqlite {
        let directory = tempfile::tempdir().unwrap();
        let address = format!("sqlite:{}", directory.path().join("test.db").display());
        let database = Database::new(&address).unwrap();
        return story(Place {
            kind,
            database,
            address,
        })
        .await;
    }
    let Some(server) = server(kind) else {
        return;
    };
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("flowkit_test_{}_{number}", std::process::id());
    let (root, _) = server.rsplit_once('/').unwrap();
    let address = format!("{root}/{name}");
    let (admin, database) = (Database::new(server).unwrap(), Database::new(&address).unwrap());
    admin
        .execute(&format!("CREATE DATABASE {name}"), &[])
        .await
        .unwrap();
    story(Place {
        kind,
        database,
        address,
    })
    .await;
    let force = if kind == Kind::Postgres {
        " WITH (FORCE)"
    } else {
        ""
    };
    admin
        .execute(&format!("DROP DATABASE {name}{force}"), &[])
        .await
        .unwrap();
}

/// The address of a server.
fn server(kind: Kind) -> Option<&'static str> {
    static POSTGRES: OnceLock<Option<Server>> = OnceLock::new();
    static MYSQL: OnceLock<Option<Server>> = OnceLock::new();
    let (server, variable) = match kind {
        Kind::Postgres => (&POSTGRES, "FLOWKIT_TEST_POSTGRES"),
        _ => (&MYSQL, "FLOWKIT_TEST_MYSQL"),
    };
    let found = || match std::env::var(variable) {
        Ok(address) => Some(Server {
            address,
            _input: None,
        }),
        Err(_) if kind == Kind::Postgres => start_postgres().map(Server::from),
        Err(_) => start_mariadb().map(Server::from),
    };
    let server = server.get_or_init(found).as_ref();
    if server.is_none() {
        missing(
            &format!("{kind:?} is not installed, and {variable} names no server"),
            kind,
        );
    }
    server.map(|server| server.address.as_str())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A program, in the path or where Debian puts those of PostgreSQL.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    directories.extend(versions.map(|version| version.path().join("bin")));
    directories.push("/usr/sbin".into());
    directories
        .into_iter()
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// What runs a program as somebody else, since no database server runs as root.
fn as_user(user: &str, directory: &Path) -> Vec<String> {
    let me = Command::new("id").arg("-u").output().unwrap();
    if me.stdout.trim_ascii() != b"0" {
        return Vec::new();
    }
    let owned = Command::new("chown").arg(user).arg(directory).status().unwrap();
    assert!(owned.success(), "there is no user {user}");
    let user = format!("--reuid={user}");
    ["setpriv", &user, "--clear-groups", "--"]
        .map(str::to_owned)
        .to_vec()
}

fn start_postgres() -> Option<Started> {
    let (make, serve) = (program("initdb")?, program("postgres")?);
    let directory = tempfile::tempdir().unwrap().keep();
    let user = as_user("postgres", &directory);
    let data = directory.join("data");
    let made = run(
        &user,
        &[
            text(&make),
            "-D".into(),
            text(&data),
            "-U".into(),
            "flowkit".into(),
            "-A".into(),
            "trust".into(),
        ],
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let arguments = [
        text(&serve),
        "-D".into(),
        text(&data),
        "-p".into(),
        port.to_string(),
        "-k".into(),
        text(&directory),
    ];
    let address = format!("postgres://flowkit@127.0.0.1:{port}/postgres");
    Some(serve_until_we_end(
        &user,
        &arguments,
        &directory,
        (Kind::Postgres, address),
    ))
}

fn start_mariadb() -> Option<Started> {
    let (make, serve) = (program("mariadb-install-db")?, program("mariadbd")?);
    let directory = tempfile::tempdir().unwrap().keep();
    let user = as_user("mysql", &directory);
    let data = format!("--datadir={}", directory.join("data").display());
    let made = run(
        &user,
        &[
            text(&make),
            "--no-defaults".into(),
            data.clone(),
            "--auth-root-authentication-method=normal".into(),
            "--skip-test-db".into(),
        ],
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let socket = format!("--socket={}", directory.join("socket").display());
    // One that starts again clears away all temporary tables that it finds, those of others too.
    let temporary = format!("--tmpdir={}", directory.display());
    let arguments = [
        text(&serve),
        "--no-defaults".into(),
        data,
        format!("--port={port}"),
        socket,
        temporary,
        "--bind-address=127.0.0.1".into(),
    ];
    let address = format!("mysql://root@127.0.0.1:{port}/mysql");
    Some(serve_until_we_end(
        &user,
        &arguments,
        &directory,
        (Kind::MySql, address),
    ))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn run(user: &[String], arguments: &[String]) -> std::process::Output {
    let all: Vec<&String> = user.iter().chain(arguments).collect();
    Command::new(all[0])
        .args(&all[1..])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What runs a server: each line that it is told ends the server by that signal, and the next one starts it again. Once there is no more to be told, the server ends, and what it made is
/// cleared away. By then nobody may be there to read what the shell says of that, which would end it before.
const SCRIPT: &str = "directory=$1; gone=$2; shift 2; \"$@\" </dev/null & server=$!
while read -r signal; do kill -$signal $server; wait $server; echo \"$gone\" >&2; read -r _ || break; \"$@\" </dev/null & server=$!; done
exec 2>/dev/null; kill -KILL $server; wait $server; rm -rf \"$directory\"";

/// Starts a server, and waits until it says that it is ready. A shell beside it ends it once its own input has ended.
fn serve_until_we_end(
    user: &[String],
    arguments: &[String],
    directory: &Path,
    (kind, address): (Kind, String),
) -> Started {
    let mut child = Command::new("sh")
        .args(["-c", SCRIPT, "sh", &text(directory), GONE])
        .args(user)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stderr.take().unwrap());
    let input = child.stdin.take().unwrap();
    let (say, said) = channel();
    // Somebody must read on, so that the server can write, also when nobody listens any more.
    std::thread::spawn(move || {
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).unwrap() > 0 {
            drop(say.send(String::from_utf8_lossy(&line).into_owned()));
            line.clear();
        }
        child.wait().unwrap();
    });
    let started = Started {
        kind,
        address,
        input,
        said,
    };
    started.wait_until_it_says(ready(kind));
    started
}
