//! How a flow ends: by what it returns, never by a state that it makes up.

use flowkit::prelude::*;

/// An error that carries data.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    message: &'static str,
    data: &'static str,
}

impl std::fmt::Display for Told {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.message)
    }
}

impl std::error::Error for Told {}

#[task]
async fn fine(n: u32) -> u32 {
    n
}

#[task]
async fn fails(reason: &str) -> Result<u32> {
    Err(reason.into())
}

#[task]
async fn endless() -> u32 {
    std::future::pending::<()>().await;
    0
}

// 64
#[tokio::test]
async fn a_flow_completes_with_its_value_and_fails_with_its_error() {
    #[flow]
    async fn raising() -> Result<()> {
        Err("no such plant".into())
    }
    #[flow]
    async fn silent() {}
    let run = raising().run().await;
    assert_eq!(run.state(), State::Failed);
    let error = run.into_result().unwrap_err();
    assert_eq!((error.kind(), error.name()), (ErrorKind::Failed, "raising"));
    assert!(format!("{error:?}").contains("no such plant"), "{error:?}");
    assert_eq!(silent().run().await.state(), State::Completed);
}

// 65
#[tokio::test]
async fn the_error_of_a_flow_keeps_its_message_and_its_data() {
    #[flow]
    async fn telling() -> Result<u32, Told> {
        Err(Told {
            message: "Test returned state",
            data: "hello!",
        })
    }
    let run = telling().run().await;
    assert!(
        run.record()
            .error
            .as_ref()
            .unwrap()
            .contains("Test returned state")
    );
    let error = run.into_result().unwrap_err();
    assert_eq!(error.downcast_ref::<Told>().unwrap().data, "hello!");
}

// 67, 68, 77: the first error in order is the flow's, all are in its record.
#[tokio::test]
async fn of_several_failures_the_first_in_order_is_the_flows_and_all_are_counted() {
    #[flow]
    async fn two_of_three() -> Result<Vec<u32>> {
        let runs = [
            fine(1).submit(),
            fails("first").submit(),
            fails("second").submit(),
        ];
        for run in &runs {
            run.wait(std::time::Duration::MAX).await;
        }
        Ok(all(&runs).await?)
    }
    let run = two_of_three().run().await;
    assert_eq!(run.state(), State::Failed);
    let error = run.result().unwrap_err();
    assert!(format!("{error:?}").contains("first"), "{error:?}");
    assert_eq!(error.task_run_id(), Some(run.tasks()[1].id));
    assert_eq!((run.counts().completed, run.counts().failed), (1, 2));
}

// 71
#[tokio::test]
async fn a_flow_that_passes_a_cancelled_run_on_does_not_complete() {
    #[flow]
    async fn waits_for_ever() -> Result<u32> {
        Ok(endless().await?)
    }
    #[flow]
    async fn passing_on() -> Result<u32> {
        let child = waits_for_ever().submit();
        tokio::task::yield_now().await;
        child.cancel();
        Ok(child.await?)
    }
    let run = passing_on().run().await;
    let child = &run.tasks()[0];
    assert_eq!(child.state, State::Cancelled);
    let inside = child.subflow.as_ref().unwrap();
    assert_eq!(inside.state, State::Cancelled);
    assert_eq!(run.state(), State::Failed, "the flow itself was not cancelled");
    assert!(run.result().unwrap_err().is_cancelled());
}

// 70
#[tokio::test]
async fn cancelled_failed_and_completed_runs_are_counted_apart() {
    #[flow]
    async fn one_of_each() -> Result<()> {
        let (done, broken, stopped) = (fine(1).submit(), fails("no").submit(), endless().submit());
        stopped.cancel();
        drop((done.await, broken.await, stopped.await));
        Ok(())
    }
    let run = one_of_each().run().await;
    let counts = run.counts();
    assert_eq!((counts.completed, counts.failed, counts.cancelled), (1, 1, 1));
    assert_eq!(run.state(), State::Completed, "all three were looked at");
}

// 74
#[tokio::test]
async fn errors_and_states_that_are_only_data_do_not_fail_a_flow() {
    #[flow]
    async fn nothing() -> Result<Vec<State>> {
        Ok(Vec::new())
    }
    #[flow]
    async fn collected() -> Result<Vec<std::result::Result<u32, flowkit::Error>>> {
        Ok(vec![fails("known").await, fine(2).await])
    }
    let run = nothing().run().await;
    assert_eq!(
        (run.state(), run.into_result().unwrap().len()),
        (State::Completed, 0)
    );
    let run = collected().run().await;
    assert_eq!(run.state(), State::Completed);
    assert_eq!(
        run.into_result().unwrap()[0].as_ref().unwrap_err().name(),
        "fails"
    );
}

// 76
#[tokio::test]
async fn each_kind_of_end_has_an_error_of_its_own() {
    #[task]
    async fn panics() -> u32 {
        panic!("the floor is wet")
    }
    #[flow]
    async fn kinds() -> Result<Vec<(ErrorKind, State, String)>> {
        let runs = [
            fails("the door is shut").submit(),
            panics().submit(),
            endless().submit(),
        ];
        runs[2].cancel();
        let mut ends = Vec::new();
        for run in &runs {
            let error = run.await.unwrap_err();
            ends.push((error.kind(), run.state(), format!("{error:?}")));
        }
        Ok(ends)
    }
    let ends = kinds().await.unwrap();
    let kinds: Vec<_> = ends.iter().map(|(kind, state, _)| (*kind, *state)).collect();
    let expected = [
        (ErrorKind::Failed, State::Failed),
        (ErrorKind::Crashed, State::Crashed),
        (ErrorKind::Cancelled, State::Cancelled),
    ];
    assert_eq!(kinds, expected);
    for (end, message) in ends
        .iter()
        .zip(["the door is shut", "the floor is wet", "was cancelled"])
    {
        assert!(end.2.contains(message), "{}", end.2);
    }
}
