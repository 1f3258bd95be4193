//! A module may have types and macros of its own that are called like those of the prelude.
#![allow(dead_code, unused_macros)]

struct Ok;
struct Err;
struct Some;
struct None;
struct Option;
struct String;
struct Box;
trait Send {}
trait Sync {}
trait Clone {}
trait Into {}
trait FnOnce {}
mod core {}
mod std {}
mod flowkit {}
type Outcome<T> = ::std::result::Result<T, ::flowkit::BoxError>;
/// Only the last segment counts.
type Result<T> = Outcome<T>;

macro_rules! format {
    ($($tokens:tt)*) => {
        compile_error!("not this one")
    };
}

#[::flowkit::task(
    cache,
    run_name = "{n}",
    retries = 1,
    retry_delay = ["1s", "2s"],
    retry_if = |_| true,
    timeout = "1s",
    cache_includes(TABLE, counted)
)]
async fn task(n: u8) -> Result<u8> {
    ::std::result::Result::Ok(n)
}

#[::flowkit::task(cache_key = |n| *n)]
fn keyed(n: u8, text: &str) -> u8 {
    n + text.len() as u8
}

#[::flowkit::fingerprint(cache_includes(TABLE))]
fn counted() {}

const TABLE: &[u8] = &[1];

#[::flowkit::flow]
async fn flow(n: u8) -> Result<u8> {
    ::std::result::Result::Ok(task(n).await? + keyed(1, "a").await?)
}

impl Ok {
    #[::flowkit::task(cache, associated)]
    async fn method(n: u8) -> u8 {
        n
    }
}

#[::tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let runtime = ::flowkit::Runtime::builder().build().await?;
    assert_eq!(runtime.run(flow(1)).await.into_result()?, 3);
    ::std::result::Result::Ok(())
}
