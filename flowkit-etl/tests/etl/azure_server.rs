//! Azure's Blob Storage, as Azurite serves it: a running one, by its address in the environment, or one that is started from what is installed.
//!
//! `FLOWKIT_TEST_AZURE` is the address of an Azurite's blobs, `http://127.0.0.1:10000`. Where none is there, the tests say so and go on without; with `FLOWKIT_TEST_ALL_SERVERS` set, they
//! fail.
#![allow(dead_code, reason = "each test uses some of it")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use flowkit_etl::object::object_store::azure::{
    AzureAccessKey, AzureAuthorizer, AzureCredential, MicrosoftAzureBuilder,
};
use flowkit_etl::object::object_store::client::{
    ClientOptions, HttpConnector, HttpRequestBody, ReqwestConnector,
};
use flowkit_etl::object::object_store::{ObjectStore, path::Path};
use hyper::{Method, Request};

use crate::s3_server::retries;

/// The account that every Azurite has, and its key, which everybody knows.
pub(crate) const ACCOUNT: &str = "devstoreaccount1";
pub(crate) const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A container of a test's own.
#[derive(Debug)]
pub(crate) struct Container {
    /// The address of the server.
    pub(crate) server: &'static str,
    pub(crate) name: String,
}

impl Container {
    /// A new one, if there is a server.
    pub(crate) async fn new() -> Option<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let server = server()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("plants-{}-{number}", std::process::id());
        let container = Self { server, name };
        container.ask(Method::PUT, "?restype=container").await;
        Some(container)
    }

    /// Removes it, if it is still there.
    pub(crate) async fn remove(&self) {
        self.ask(Method::DELETE, "?restype=container").await;
    }

    /// Puts there what browsers of containers put for a folder: an empty blob whose name ends in a slash.
    pub(crate) async fn folder(&self, key: &str) {
        assert_eq!(self.ask(Method::PUT, &format!("/{key}")).await, 201);
    }

    /// A client that lets itself in with this key.
    pub(crate) fn store(&self, key: &str) -> Arc<dyn ObjectStore> {
        Arc::new(self.builder().with_access_key(key).build().unwrap())
    }

    /// A client that needs to be told how to let itself in.
    pub(crate) fn builder(&self) -> MicrosoftAzureBuilder {
        MicrosoftAzureBuilder::new()
            .with_endpoint(format!("{}/{ACCOUNT}", self.server))
            .with_allow_http(true)
            .with_account(ACCOUNT)
            .with_retry(retries())
            .with_container_name(&self.name)
    }

    /// Puts an object there.
    pub(crate) async fn put(&self, key: &str, content: Vec<u8>) {
        let path = Path::parse(key).unwrap();
        let put = self
            .store(KEY)
            .put_opts(&path, content.into(), Default::default())
            .await;
        put.unwrap();
    }

    /// Asks for what the store's client cannot: something of the container itself, or of a blob whose name ends in a slash.
    async fn ask(&self, method: Method, what: &str) -> u16 {
        let key = AzureCredential::AccessKey(AzureAccessKey::try_new(KEY).unwrap());
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/{ACCOUNT}/{}{what}", self.server, self.name))
            .header("content-length", "0")
            .header("x-ms-blob-type", "BlockBlob");
        let mut request = request.body(HttpRequestBody::empty()).unwrap();
        AzureAuthorizer::new(&key, ACCOUNT).authorize(&mut request);
        let client = ReqwestConnector::default().connect(&ClientOptions::new().with_allow_http(true));
        client.unwrap().execute(request).await.unwrap().status().as_u16()
    }
}

/// A server that was started, or found.
struct Server {
    address: String,
    _input: Option<ChildStdin>,
}

/// The address of the server.
fn server() -> Option<&'static str> {
    static AZURE: OnceLock<Option<Server>> = OnceLock::new();
    let found = || match std::env::var("FLOWKIT_TEST_AZURE") {
        Ok(address) => Some(Server {
            address: address.trim_end_matches('/').to_owned(),
            _input: None,
        }),
        Err(_) => program().map(|program| start(&program)),
    };
    let server = AZURE.get_or_init(found).as_ref();
    if server.is_none() {
        let message = "azurite-blob is not installed, and FLOWKIT_TEST_AZURE names no server";
        assert!(
            std::env::var_os("FLOWKIT_TEST_ALL_SERVERS").is_none(),
            "{message}"
        );
        println!("not tested on Azure: {message}");
    }
    server.map(|server| server.address.as_str())
}

/// The program, in the path or where `.ci/run` puts it.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/azurite/node_modules/.bin");
    directories.push(target.into());
    directories
        .into_iter()
        .map(|directory| directory.join("azurite-blob"))
        .find(|program| program.is_file())
}

/// What runs the server, and ends it once there is no more input: when this process ends.
const SCRIPT: &str = "\"$@\" </dev/null & server=$!; read -r _; kill -KILL $server";

/// Starts a server in memory, and waits until it says where.
fn start(program: &std::path::Path) -> Server {
    let arguments = "--inMemoryPersistence --blobPort 0 --silent --disableTelemetry";
    let mut child = Command::new("sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(program)
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = child.stdin.take();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = output.by_ref().map_while(Result::ok);
    let mut places = said.filter_map(|line| Some(line.split_once("listens on ")?.1.trim().to_owned()));
    let address = places.next().expect("Azurite did not say where it listens");
    // Somebody must read on, so that the server can write.
    std::thread::spawn(move || {
        output.for_each(drop);
        child.wait().unwrap();
    });
    Server {
        address,
        _input: input,
    }
}
