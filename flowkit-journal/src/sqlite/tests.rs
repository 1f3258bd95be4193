use super::*;
use crate::store::JournalError;

#[tokio::test]
async fn it_keeps_the_contract() {
    let directories = Mutex::new(Vec::new());
    crate::conformance::run_all(&|| {
        async {
            let directory = tempfile::tempdir().unwrap();
            let store: Arc<dyn JournalStore> = Arc::new(SqliteJournal::open(directory.path()).await.unwrap());
            directories.lock().unwrap().push(directory);
            store
        }
        .boxed()
    })
    .await;
}

#[tokio::test]
async fn the_journal_of_a_newer_flowkit_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteJournal::open(directory.path()).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    let connection = writer.connection.as_mut().unwrap();
    sqlx::query("PRAGMA user_version = 99")
        .execute(connection)
        .await
        .unwrap();
    drop(writer);
    store.close().await.unwrap();
    for opened in [
        SqliteJournal::open(directory.path()).await,
        SqliteJournal::open_read_only(directory.path()).await,
    ] {
        let error = opened.unwrap_err();
        assert!(
            matches!(
                error,
                JournalError::Newer {
                    found: 99,
                    known: 2,
                    ..
                }
            ),
            "{error}"
        );
        let words = "has version 99 and this program knows 2";
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(!directory.path().join("journal.sqlite.damaged-1").exists());
}
