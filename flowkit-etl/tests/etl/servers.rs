//! Database servers for tests: a running one, by its address in the environment, or one that is started from what is installed.
//!
//! `FLOWKIT_TEST_POSTGRES` and `FLOWKIT_TEST_MYSQL` are addresses of a user who may make databases. Where nothing is there, the tests say so and go on without;
//! with `FLOWKIT_TEST_ALL_SERVERS` set, they fail.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// A server that was started, or found. One that was started ends when its input does, which is when this process ends.
struct Server {
    address: String,
    _input: Option<ChildStdin>,
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
        Err(_) if kind == Kind::Postgres => start_postgres(),
        Err(_) => start_mariadb(),
    };
    let server = server.get_or_init(found).as_ref();
    if server.is_none() {
        let message = format!("{kind:?} is not installed, and {variable} names no server");
        assert!(
            std::env::var_os("FLOWKIT_TEST_ALL_SERVERS").is_none(),
            "{message}"
        );
        println!("not tested on {kind:?}: {message}");
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

fn start_postgres() -> Option<Server> {
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
    let input = serve_until_we_end(&user, &arguments, &directory, "ready to accept connections");
    let address = format!("postgres://flowkit@127.0.0.1:{port}/postgres");
    Some(Server {
        address,
        _input: Some(input),
    })
}

fn start_mariadb() -> Option<Server> {
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
    let arguments = [
        text(&serve),
        "--no-defaults".into(),
        data,
        format!("--port={port}"),
        socket,
        "--bind-address=127.0.0.1".into(),
    ];
    let input = serve_until_we_end(&user, &arguments, &directory, "ready for connections");
    Some(Server {
        address: format!("mysql://root@127.0.0.1:{port}/mysql"),
        _input: Some(input),
    })
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

/// Starts a server, and waits until it says that it is ready. A shell beside it ends it, and clears up, once its own input has ended.
fn serve_until_we_end(user: &[String], arguments: &[String], directory: &Path, ready: &str) -> ChildStdin {
    let script = "directory=$1; shift; \"$@\" </dev/null & server=$!; read -r _; kill -KILL $server; wait $server; rm -rf \"$directory\"";
    let mut child = Command::new("sh")
        .args(["-c", script, "sh", &text(directory)])
        .args(user)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut output = BufReader::new(child.stderr.take().unwrap());
    while !said.lines().last().is_some_and(|line| line.contains(ready)) {
        assert!(
            output.read_line(&mut said).unwrap() > 0,
            "the server did not start: {said}"
        );
    }
    let input = child.stdin.take().unwrap();
    // Somebody must read on, so that the server can write.
    std::thread::spawn(move || {
        std::io::copy(&mut output, &mut std::io::sink()).unwrap();
        child.wait().unwrap();
    });
    input
}
