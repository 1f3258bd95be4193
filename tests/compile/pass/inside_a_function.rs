//! A task may be declared where it is used, and two of one name in two functions are two tasks.

use flowkit::prelude::*;

async fn one() -> Result<u8> {
    const STEP: u8 = 1;
    #[task(cache)]
    async fn add(n: u8) -> u8 {
        n + STEP
    }
    Ok(add(1).await?)
}

async fn other() -> Result<u8> {
    const STEP: u8 = 2;
    #[task(cache)]
    async fn add(n: u8) -> u8 {
        n + STEP
    }
    Ok(add(1).await?)
}

#[flow]
async fn both() -> Result<(u8, u8)> {
    Ok((one().await?, other().await?))
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let runtime = Runtime::builder().build().await?;
    assert_eq!(
        runtime.run(both()).await.into_result()?,
        (2, 3),
        "their keys differ"
    );
    Ok(())
}
