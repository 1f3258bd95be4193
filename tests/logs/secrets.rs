//! A secret that goes everywhere a value can go is found nowhere: in no file, log line, event, record or message.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use flowkit::explain::{Change, Reason, explain};
use flowkit::journal::JournalStore;
use flowkit::prelude::*;
use flowkit::{Event, Observer, ResumeOptions, Secret};

use super::{keep_lines, said};

const CANARY: &str = "canary-7f3a-do-not-print";
/// What a secret that is no text looks like.
const NUMBER: u64 = 7_301_948_226_551_973;

#[derive(Debug, thiserror::Error)]
#[error("refused with {token} by {more:?}")]
struct Refused {
    token: Secret<String>,
    more: Vec<Secret<u64>>,
}

#[task(cache, run_name = "use {token}")]
async fn uses(n: u32, token: &Secret<String>) -> usize {
    tracing::trace!(?token, %token, n, "using");
    n as usize + token.expose_secret().len()
}

#[task(cache)]
async fn counts(number: Secret<u64>, n: u32) -> u64 {
    *number.expose_secret() % 7 + u64::from(n)
}

#[task]
async fn gives(n: u32) -> Secret<String> {
    Secret::new(format!("{CANARY}-{n}"))
}

#[task]
async fn takes(token: Secret<String>) -> usize {
    token.expose_secret().len()
}

#[task(retries = 1)]
async fn refuses(token: &Secret<String>, more: Secret<u64>) -> Result<usize, Refused> {
    Err(Refused {
        token: token.clone(),
        more: vec![more],
    })
}

#[flow(retries = 1)]
async fn inner(token: Secret<String>, n: u32) -> Result<Secret<String>> {
    let given = gives(n).submit();
    let length = takes(&given).await?;
    tracing::debug!(?token, length, "in the subflow");
    Ok(token)
}

#[flow(run_name = "everywhere with {token}")]
async fn everywhere(token: Secret<String>, number: Secret<u64>, fails: bool) -> Result<Secret<String>> {
    tracing::trace!(?token, ?number, "beginning");
    uses(1u32, &token).await?;
    let tokens: Vec<_> = (0..3u32).map(|n| uses(n, &token)).collect();
    tokens.into_iter().submit_all().await?;
    (0..3u32).map(|n| counts(number.clone(), n)).submit_all().await?;
    let back = inner(token.clone(), 4u32).await?;
    let refused = refuses(&token, number).await;
    if fails {
        refused?;
    }
    Ok(back)
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<String>>);

impl Observer for Told {
    fn on_event(&self, event: &Event<'_>) {
        writeln!(self.0.lock().unwrap(), "{event:?}").unwrap();
    }
}

async fn runtime(directory: &Path, told: &Told) -> Runtime {
    let runtime = Runtime::builder().data_dir(directory).observe(told.clone());
    runtime.build().await.unwrap()
}

fn call(token: &str, fails: bool) -> FlowCall<Secret<String>> {
    everywhere(Secret::new(token.to_owned()), Secret::new(NUMBER), fails)
}

/// What must be found nowhere: the secrets, and their digests without a key.
fn forbidden() -> Vec<(&'static str, Vec<u8>)> {
    let text = flowkit::cache::key_of(CANARY).unwrap();
    let number = flowkit::cache::key_of(&NUMBER).unwrap();
    vec![
        ("the text", CANARY.into()),
        ("the number", NUMBER.to_string().into()),
        ("the number's bytes", NUMBER.to_le_bytes().into()),
        ("the number's bytes", NUMBER.to_be_bytes().into()),
        ("the text's digest", text.as_bytes()[..16].into()),
        ("the number's digest", number.as_bytes()[..16].into()),
        (
            "the text's hash",
            blake3::hash(CANARY.as_bytes()).as_bytes()[..16].into(),
        ),
    ]
}

fn search(place: &str, bytes: &[u8]) {
    for (what, needle) in forbidden() {
        let found = bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!found, "{what} of the secret is in {place}");
    }
}

/// How many files have in them what is no secret, and so would have what is one.
fn search_files(directory: &Path) -> usize {
    let mut telling = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            telling += search_files(&path);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        search(&path.display().to_string(), &bytes);
        let name = b"everywhere with [secret]";
        telling += usize::from(bytes.windows(name.len()).any(|window| window == name));
    }
    telling
}

fn search_run(run: &FlowRun<Secret<String>>) {
    let shown = [
        format!("{:?}", run.record()),
        format!("{:#?}", run.tasks()),
        run.graph().to_mermaid(),
        run.graph().to_dot(),
        run.to_json().to_string(),
        format!("{:?}", run.result()),
        run.result()
            .err()
            .map(|error| format!("{error} {error:#}"))
            .unwrap_or_default(),
    ];
    for shown in shown {
        search("the record of a run", shown.as_bytes());
    }
}

