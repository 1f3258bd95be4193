//! Parameters may be called what they like, also like what the expansion uses.

use flowkit::prelude::*;

#[task(
    cache,
    retries = 1,
    run_name = "{type} {attempt:>width$} {inputs:?}",
    cache_exclude(r#move)
)]
#[allow(clippy::too_many_arguments)]
async fn odd(
    attempt: u8,
    hasher: &str,
    inputs: Vec<u8>,
    result: String,
    value: &[u8],
    r#type: u8,
    r#move: u8,
    width: usize,
    _unused: u8,
    mut changed: u8,
) -> Result<u8> {
    changed += attempt + r#type + r#move + inputs.len() as u8 + value.len() as u8 + hasher.len() as u8;
    Ok(changed + result.len() as u8 + width as u8)
}

#[task(cache_key = |hasher, inputs: &Vec<u8>, r#type| -> Option<(String, usize)> {
    if *r#type == 0 {
        return None;
    }
    Some((hasher.to_uppercase(), inputs.len()))
})]
async fn keyed(hasher: &str, inputs: Vec<u8>, r#type: u8) -> usize {
    hasher.len() + inputs.len() + usize::from(r#type)
}

#[task]
async fn definition(definition: u8, __flowkit: u8, shim: u8) -> u8 {
    definition + __flowkit + shim
}

#[task]
async fn r#loop(r#loop: u8) -> u8 {
    r#loop
}

#[task]
#[expect(non_snake_case)]
async fn Loud(LOUD: u8) -> u8 {
    LOUD
}

#[flow]
async fn all_odd(attempt: u8) -> Result<u8> {
    let odd = odd(attempt, "a", vec![1], "r", vec![1, 2], 1, 2, 3usize, 4, 5).await?;
    keyed("a", vec![1, 2], 3).await?;
    Ok(odd + definition(1, 2, 3).await? + r#loop(1).await? + Loud(1).await?)
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    let odd = Runtime::builder()
        .build()
        .await?
        .run(all_odd(1))
        .await
        .into_result()?;
    assert_eq!(odd, 17 + 6 + 1 + 1);
    assert_eq!(r#loop::NAME, "loop");
    assert_eq!(odd::DEFINITION.parameters().get(5), Some(&"type"));
    Ok(())
}
