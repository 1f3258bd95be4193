//! What a run waits for, and what its record says of that: edges, parents, allowed failures.

use std::collections::BTreeSet;

use flowkit::prelude::*;

use crate::failures::{Broken, fails};

#[task]
async fn number(n: u32) -> u32 {
    n
}

#[task]
async fn pair(x: u32, y: u32) -> u32 {
    x + y
}

#[task]
async fn add_one(n: u32) -> Result<u32> {
    if n == 2 { Err("not two".into()) } else { Ok(n + 1) }
}

/// The edges of a run: from which node, to which, or to which item of it, and for which parameter.
fn edges<T>(run: &FlowRun<T>) -> Vec<(u32, u32, Option<u32>, Option<&'static str>)> {
    let edges = run.record().edges.iter();
    edges
        .map(|edge| (edge.from.node(), edge.to.node(), edge.to.item(), edge.parameter))
        .collect()
}

// 22, 23
#[tokio::test]
async fn an_allowed_failure_keeps_its_type_its_message_and_its_place() {
    #[task]
    async fn tell(outcome: std::result::Result<u32, flowkit::Error>) -> Option<Broken> {
        outcome.err()?.downcast_ref::<Broken>().cloned()
    }
    #[task]
    async fn values(outcomes: Vec<std::result::Result<u32, flowkit::Error>>) -> Vec<Option<u32>> {
        outcomes.into_iter().map(std::result::Result::ok).collect()
    }
    #[flow]
    async fn tolerant() -> Result<(Option<Broken>, Vec<Option<u32>>)> {
        let failed = fails().submit();
        let told = tell(allow_failure(&failed)).await?;
        let group = all([failed, number(1).submit(), number(2).submit()]);
        Ok((told, values(allow_failure(group)).await?))
    }
    let (told, values) = tolerant().await.unwrap();
    assert_eq!(told, Some(Broken("no such host")));
    assert_eq!(values, [None, Some(1), Some(2)]);
}

// 25
#[tokio::test]
async fn a_subflow_waits_for_what_it_is_told_to_and_tolerates_what_it_may() {
    #[flow]
    async fn child() -> Result<u32> {
        Ok(2)
    }
    #[flow]
    async fn strict() -> Result<u32> {
        let failed = fails().submit();
        Ok(child().wait_for([&failed]).await?)
    }
    #[flow]
    async fn tolerant() -> Result<u32> {
        let failed = fails().submit();
        Ok(child().wait_for([allow_failure(&failed)]).await?)
    }
    let run = strict().run().await;
    assert_eq!(run.state(), State::Failed);
    let error = run.result().unwrap_err();
    assert_eq!(
        (error.kind(), error.root().name()),
        (ErrorKind::UpstreamFailed, "fails")
    );
    let child = run.task("child").unwrap();
    assert_eq!((child.state, child.attempts), (State::UpstreamFailed, 0));
    assert_eq!(tolerant().await.unwrap(), 2);
}

// 26
#[tokio::test]
async fn a_cleanup_runs_after_a_chain_that_failed_in_the_middle() {
    #[task]
    async fn cleanup() -> &'static str {
        "clean"
    }
    #[flow]
    async fn chain() -> Result<&'static str> {
        let ones = (1..=3u32).map(add_one).submit_all();
        let twos = ones.handles().map(|one| pair(one, 2u32)).submit_all();
        let cleaned = cleanup().wait_for([allow_failure(&twos)]).submit();
        let states: Vec<_> = {
            (&cleaned).await?;
            twos.states()
        };
        assert_eq!(
            states,
            [State::Completed, State::UpstreamFailed, State::Completed],
            "it waited for all of them"
        );
        Ok(cleaned.await?)
    }
    assert_eq!(chain().await.unwrap(), "clean");
}

// 28
#[tokio::test]
async fn edges_say_which_parameter_a_run_feeds() {
    #[flow]
    async fn feeding() -> Result<u32> {
        let a = number(1).submit();
        Ok(pair(&a, 1u32).await? + pair(&a, &a).await?)
    }
    let run = feeding().run().await;
    assert_eq!(run.result().unwrap(), &4);
    let expected = [
        (0, 1, None, Some("x")),
        (0, 2, None, Some("x")),
        (0, 2, None, Some("y")),
    ];
    assert_eq!(edges(&run), expected);
}

// 29, 62: a group is what a parameter takes that comes from several runs.
#[tokio::test]
async fn every_run_of_a_group_is_an_upstream_of_its_parameter() {
    #[task]
    async fn sums(x: Vec<u32>, y: Vec<u32>) -> (u32, u32) {
        (x.iter().sum(), y.iter().sum())
    }
    #[flow]
    async fn grouped() -> Result<(u32, u32)> {
        let (a, b, c) = (number(1).submit(), number(2).submit(), number(3).submit());
        Ok(sums(all([&a, &a, &b]), all([&b, &c])).await?)
    }
    let run = grouped().run().await;
    assert_eq!(run.result().unwrap(), &(4, 5), "the shape and the order are kept");
    let upstreams = |parameter| -> BTreeSet<u32> {
        let edges = edges(&run).into_iter();
        edges
            .filter(|edge| edge.3 == Some(parameter))
            .map(|edge| edge.0)
            .collect()
    };
    assert_eq!(upstreams("x"), BTreeSet::from([0, 1]));
    assert_eq!(upstreams("y"), BTreeSet::from([1, 2]));
}

