//! What flows and tasks are called, from outside of them.

use flowkit::Event;

/// All pipelines are runs of one flow, and their stages of one task: they are called by their own names.
pub(crate) fn is_pipeline(event: &Event<'_>) -> bool {
    cfg!(feature = "pipeline") && event.flow().place().module == "flowkit_etl::pipeline::run"
}

/// The flow of an event, by the name of its definition, whatever its run is named.
pub(crate) fn flow_of<'a>(event: &Event<'a>) -> &'a str {
    match is_pipeline(event) {
        true => event.flow_run_name,
        false => event.flow().name(),
    }
}

/// The task of an event, likewise.
#[cfg(feature = "monitor")]
pub(crate) fn task_of<'a>(event: &Event<'a>, name: &'a str, task: &'static str) -> &'a str {
    match is_pipeline(event) {
        true => name,
        false => task,
    }
}
