//! No parameters, one, twelve, and resources beside them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowkit::prelude::*;

struct Pool(u8);

#[derive(Clone)]
struct Client(u8);

#[task(cache)]
async fn none() -> u8 {
    1
}

#[task(cache)]
async fn one(path: &Path) -> PathBuf {
    path.to_owned()
}

#[task(cache, retries = 1)]
#[allow(clippy::too_many_arguments)]
async fn twelve(
    a: u8,
    b: u8,
    c: &u8,
    d: &[u8],
    e: &str,
    f: String,
    g: Vec<u8>,
    h: Option<u8>,
    i: (u8, u8),
    j: [u8; 2],
    k: bool,
    l: char,
    #[resource] pool: &Pool,
    #[resource] client: Client,
) -> usize {
    let sums = usize::from(a + b + c + pool.0 + client.0 + i.0 + i.1 + j[0] + j[1] + u8::from(k));
    sums + d.len() + e.len() + f.len() + g.len() + h.map_or(0, usize::from) + l.len_utf8()
}

/// Taken whole, and not `Clone`: this task has no retries.
struct Token;

#[task]
async fn whole(token: Token) {
    let Token = token;
}

#[flow]
async fn all_of_them() -> Result<usize> {
    whole(Token).await?;
    one(Path::new("a")).await?;
    let g = Arc::new(vec![1u8]);
    Ok(twelve(
        none().submit(),
        1,
        1,
        vec![1],
        "e",
        "f",
        g,
        Some(1),
        (1, 1),
        [1, 1],
        true,
        'l',
    )
    .await?)
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let runtime = Runtime::builder()
        .resource(Pool(1))
        .resource(Client(1))
        .build()
        .await?;
    assert_eq!(runtime.run(all_of_them()).await.into_result()?, 16);
    Ok(())
}
