//! Functions in an `impl` block that have no receiver: those that mention `Self` are recognised, others say `associated`.

use std::time::Duration;

use flowkit::prelude::*;

struct Loader<T>(T);

impl<T: Default + Into<u64> + Send + Sync + 'static> Loader<T> {
    const LIMIT: Duration = Duration::from_secs(5);

    #[task(timeout = Self::LIMIT)]
    async fn start() -> u64 {
        Self::zero()
    }

    #[task(associated, cache)]
    async fn answer() -> u8 {
        42
    }

    fn zero() -> u64 {
        T::default().into()
    }
}

#[flow]
async fn both() -> Result<()> {
    assert_eq!(Loader::<u32>::start().await?, 0);
    assert_eq!(Loader::<u8>::answer().await?, 42);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    Runtime::builder()
        .build()
        .await?
        .run(both())
        .await
        .into_result()?;
    Ok(())
}
