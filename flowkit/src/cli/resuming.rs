//! `resume`: another life of a run, with what is to be said again of it: its secrets, and how its effects went.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::ArgMatches;
use flowkit_journal::StoredFlow;
use serde_json::{Map, Value};

use super::drawn::state_of;
use super::given;
use super::history::{History, short_id};
use super::progress::Progress;
use super::running::{build, finish};
use super::screen::Screen;
use super::settling::Settling;
use super::signals::Signals;
use super::trouble::Trouble;
use super::{Exit, MakeBuilder};
use crate::ids::FlowRunId;
use crate::journaling::resume::ResumeOptions;
use crate::registry::{FlowParameter, RegisteredFlow};
use crate::runtime::Runtime;

/// Begins another life of a run.
pub(super) async fn resume(
    builder: MakeBuilder,
    (program, data_dir): (&str, &Path),
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
    signals: &mut Signals,
) -> Result<Exit, Trouble> {
    let history = History::open(data_dir).await?;
    let found = history.find(matches).await;
    history.close().await;
    let stored = found?.flow;
    let again = given_again(program, &stored, matches, screen)?;
    let id = FlowRunId::from_u128(stored.id);
    let settling = Settling::of(matches)?;
    let mut options = ResumeOptions::new();
    if matches.get_flag("allow-changes") {
        options = options.allow_changes();
    }
    signals.listen();
    let progress = Progress::default();
    let runtime = build(builder, data_dir.to_owned(), &progress).await?;
    let options = match told(&runtime, id, settling, options).await {
        Ok(options) => options,
        Err(trouble) => {
            runtime.shutdown(Duration::ZERO).await;
            return Err(trouble);
        }
    };
    let running = runtime.clone();
    let run = tokio::spawn(async move {
        match again {
            Some(again) => running.resume_given(id, again, options).await,
            None => running.resume_with(id, options).await,
        }
    });
    finish(&runtime, run, &progress, screen, signals).await
}

/// The parameters that are given again. Secrets must be, since they are recorded nowhere.
fn given_again(
    program: &str,
    stored: &StoredFlow,
    matches: &ArgMatches,
    screen: &mut Screen<'_>,
) -> Result<Option<Map<String, Value>>, Trouble> {
    let typed = matches.get_many::<OsString>("again").into_iter().flatten();
    let typed: Vec<_> = typed.cloned().collect();
    let path = format!("{}::{}", stored.definition.module, stored.definition.name);
    // Of a flow that is not there, the runtime says so.
    let Ok(flow) = RegisteredFlow::find(&path) else {
        return Ok(None);
    };
    let known = flow.parameters();
    // Of one that completed, too.
    let has_completed = state_of(&stored.state).is_success();
    if has_completed || typed.is_empty() && !known.iter().any(FlowParameter::is_secret) {
        return Ok(None);
    }
    let mut again = given::read_again(program, flow, typed, screen)?;
    let lacks = |parameter: &&FlowParameter| {
        parameter.is_secret() && parameter.is_required() && !again.contains_key(parameter.name())
    };
    match known.iter().find(lacks) {
        None => {
            // One that may be left out is left out.
            for secret in known.iter().filter(|parameter| parameter.is_secret()) {
                again.entry(secret.name()).or_insert(Value::Null);
            }
            Ok(Some(again))
        }
        Some(secret) => Err(Trouble::usage(format!(
            "the run was given a secret, `{}`, which is recorded nowhere: give it again, as `resume {} -- --{}-env VARIABLE`",
            secret.name(),
            short_id(stored),
            given::long(secret)
        ))),
    }
}

/// The options, with what was typed of effects.
async fn told(
    runtime: &Runtime,
    id: FlowRunId,
    settling: Settling<'_>,
    options: ResumeOptions,
) -> Result<ResumeOptions, Trouble> {
    if settling.is_empty() {
        return Ok(options);
    }
    let unknown = runtime.unknown_effects(id).await;
    settling.add_to(options, &unknown.map_err(|error| Trouble::of_runtime(&error))?)
}
