//! A task that is not async runs on the pool for blocking work.

use flowkit::prelude::*;

#[task(cache, retries = 1, retry_if = |error: &std::num::ParseIntError| error.to_string().is_empty())]
fn parse(text: &str, radix: u32) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(text, radix)
}

#[task]
fn double(n: u64) -> u64 {
    n * 2
}

#[flow]
async fn chain() -> Result<u64> {
    let parsed = parse("ff", 16u32).submit();
    Ok(double(parsed).await?)
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    assert_eq!(
        Runtime::builder()
            .build()
            .await?
            .run(chain())
            .await
            .into_result()?,
        510
    );
    assert_eq!(parse::unorchestrated("10", 2)?, 2);
    Ok(())
}
