//! `self` in all its forms.

use std::sync::Arc;

use flowkit::prelude::*;
use serde::Serialize;

#[derive(Clone, Serialize)]
struct Store {
    prefix: String,
}

impl Store {
    const RETRIES: u32 = 2;

    /// Borrowed.
    #[task]
    async fn borrowed(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Borrowed for a named lifetime.
    #[task(cache, run_name = "named-{key}")]
    async fn named<'a>(&'a self, key: &'a str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Owned, cached and repeated.
    #[task(cache, retries = Self::RETRIES)]
    async fn owned(mut self, key: String) -> Result<String> {
        self.prefix.push_str(&key);
        Ok(self.prefix)
    }

    /// Shared.
    #[task(cache)]
    async fn shared(self: Arc<Self>, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// A reference to a shared one.
    #[task(cache, cache_exclude(self))]
    pub async fn lent(self: &Arc<Self>) -> usize {
        self.prefix.len()
    }

    /// Not async.
    #[task]
    fn blocking(&self) -> usize {
        self.prefix.len()
    }

    #[flow]
    async fn pipeline(self: Arc<Self>) -> Result<()> {
        assert_eq!(self.borrowed("a").await?, "p-a");
        assert_eq!(self.named("b").await?, "p-b");
        assert_eq!((*self).clone().owned("c").await?, "p-c");
        assert_eq!(Arc::clone(&self).shared("d").await?, "p-d");
        assert_eq!(self.lent().await?, 2);
        assert_eq!(self.blocking().await?, 2);
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let runtime = Runtime::builder().build().await?;
    runtime
        .run(Arc::new(Store { prefix: "p-".into() }).pipeline())
        .await
        .into_result()?;
    Ok(())
}
