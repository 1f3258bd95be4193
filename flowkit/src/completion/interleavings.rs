//! A completion under shuttle, which runs threads in many orders and notices when all of them wait.

use futures::task::noop_waker;
use shuttle::future::block_on;
use shuttle::thread;

use super::tests::take;
use super::*;
use crate::sync::explore;

/// Waits like a future that another task had polled before.
fn wait(completion: &Completion<String>) {
    let mut key = WaiterKey::default();
    let waker = noop_waker();
    let _elsewhere = completion.poll_done(&Context::from_waker(&waker), &mut key);
    block_on(std::future::poll_fn(|cx| completion.poll_done(cx, &mut key)));
}

#[test]
fn whoever_waits_is_woken_and_whoever_leaves_takes_only_its_own_waker() {
    explore(|| {
        let completion = Arc::new(Completion::new());
        let waiters = [(); 2].map(|()| {
            let completion = Arc::clone(&completion);
            thread::spawn(move || wait(&completion))
        });
        let leaver = thread::spawn({
            let completion = Arc::clone(&completion);
            move || {
                let mut key = WaiterKey::default();
                let waker = noop_waker();
                let _unheeded = completion.poll_done(&Context::from_waker(&waker), &mut key);
                completion.leave(&mut key);
            }
        });
        let rivals = ["one", "other"].map(|value| {
            let completion = Arc::clone(&completion);
            thread::spawn(move || completion.complete(Ok(value.to_owned())))
        });
        let first = thread::spawn({
            let completion = Arc::clone(&completion);
            move || {
                wait(&completion);
                completion.outcome().unwrap().unwrap()
            }
        });
        let seen = first.join().unwrap();
        for thread in waiters.into_iter().chain([leaver]).chain(rivals) {
            thread.join().unwrap();
        }
        let outcome = completion.outcome().unwrap().unwrap();
        assert_eq!(outcome, seen, "an outcome is set once");
        assert_eq!(completion.waiters(), 0);
    });
}

#[test]
fn every_handle_gets_the_value_and_the_last_one_takes_it() {
    explore(|| {
        let completion = Arc::new(Completion::new());
        let use_up = |completion: &Completion<String>| {
            wait(completion);
            let value = take(completion);
            completion.release();
            assert_eq!(value.into_value(), "value");
        };
        let handles = [(); 2].map(|()| {
            completion.retain();
            let completion = Arc::clone(&completion);
            thread::spawn(move || {
                completion.retain();
                let other = thread::spawn({
                    let completion = Arc::clone(&completion);
                    move || use_up(&completion)
                });
                use_up(&completion);
                other.join().unwrap();
            })
        });
        completion.complete(Ok(String::from("value")));
        for handle in handles {
            handle.join().unwrap();
        }
        match take(&completion) {
            Given::Shared(shared) => assert!(Arc::try_unwrap(shared).is_ok(), "nobody shares it any more"),
            Given::Whole(_) => panic!("others have asked for it"),
        }
        assert!(completion.outcome().is_none());
    });
}
