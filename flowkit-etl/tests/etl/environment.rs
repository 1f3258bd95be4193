//! Buckets by their address alone, of which the environment says the rest. A process has one environment, so each story is told by a process of its own.

use flowkit_etl::Result;
use flowkit_etl::object::Bucket;
use flowkit_etl::sink::{LoadId, ObjectSink, Sink};
use flowkit_etl::source::{ObjectSource, Source};
use tokio::process::Command;

use crate::azure_server::{ACCOUNT, Container, KEY};
use crate::plants::{Plant, plants, stream};
use crate::s3_server::S3;

/// The address of the bucket into which this program, started once more, is to load.
const BUCKET: &str = "FLOWKIT_ETL_TEST_BUCKET";

/// What the second process does.
#[tokio::test]
async fn loads_and_reads_when_started_for_that() {
    let Ok(address) = std::env::var(BUCKET) else {
        return;
    };
    match load_and_read(&address).await {
        Ok(rows) => println!("it read {rows} rows"),
        Err(error) => println!("{error}, and this is why: {error:?}"),
    }
}

async fn load_and_read(address: &str) -> Result<usize> {
    let bucket = Bucket::open(address)?;
    let load = LoadId::new("1")?;
    ObjectSink::new(&bucket).load(&load, stream(&plants(10))).await?;
    let rows: Vec<Plant> = ObjectSource::new(&bucket).open().await?.collect_rows().await?;
    Ok(rows.len())
}

/// What a process says that loads into a bucket and has these variables.
async fn said(address: &str, variables: &[(&str, &str)]) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([
        "--exact",
        "environment::loads_and_reads_when_started_for_that",
        "--nocapture",
    ]);
    let clouds = ["AWS_", "AZUR", "GOOGLE_", "GCE_"];
    for (name, _) in std::env::vars().filter(|(name, _)| clouds.iter().any(|cloud| name.starts_with(cloud))) {
        child.env_remove(name);
    }
    let child = child.env(BUCKET, address).envs(variables.iter().copied());
    let output = child.output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn an_address_of_s3_is_all_that_is_needed_where_the_environment_says_the_rest() {
    let server = S3::start().await;
    let variables = [
        ("AWS_ENDPOINT_URL", server.endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_REGION", "us-east-1"),
    ];
    let said = said("s3://plants/lake", &variables).await;
    assert!(said.contains("it read 10 rows"), "{said}");
}

#[tokio::test]
async fn an_address_of_azure_is_all_that_is_needed_where_the_environment_says_the_rest() {
    let Some(container) = Container::new().await else {
        return;
    };
    let lake = |name: &str| format!("az://{}/{name}", container.name);
    let endpoint = format!("{}/{ACCOUNT}", container.server);
    let account = |key| {
        [
            ("AZURE_STORAGE_ENDPOINT", endpoint.as_str()),
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            key,
        ]
    };
    let said_with = async |name: &str, key| said(&lake(name), &account(key)).await;
    let by_key = said_with("a", ("AZURE_STORAGE_ACCOUNT_KEY", KEY)).await;
    assert!(by_key.contains("it read 10 rows"), "{by_key}");
    let emulator = [
        ("AZURE_STORAGE_USE_EMULATOR", "true"),
        ("AZURITE_BLOB_STORAGE_URL", container.server),
    ];
    let of_emulator = said(&lake("b"), &emulator).await;
    assert!(of_emulator.contains("it read 10 rows"), "{of_emulator}");

    let token = "sv=2023-11-03&sr=c&sp=rwdl&se=2100-01-01T00:00:00Z&sig=hunter2now";
    for key in [
        ("AZURE_STORAGE_ACCOUNT_KEY", "wrong/hunter2now"),
        ("AZURE_STORAGE_SAS_TOKEN", token),
        ("AZURE_STORAGE_TOKEN", "hunter2now"),
    ] {
        let said = said_with("c", key).await;
        assert!(
            said.contains("the store does not let one in: look at AZURE_"),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
    container.remove().await;
    let gone = said_with("d", ("AZURE_STORAGE_ACCOUNT_KEY", KEY)).await;
    assert!(gone.contains("there is no such bucket"), "{gone}");
}

#[tokio::test]
async fn without_credentials_it_is_said_which_variables_have_them() {
    // Where programs on machines of Amazon's, Microsoft's and Google's are told them, nobody answers here.
    let nowhere = "http://127.0.0.1:1/metadata/identity/oauth2/token";
    let home = tempfile::tempdir().unwrap();
    let home = ("HOME", home.path().to_str().unwrap());
    let account = ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT);
    let clouds = [
        (
            "s3://plants",
            vec![home, ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")],
            "AWS_ACCESS_KEY_ID",
        ),
        (
            "az://plants",
            vec![home, account, ("AZURE_MSI_ENDPOINT", nowhere)],
            "AZURE_STORAGE_ACCOUNT_NAME",
        ),
        (
            "gs://plants",
            vec![
                home,
                ("GCE_METADATA_HOST", "127.0.0.1:1"),
                ("GCE_METADATA_IP", "127.0.0.1:1"),
            ],
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
    ];
    let all = clouds.iter().map(async |(address, variables, name)| {
        let said = said(address, variables).await;
        let advice = format!("the environment has no credentials: set {name}");
        assert!(said.contains(&advice), "{address}: {said}");
    });
    futures::future::join_all(all).await;
}
