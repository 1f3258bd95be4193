//! What of a user's code runs beside a body (names, keys, codecs) and is no better than the body: its panics are caught too.

use std::fmt;
use std::num::NonZeroUsize;

use flowkit::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Panics when it is printed.
#[derive(Clone)]
struct Unprintable;

impl fmt::Display for Unprintable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        unreachable!("it does not say")
    }
}

#[task(run_name = "of {what}")]
async fn named(what: Unprintable) {
    let _ = what;
}

#[flow(run_name = "of {what}")]
async fn named_flow(what: Unprintable) -> Result<()> {
    let _ = what;
    Ok(())
}

fn crashed(error: &flowkit::Error) {
    assert_eq!(error.kind(), ErrorKind::Crashed);
    assert!(error.to_string().contains("it does not say"), "{error}");
}

#[tokio::test]
async fn a_name_that_panics_crashes_its_run_and_nothing_else() {
    #[flow]
    async fn all_ways() -> Result<()> {
        crashed(&named(Unprintable).await.unwrap_err());
        crashed(&named(Unprintable).submit().await.unwrap_err());
        crashed(&named_flow(Unprintable).await.unwrap_err());
        crashed(&named_flow(Unprintable).submit().await.unwrap_err());
        let one_lane = NonZeroUsize::MIN;
        let items = (0..3).map(|_| named(Unprintable)).concurrency(one_lane);
        let outcomes = items.submit_all().outcomes().await;
        assert_eq!(outcomes.failures().count(), 3);
        outcomes.failures().for_each(|(_, error)| crashed(error));
        Ok(())
    }
    let run = all_ways().run().await;
    assert_eq!(run.tasks()[0].state, State::Crashed);
    run.into_result().unwrap();
}

#[tokio::test]
async fn an_input_that_panics_when_it_is_cloned_for_an_attempt_crashes_its_run_and_nothing_else() {
    struct OfAKind;
    impl Clone for OfAKind {
        fn clone(&self) -> Self {
            unreachable!("it does not say")
        }
    }
    #[task(retries = 1)]
    async fn given(what: OfAKind) -> Result<()> {
        let _ = what;
        Ok(())
    }
    #[flow(retries = 1)]
    async fn given_flow(what: OfAKind) -> Result<()> {
        let _ = what;
        Ok(())
    }
    #[flow]
    async fn all_ways() -> Result<()> {
        crashed(&given(OfAKind).await.unwrap_err());
        crashed(&given(OfAKind).submit().await.unwrap_err());
        crashed(&given_flow(OfAKind).await.unwrap_err());
        crashed(&given_flow(OfAKind).submit().await.unwrap_err());
        Ok(())
    }
    all_ways().run().await.into_result().unwrap();
    let root = given_flow(OfAKind).run().await;
    assert_eq!(root.state(), State::Crashed);
}

/// Panics when it is written, or when it is read.
#[derive(Clone, Debug, PartialEq)]
struct Awkward {
    to_write: bool,
    to_read: bool,
}

impl Serialize for Awkward {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(!self.to_write, "it cannot be written");
        self.to_read.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Awkward {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let to_read = bool::deserialize(deserializer)?;
        assert!(!to_read, "it cannot be read");
        Ok(Self {
            to_write: false,
            to_read,
        })
    }
}

#[task(cache)]
async fn passed_on(value: Awkward) -> Awkward {
    value
}

#[task(cache)]
async fn made(to_write: bool) -> Awkward {
    Awkward {
        to_write,
        to_read: !to_write,
    }
}

#[tokio::test]
async fn a_value_that_panics_when_it_is_written_or_read_leaves_its_task_uncached_and_says_why() {
    #[flow]
    async fn all_ways() -> Result<()> {
        let to_write = Awkward {
            to_write: true,
            to_read: false,
        };
        assert_eq!(passed_on(to_write.clone()).await?, to_write);
        assert!(made(true).await?.to_write);
        assert!(made(false).await?.to_read);
        assert!(
            made(false).await?.to_read,
            "what was kept cannot be read, and it runs again"
        );
        Ok(())
    }
    let runtime = Runtime::builder().build().await.unwrap();
    let run = runtime.run(all_ways()).await;
    let reasons: Vec<_> = run.tasks().iter().map(|task| task.uncached.clone()).collect();
    let says = |index: usize, words: &str| reasons[index].as_ref().unwrap().contains(words);
    assert!(says(0, "it panicked: it cannot be written"), "{reasons:?}");
    assert!(says(1, "it panicked: it cannot be written"), "{reasons:?}");
    assert_eq!(reasons[2], None, "it was kept");
    assert!(says(3, "it panicked: it cannot be read"), "{reasons:?}");
    assert_eq!(run.state(), State::Completed);
}

#[tokio::test]
async fn a_time_that_no_clock_reaches_is_no_limit() {
    use std::time::Duration;
    #[task]
    async fn quick() -> u8 {
        7
    }
    let options = TaskOptions::new()
        .timeout(Duration::MAX)
        .total_timeout(Duration::MAX)
        .retry_delay(Duration::MAX)
        .retries(1);
    assert_eq!(quick().with(options).await.unwrap(), 7);
}

#[tokio::test]
async fn a_panic_is_told_with_its_message_and_its_place() {
    #[task]
    async fn unlucky() {
        unreachable!("no luck");
    }
    #[task]
    fn unlucky_blocking() {
        unreachable!("no luck");
    }
    for error in [
        unlucky().await.unwrap_err(),
        unlucky_blocking().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Crashed);
        let said = error.to_string();
        assert!(
            said.contains("no luck") && said.contains("user_code.rs:"),
            "{said}"
        );
    }
}
