//! What cannot be an end, or cannot be reached, is told with what to do, and never with a secret.

use std::path::Path;

use crate::http_server::{Reply, Server};
use crate::program::Program;
use crate::s3_server::S3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_an_end_is_told_and_no_secret_is() {
    let directory = tempfile::tempdir().unwrap();
    let s3 = S3::start().await;
    let web = Server::start(|_, _| Reply::status(403)).await;
    let program = Program::new(directory.path(), &s3.endpoint, "hunter2");
    let locked = Program::new(directory.path(), &s3.endpoint, "wrong-hunter2");
    let unknown = program.unknown();
    let here = "target/plant_phenotyping/season.csv";
    assert_eq!(program.run(None, "out").await.code, Some(0));
    let forbidden = format!("{}/a.csv?token=hunter2", web.address);
    let closed = "postgres://etl:hunter2@127.0.0.1:1/plants";
    let cases = [
        (
            &program,
            "ftp://plants.example/a.csv",
            "out",
            "name a path, `s3://`",
        ),
        (
            &program,
            here,
            "https://plants.example/out",
            "name a directory, parquet:DIR",
        ),
        (&program, here, "oracle:plants", "`oracle:`: name a directory"),
        (
            &program,
            "s3://plants/absent.csv",
            "out",
            "there is no object s3://plants/absent.csv",
        ),
        (&program, "s3://absent/a.csv", "out", "there is no such bucket"),
        (&program, "s3://absent/*.csv", "out", "there is no such bucket"),
        (&program, here, "s3://absent/lake", "there is no such bucket"),
        (
            &locked,
            "s3://plants/a.csv",
            "out",
            "look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        (
            &locked,
            here,
            "s3://plants/lake",
            "look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        (
            &unknown,
            "s3://plants/a.csv",
            "out",
            "the environment has no credentials: set AWS_ACCESS_KEY_ID",
        ),
        (&program, &forbidden, "out", "answers 403 Forbidden"),
        (&program, here, closed, "127.0.0.1"),
        (&program, "absent.parquet", "out", "absent.parquet"),
    ];
    for (program, source, destination, message) in cases {
        let said = program.run(Some(source), destination).await;
        assert_eq!(said.code, Some(1), "{source} {destination}: {said:?}");
        assert!(said.err.contains(message), "{source} {destination}: {said:?}");
        assert!(
            !format!("{said:?}").contains("hunter2"),
            "{source} {destination}: {said:?}"
        );
    }
    // Nothing of it is in what was recorded either.
    assert!(search(directory.path()) > 0);
}

/// Looks for a secret in all files below a directory, and gives how many there are.
fn search(directory: &Path) -> usize {
    let mut looked = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            looked += search(&path);
        } else if let Ok(bytes) = std::fs::read(&path) {
            looked += 1;
            let found = bytes.windows(7).any(|window| window == b"hunter2");
            assert!(!found, "a secret is in {}", path.display());
        }
    }
    looked
}
