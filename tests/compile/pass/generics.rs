//! Type parameters, const parameters, bounds, where clauses and lifetimes.

use std::fmt::{Debug, Display};

use flowkit::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[task]
async fn show<T: Display>(value: T) -> String {
    value.to_string()
}

#[task(cache, retries = 1)]
async fn keep<T>(value: T) -> T
where
    T: Serialize + DeserializeOwned + Clone,
{
    value
}

#[task(cache, run_name = "first-of-{values:?}")]
async fn first<'a, T: Debug + Clone + Serialize + DeserializeOwned + 'a, const N: usize>(
    values: &'a [T],
) -> Vec<T> {
    values.iter().take(N).cloned().collect()
}

#[task]
async fn longer<'a, 'b: 'a>(one: &'a str, other: &'b str) -> String {
    if one.len() < other.len() {
        other.to_owned()
    } else {
        one.to_owned()
    }
}

#[task]
async fn apply<F>(function: F) -> u8
where
    F: for<'x> Fn(&'x str) -> u8,
{
    function("abc")
}

#[task]
async fn pointer(function: fn(&str) -> usize, boxed: Box<dyn Fn(&str) -> usize + Send + Sync>) -> usize {
    function("a") + boxed("b")
}

#[flow]
async fn all_of_them() -> Result<()> {
    assert_eq!(show(5).await?, "5");
    assert_eq!(keep(vec![1u8]).await?, [1]);
    assert_eq!(first::<u8, 2>(vec![1u8, 2, 3]).await?, [1, 2]);
    assert_eq!(
        first::<u8, 1>(vec![1u8, 2, 3]).await?,
        [1],
        "a const parameter is part of the key"
    );
    assert_eq!(longer("a", String::from("bc")).await?, "bc");
    assert_eq!(apply(|text: &str| text.len() as u8).await?, 3);
    assert_eq!(
        pointer(
            str::len as fn(&str) -> usize,
            Box::new(str::len) as Box<dyn Fn(&str) -> usize + Send + Sync>
        )
        .await?,
        2
    );
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let runtime = Runtime::builder().build().await?;
    runtime.run(all_of_them()).await.into_result()?;
    Ok(())
}
