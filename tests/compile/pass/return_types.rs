//! A return type whose last segment is `Result` can fail; any other cannot.

use std::io;

use flowkit::prelude::*;

mod anyway {
    #[derive(Debug)]
    pub(crate) struct Error(pub(crate) String);

    impl<E: std::error::Error> From<E> for Error {
        fn from(error: E) -> Self {
            Self(error.to_string())
        }
    }

    impl From<Error> for Box<dyn std::error::Error + Send + Sync> {
        fn from(error: Error) -> Self {
            error.0.into()
        }
    }

    pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;
}

#[task]
async fn nothing() {}

#[task]
async fn unit() -> () {}

#[task]
async fn never_fails() -> Option<u8> {
    None
}

#[task]
async fn of_io() -> io::Result<u8> {
    Ok(1)
}

#[task(cache)]
async fn of_anyway(text: &str) -> anyway::Result<u8> {
    Ok(text.parse()?)
}

#[task(retries = 1, retry_if = |error| !error.is_empty())]
async fn of_string() -> std::result::Result<u8, String> {
    Err("no".into())
}

#[task]
async fn of_flowkit() -> Result<Vec<u8>> {
    Ok(vec![of_io().await?])
}

#[task]
#[allow(unused_parens)]
async fn in_brackets() -> (Result<u8>) {
    Err("no".into())
}

macro_rules! task_that_returns {
    ($output:ty) => {
        #[task]
        async fn of_a_macro() -> $output {
            Err("no".into())
        }
    };
}

task_that_returns!(Result<u8>);

#[flow]
async fn cannot_fail() -> usize {
    usize::from(of_string().await.is_err())
}

#[flow]
async fn all_of_them() -> Result<()> {
    nothing().await?;
    unit().await?;
    assert_eq!(never_fails().await?, None);
    assert_eq!(of_anyway("7").await?, 7);
    assert!(of_anyway("x").await.is_err());
    assert_eq!(of_flowkit().await?, [1]);
    assert!(in_brackets().await.is_err());
    assert!(of_a_macro().await.is_err());
    assert_eq!(cannot_fail().await?, 1);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<()> {
    Runtime::builder()
        .build()
        .await?
        .run(all_of_them())
        .await
        .into_result()?;
    Ok(())
}
