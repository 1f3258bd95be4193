//! What belongs to nothing, found by looking into the file itself.

use std::collections::HashSet;
use std::path::Path;

use sqlx::{ConnectOptions, Connection};

const QUERIES: [(&str, &str); 8] = [
    (
        "task runs",
        "SELECT count(*) FROM tasks WHERE run NOT IN (SELECT no FROM flows)",
    ),
    (
        "texts",
        "SELECT count(*) FROM texts WHERE run NOT IN (SELECT no FROM flows)",
    ),
    (
        "attempts",
        "SELECT count(*) FROM attempts WHERE run NOT IN (SELECT no FROM flows)",
    ),
    (
        "edges",
        "SELECT count(*) FROM edges WHERE run NOT IN (SELECT no FROM flows)",
    ),
    (
        "logs",
        "SELECT count(*) FROM logs WHERE run NOT IN (SELECT no FROM flows)",
    ),
    (
        "objects",
        "SELECT count(*) FROM objects WHERE id NOT IN (SELECT object FROM tasks WHERE object IS NOT NULL)",
    ),
    (
        "missing objects",
        "SELECT count(*) FROM tasks WHERE object NOT IN (SELECT id FROM objects)",
    ),
    (
        "roots",
        "SELECT count(*) FROM flows WHERE root NOT IN (SELECT no FROM flows)",
    ),
];

/// Says how many of what belong to nothing.
pub(super) fn find(directory: &Path) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let file = directory.join("journal.sqlite");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut connection = options.connect().await.unwrap();
        let mut orphans = Vec::new();
        for (what, query) in QUERIES {
            let count: i64 = sqlx::query_scalar(query)
                .fetch_one(&mut connection)
                .await
                .unwrap();
            if count > 0 {
                orphans.push(format!("{count} {what}"));
            }
        }
        let named: Vec<String> = sqlx::query_scalar("SELECT lower(hex(digest)) FROM objects")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        let named: HashSet<String> = named.into_iter().collect();
        let files = files(&directory.join("objects"));
        orphans.extend(files.difference(&named).map(|file| format!("file {file}")));
        orphans.extend(named.difference(&files).map(|file| format!("no file {file}")));
        orphans
    })
}

/// The names of the files of large results.
fn files(objects: &Path) -> HashSet<String> {
    let mut files = HashSet::new();
    for folder in std::fs::read_dir(objects).unwrap() {
        let folder = folder.unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let name = [folder.file_name(), file.unwrap().file_name()];
            files.insert(name.map(|part| part.into_string().unwrap()).concat());
        }
    }
    files
}
