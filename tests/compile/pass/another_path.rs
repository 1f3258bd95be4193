//! `crate = path` says where flowkit is, for crates that pass it on under a name of their own.

mod engine {
    pub(crate) use flowkit::*;
}

#[engine::task(crate = crate::pass::another_path::engine, cache, cache_includes(counted))]
async fn add(n: u8) -> engine::Result<u8> {
    Ok(n + 1)
}

#[engine::fingerprint(crate = crate::pass::another_path::engine)]
fn counted() {}

#[engine::flow(crate = engine)]
async fn sum(n: u8) -> engine::Result<u8> {
    Ok(add(add(n)).await?)
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> engine::Result<()> {
    counted();
    assert_eq!(
        engine::Runtime::builder()
            .build()
            .await?
            .run(sum(1))
            .await
            .into_result()?,
        3
    );
    Ok(())
}
