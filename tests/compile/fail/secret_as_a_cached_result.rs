use flowkit::Secret;
use flowkit::prelude::*;

#[task(cache)]
async fn token(user: &str) -> Secret<String> {
    Secret::new(user.to_owned())
}

#[flow]
async fn logs_in(user: Option<Secret<String>>) -> Result<()> {
    greet(user).await?;
    Ok(())
}

#[task(cache)]
async fn greet(user: Option<Secret<String>>) -> usize {
    user.map_or(0, |user| user.expose_secret().len())
}

fn main() {}
