//! Subflows, runtimes and their shutdown, determinism, and how a run is drawn.

use std::time::{Duration, SystemTime};

use flowkit::prelude::*;
use flowkit::{SeededIds, TokioClock};

#[task]
async fn square(n: u64) -> u64 {
    n * n
}

#[flow]
async fn child(n: u64) -> Result<u64> {
    Ok(square(n).await?)
}

// 178, 179
#[tokio::test]
async fn subflows_run_side_by_side_and_are_linked_to_their_parent() {
    #[flow]
    async fn parent() -> Result<Vec<u64>> {
        let children: Vec<_> = (0..5u64).map(|n| child(n).submit()).collect();
        Ok(all(children).await?)
    }
    let run = parent().run().await;
    assert_eq!(run.result().unwrap(), &[0, 1, 4, 9, 16]);
    let inside = run.tasks()[4].subflow.as_ref().unwrap();
    assert_ne!(inside.id, run.id());
    assert_eq!((inside.state, inside.tasks.len()), (State::Completed, 1));
}

// 109
#[tokio::test(start_paused = true)]
async fn the_time_of_a_subflow_begins_when_its_body_does() {
    #[task]
    async fn slow() {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    #[flow(timeout = "1s")]
    async fn quick() -> Result<u8> {
        Ok(1)
    }
    #[flow]
    async fn parent() -> Result<u8> {
        let first = slow().submit();
        Ok(quick().wait_for([&first]).await?)
    }
    assert_eq!(parent().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_waits_and_then_cancels() {
    #[flow]
    async fn endless() -> Result<()> {
        std::future::pending::<()>().await;
        Ok(())
    }
    let runtime = Runtime::builder().build().await.unwrap();
    let running = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.run(endless()).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(runtime.shutdown(Duration::from_secs(10)).await, 1);
    assert_eq!(running.await.unwrap().state(), State::Cancelled);
    let refused = runtime.run(child(1u64)).await.into_result().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn dropping_a_run_cancels_what_it_submitted() {
    struct Told(Option<tokio::sync::oneshot::Sender<()>>);
    impl Drop for Told {
        fn drop(&mut self) {
            if let Some(told) = self.0.take() {
                let _ = told.send(());
            }
        }
    }
    #[task]
    async fn endless(told: std::sync::Arc<std::sync::Mutex<Option<tokio::sync::oneshot::Sender<()>>>>) {
        let _told = Told(told.lock().unwrap().take());
        std::future::pending::<()>().await;
    }
    #[flow]
    async fn waiting(
        told: std::sync::Arc<std::sync::Mutex<Option<tokio::sync::oneshot::Sender<()>>>>,
    ) -> Result<()> {
        Ok(endless(told).submit().await?)
    }
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = std::sync::Arc::new(std::sync::Mutex::new(Some(tell)));
    let running = tokio::spawn(async move { waiting(tell).run().await });
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    running.abort();
    told.await.expect("the body of the task was dropped");
}

// Invariant 9
#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_record() {
    #[task(retries = 2, retry_delay = "1s", retry_jitter = 0.5)]
    async fn flaky(n: u64) -> Result<u64> {
        let attempt = flowkit::current_run().map_or(0, |run| run.attempt());
        if attempt < 2 { Err("not yet".into()) } else { Ok(n) }
    }
    #[flow]
    async fn seeded() -> Result<u64> {
        let handles: Vec<_> = (0..10u64).map(|n| flaky(n).submit()).collect();
        Ok(all(handles).await?.iter().sum())
    }
    let mut records = Vec::new();
    for _ in 0..2 {
        let runtime = Runtime::builder()
            .clock(TokioClock::starting_at(SystemTime::UNIX_EPOCH))
            .ids(SeededIds::new(7))
            .randomness(flowkit::FastRandomness::seeded(7))
            .build()
            .await
            .unwrap();
        records.push(runtime.run(seeded()).await.to_json());
    }
    assert_eq!(records[0], records[1]);
}

#[tokio::test]
async fn a_run_is_drawn_with_its_edges_and_states() {
    #[flow]
    async fn drawn() -> Result<u64> {
        let two = square(2u64).named("two \"squared\"").submit();
        Ok(square(two).await?)
    }
    let run = drawn().run().await;
    let mermaid = run.graph().to_mermaid();
    assert!(mermaid.starts_with("flowchart TD\n"), "{mermaid}");
    assert!(mermaid.contains("n0 -->|n| n1"), "{mermaid}");
    assert!(run.graph().to_dot().contains("n0 -> n1 [label=\"n\"]"));
    let json: serde_json::Value = serde_json::from_str(&run.to_json()).unwrap();
    assert_eq!(json["state"], "Completed");
    assert_eq!(json["tasks"][0]["name"], "two \"squared\"");
    assert_eq!(json["tasks"][0]["attempts"], 1);
    assert_eq!(json["edges"][0]["parameter"], "n");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_flow_includes_what_it_submitted() {
    use std::time::Duration;
    #[task]
    async fn hour() {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    #[flow(timeout = "1s")]
    async fn hasty() -> Result<()> {
        drop(hour().submit());
        Ok(())
    }
    let began = tokio::time::Instant::now();
    let run = hasty().run().await;
    assert_eq!(run.state(), State::TimedOut);
    assert_eq!(run.tasks()[0].state, State::Cancelled);
    assert_eq!(began.elapsed(), Duration::from_secs(1));
}

#[tokio::test]
async fn calls_of_flows_are_grouped_and_tolerated_like_those_of_tasks() {
    #[flow]
    async fn child(n: u64) -> Result<u64> {
        if n == 0 { Err("zero".into()) } else { Ok(n) }
    }
    #[task]
    async fn total(numbers: Vec<u64>) -> u64 {
        numbers.iter().sum()
    }
    #[task]
    async fn or_nothing(number: Result<u64, flowkit::Error>) -> u64 {
        number.unwrap_or_default()
    }
    #[flow]
    async fn parent() -> Result<(u64, u64)> {
        let sum = total(all([child(1u64), child(2u64)])).await?;
        Ok((sum, or_nothing(allow_failure(child(0u64))).await?))
    }
    assert_eq!(parent().await.unwrap(), (3, 0));
}
