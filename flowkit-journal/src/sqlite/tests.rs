use super::*;

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