// 31
#[tokio::test]
async fn a_run_records_the_one_that_called_it_and_no_other_above() {
    #[task]
    async fn inner() -> u32 {
        1
    }
    #[task]
    async fn middle() -> Result<u32> {
        Ok(inner().submit().await?)
    }
    #[task]
    async fn outer() -> Result<u32> {
        Ok(middle().await?)
    }
    #[flow]
    async fn nested() -> Result<u32> {
        Ok(outer().await?)
    }
    let run = nested().run().await;
    let id = |name| run.task(name).unwrap().id;
    let parent = |name| run.task(name).unwrap().parent;
    assert_eq!(parent("outer"), None);
    assert_eq!(parent("middle"), Some(id("outer")));
    assert_eq!(parent("inner"), Some(id("middle")));
}

// 32
#[tokio::test]
async fn an_upstream_that_may_fail_is_an_upstream_all_the_same() {
    #[task]
    async fn failed(outcome: std::result::Result<u32, flowkit::Error>) -> bool {
        outcome.is_err()
    }
    #[flow]
    async fn tolerant() -> Result<bool> {
        let upstream = fails().submit();
        Ok(failed(allow_failure(&upstream)).await?)
    }
    let run = tolerant().run().await;
    assert_eq!(run.result().unwrap(), &true);
    assert_eq!(edges(&run), [(0, 1, None, Some("outcome"))]);
}

// 46
#[tokio::test]
async fn every_item_of_a_fan_out_may_be_given_the_same_failure() {
    #[task]
    async fn both(n: u32, outcome: std::result::Result<u32, flowkit::Error>) -> (u32, Option<Broken>) {
        let error = outcome.err();
        (n, error.and_then(|error| error.downcast_ref::<Broken>().cloned()))
    }
    #[flow]
    async fn tolerant() -> Result<Vec<(u32, Option<Broken>)>> {
        let failed = fails().submit();
        let items = (1..=3u32).map(|n| both(n, allow_failure(&failed)));
        Ok(items.submit_all().await?)
    }
    let broken = || Some(Broken("no such host"));
    let expected = [(1, broken()), (2, broken()), (3, broken())];
    assert_eq!(tolerant().await.unwrap(), expected);
}

// 47
#[tokio::test]
async fn each_item_of_a_fan_out_has_the_edges_of_its_own_inputs() {
    #[flow]
    async fn mapping() -> Result<()> {
        let (x, other) = (number(1).submit(), number(2).submit()); // nodes 0 and 1
        let differing = [&x, &other].into_iter().map(|one| pair(one, 1u32));
        differing.submit_all().await?; // node 2
        let mixed = [pair(&x, 1u32), pair(2u32, 1u32)];
        mixed.into_iter().submit_all().await?; // node 3
        let everywhere = (0..2u32).map(|n| pair(n, &x));
        everywhere.submit_all().await?; // node 4
        Ok(())
    }
    let run = mapping().run().await;
    assert_eq!(run.state(), State::Completed);
    let expected = [
        (0, 2, Some(0), Some("x")),
        (1, 2, Some(1), Some("x")),
        (0, 3, Some(0), Some("x")),
        (0, 4, Some(0), Some("y")),
        (0, 4, Some(1), Some("y")),
    ];
    assert_eq!(edges(&run), expected);
}

#[tokio::test(start_paused = true)]
async fn what_was_passed_on_is_looked_at_also_where_another_failed_first() {
    use std::time::Duration;
    #[task]
    async fn fails_after(seconds: u64) -> Result<u64> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Err("no".into())
    }
    #[task]
    async fn pair(a: u64, b: u64) -> u64 {
        a + b
    }
    #[task]
    async fn sum(numbers: Vec<u64>) -> u64 {
        numbers.iter().sum()
    }
    #[flow]
    async fn child(a: u64, b: u64) -> Result<u64> {
        Ok(a + b)
    }
    #[flow]
    async fn all_ways() -> Result<()> {
        let two = || (fails_after(1u64).submit(), fails_after(2u64).submit());
        let (a, b) = two();
        assert!(pair(&a, &b).await.is_err());
        let (a, b) = two();
        assert!(sum(all([a, b])).await.is_err());
        let (a, b) = two();
        assert!(pair(1u64, 2u64).wait_for([&a, &b]).await.is_err());
        let (a, b) = two();
        assert!(child(a, b).await.is_err());
        Ok(())
    }
    let run = all_ways().run().await;
    assert_eq!(run.state(), State::Completed, "{:?}", run.result());
}

#[tokio::test(start_paused = true)]
async fn who_waits_only_for_the_end_of_a_run_is_told_also_after_its_value_was_taken() {
    use std::time::Duration;
    #[task]
    async fn after(seconds: u64) -> u64 {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        seconds
    }
    #[task]
    async fn pass(n: u64) -> u64 {
        n
    }
    #[flow]
    async fn ordered() -> Result<u64> {
        let (quick, slow) = (after(1u64).submit(), after(2u64).submit());
        let behind = pass(7u64).wait_for([&slow, &quick]).submit();
        let after_quick = pass(8u64).wait_for([&quick]).submit();
        assert_eq!(quick.await?, 1); // takes the value
        after_quick.await?;
        Ok(behind.await?)
    }
    let run = tokio::time::timeout(Duration::from_secs(60), ordered().run()).await;
    assert_eq!(run.expect("it hangs").into_result().unwrap(), 7);
}
