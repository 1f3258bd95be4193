//! Stories of buckets that are told on each kind of store: S3, served in this process, and Azure, served by Azurite.
#![allow(dead_code, reason = "each test uses some of it")]

use std::sync::Arc;

use flowkit_etl::object::Bucket;
use flowkit_etl::object::object_store::{ObjectMeta, ObjectStore};
use futures::TryStreamExt;

use crate::azure_server::{Container, KEY};
use crate::s3_server::S3;

/// A key of Azure's that is none.
const WRONG_KEY: &str = "wrong/hunter2now";

/// A bucket of a test's own.
pub(crate) enum Place {
    S3(S3),
    Azure(Container),
}

/// Tells a story on each kind of store.
pub(crate) async fn on_each(story: impl AsyncFn(&Place)) {
    story(&Place::S3(S3::start().await)).await;
    if let Some(container) = Container::new().await {
        println!("on Azure, {}", container.name);
        let place = Place::Azure(container);
        story(&place).await;
        place.remove().await;
    }
}

impl Place {
    /// What it is called: `s3://plants`.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::S3(_) => "s3://plants".to_owned(),
            Self::Azure(container) => format!("az://{}", container.name),
        }
    }

    /// The part of it below a prefix.
    pub(crate) fn bucket(&self, prefix: &str) -> Bucket {
        Bucket::of(self.store(), &self.address(), prefix).unwrap()
    }

    /// It for somebody with a secret, `hunter2` in it, that is not the right one.
    pub(crate) fn locked(&self) -> Bucket {
        let store = match self {
            Self::S3(server) => server.store("wrong-hunter2"),
            Self::Azure(container) => container.store(WRONG_KEY),
        };
        Bucket::of(store, &self.address(), "").unwrap()
    }

    /// The variables that errors tell one to look at.
    pub(crate) fn variable(&self) -> &'static str {
        match self {
            Self::S3(_) => "AWS_ACCESS_KEY_ID",
            Self::Azure(_) => "AZURE_STORAGE_ACCOUNT_NAME",
        }
    }

    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        match self {
            Self::S3(server) => server.store("hunter2"),
            Self::Azure(container) => container.store(KEY),
        }
    }

    /// Puts an object there.
    pub(crate) async fn put(&self, key: &str, content: impl Into<Vec<u8>>) {
        match self {
            Self::S3(server) => server.put(key, content).await,
            Self::Azure(container) => container.put(key, content.into()).await,
        }
    }

    /// Puts there what stands for a folder.
    pub(crate) async fn folder(&self, key: &str) {
        match self {
            Self::S3(server) => server.folder(key),
            Self::Azure(container) => container.folder(key).await,
        }
    }

    /// How many objects of loads there are below a prefix, whether or not somebody reads them.
    pub(crate) async fn parts(&self, prefix: &str) -> usize {
        parts(&self.store(), prefix).await
    }

    /// Removes the bucket itself, with all that is in it.
    pub(crate) async fn remove(&self) {
        match self {
            Self::S3(server) => std::fs::remove_dir_all(server.directory.path().join("plants")).unwrap(),
            Self::Azure(container) => container.remove().await,
        }
    }
}

/// The same, of any store.
pub(crate) async fn parts(store: &Arc<dyn ObjectStore>, prefix: &str) -> usize {
    let all: Vec<ObjectMeta> = store.list(Some(&prefix.into())).try_collect().await.unwrap();
    let names = all.iter().filter_map(|object| object.location.filename());
    names.filter(|name| name.starts_with("part-")).count()
}