async fn search_journal(store: &dyn JournalStore, run: &FlowRun<Secret<String>>) {
    let flow = store.flow(run.id().as_u128()).await.unwrap().unwrap();
    let parameters = flow.parameters.clone().unwrap();
    assert_eq!(
        parameters.json.unwrap(),
        format!(
            r#"{{"fails":{},"number":"[secret]","token":"[secret]"}}"#,
            run.result().err().is_some()
        )
    );
    // What is no secret is kept to be restored: the three names, nothing of two of them, and a boolean.
    search("the parameters", &parameters.bytes);
    assert_eq!(parameters.bytes.len(), 1 + 3 + "tokennumberfails".len() + 3 + 2);
    for flow in store.tree(flow.no).await.unwrap() {
        let tasks = store.tasks(flow.no, true).await.unwrap();
        let logs = store.logs(flow.no, None).await.unwrap();
        let attempts = store.attempts(flow.no).await.unwrap();
        let shown = format!("{flow:?} {tasks:?} {logs:?} {attempts:?}");
        assert!(shown.contains("[secret]"));
        search("the journal", shown.as_bytes());
        for task in tasks.iter().filter(|task| task.has_result) {
            let result = store.result(task.spot).await.unwrap().unwrap();
            search("a result in the journal", &result);
            assert!(!["gives", "inner"].contains(&&*task.definition.name));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_found_nowhere() {
    keep_lines();
    let (directory, told) = (tempfile::tempdir().unwrap(), Told::default());
    for fails in [false, true] {
        let runtime = runtime(directory.path(), &told).await;
        let run = runtime.run(call(CANARY, fails)).await;
        assert_eq!(
            run.state(),
            if fails { State::Failed } else { State::Completed },
            "{:?}",
            run.result().err()
        );
        search_run(&run);
        let store = runtime.journal().unwrap();
        search_journal(&*store, &run).await;
        if fails {
            let refused = runtime.resume(run.id()).await.unwrap_err();
            assert!(format!("{refused:#}").contains("`resume_call`"), "{refused:#}");
            let options = ResumeOptions::default();
            let resumed = runtime
                .resume_call(run.id(), call(CANARY, true), options)
                .await
                .unwrap();
            search_run(&resumed);
            // The secrets were the same, so the calls were.
            let first = &resumed.tasks()[0];
            assert_eq!(first.state, State::Completed);
            assert!(first.ended.unwrap() < resumed.record().started);
        } else {
            assert_eq!(run.result().unwrap().expose_secret(), CANARY);
            let stored = store.flow(run.id().as_u128()).await.unwrap().unwrap();
            assert_eq!(stored.result_json.unwrap(), "\"[secret]\"");
        }
        runtime.shutdown(std::time::Duration::from_secs(10)).await;
        assert!(search_files(directory.path()) > 0);
    }
    search("the events", told.0.lock().unwrap().as_bytes());
    let said = said();
    assert!(said.contains("[secret]") && said.contains("in the subflow"));
    search("the log", said.as_bytes());
}

#[tokio::test]
async fn equal_secrets_are_equal_in_one_data_directory_and_tell_nothing_outside_of_it() {
    #[flow]
    async fn once(token: Secret<String>) -> Result<usize> {
        Ok(uses(1u32, token).await?)
    }
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut digests = Vec::new();
    let cases = [
        (&here, "a", State::Completed),
        (&here, "a", State::Cached),
        (&here, "b", State::Completed),
        (&there, "a", State::Completed),
    ];
    for (directory, token, state) in cases {
        let runtime = runtime(directory.path(), &Told::default()).await;
        let run = runtime.run(once(Secret::new(token.to_owned()))).await;
        let task = &run.tasks()[0];
        assert_eq!(task.state, state);
        let store = runtime.journal().unwrap();
        let flow = store.flow(run.id().as_u128()).await.unwrap().unwrap();
        let stored = store.tasks(flow.no, false).await.unwrap().remove(0);
        digests.push((stored.inputs, stored.cache_key));
        if token == "b" {
            let explanation = explain(&*store, run.id(), task.id).await.unwrap();
            assert_eq!(explanation.reason, Reason::Changed);
            let parameter = "token".to_owned();
            assert_eq!(
                explanation.compared.unwrap().changes,
                [Change::Input { parameter }]
            );
        }
        runtime.shutdown(std::time::Duration::from_secs(10)).await;
    }
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0].0[0], digests[3].0[0], "the number is no secret");
    assert_ne!(digests[0].0[1], digests[3].0[1]);
    assert_ne!(digests[0].1, digests[3].1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let key = std::fs::metadata(here.path().join("secret.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn without_a_data_directory_equal_secrets_are_equal_in_the_process() {
    let runtime = Runtime::builder().build().await.unwrap();
    let first = runtime.run(call("x", false)).await;
    let second = runtime.run(call("x", false)).await;
    let state = |run: &FlowRun<_>| run.tasks()[0].state;
    assert_eq!((state(&first), state(&second)), (State::Completed, State::Cached));
}

#[test]
fn a_secret_can_be_read_and_its_refusal_does_not_quote_it() {
    let secret: Secret<u32> = serde_json::from_str("7").unwrap();
    assert_eq!(*secret.expose_secret(), 7);
    let json = format!("{CANARY:?}");
    let error = serde_json::from_str::<Secret<u32>>(&json).unwrap_err();
    search("an error", error.to_string().as_bytes());
    assert_eq!(
        format!("{secret} {secret:?} {:#?}", Some(&secret)),
        "[secret] [secret] Some(\n    [secret],\n)"
    );
}
