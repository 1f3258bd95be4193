use flowkit::prelude::*;

#[tokio::main]
async fn main() -> Result<()> {
    Runtime::builder().observe(|event| drop(event)).build().await?;
    Ok(())
}
