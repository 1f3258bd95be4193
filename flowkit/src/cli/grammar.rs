//! What may be typed, apart from the parameters of flows.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, value_parser};

use crate::registry::registered_flows;
use crate::state::State;

/// Our own options stand behind those that only one command has.
const OURS: usize = 900;

/// The whole command line.
pub(super) fn command() -> Command {
    Command::new("flowkit")
        .about("Runs the flows of this program, and shows what became of their runs.")
        .after_help(
            "RUN is the id of a flow run, a beginning or an end of it that no other has, or `last`.\n\
             Exit codes: 0 completed, 1 failed, 2 not understood, 3 the data directory cannot be used.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(json().global(true))
        .arg(data_dir().global(true))
        .subcommands(on_flows())
        .subcommands(on_runs())
        .subcommands(on_the_directory())
}

/// Prints JSON.
pub(super) fn json() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .display_order(OURS)
        .help("Print one JSON value")
}

/// Where everything is kept.
pub(super) fn data_dir() -> Arg {
    Arg::new("data-dir")
        .long("data-dir")
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
        .display_order(OURS)
        .help("Where runs and results are kept [default: $FLOWKIT_HOME, else .flowkit]")
}

fn run_id() -> Arg {
    Arg::new("run")
        .value_name("RUN")
        .required(true)
        .help("The flow run: its id, a beginning or an end of it, or `last`")
}

fn output() -> Arg {
    Arg::new("output")
        .long("output")
        .short('o')
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Write it to this file")
}

fn on_flows() -> [Command; 2] {
    [
        Command::new("list").about("The flows of this program, and their parameters"),
        // What comes after the flow's name is read by the flow's own grammar.
        Command::new("run")
            .about("Run a flow: `run FLOW --help` tells its parameters")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .allow_external_subcommands(true)
            .disable_help_subcommand(true)
            .subcommand_value_name("FLOW --PARAMETER VALUE")
            .after_help(names_of_flows()),
    ]
}

fn names_of_flows() -> String {
    let names: Vec<_> = registered_flows()
        .iter()
        .map(|flow| flow.definition().name())
        .collect();
    match names.as_slice() {
        [] => "This program has no flows that can be called by name.".to_owned(),
        names => format!("Flows: {}. `list` tells their parameters.", names.join(", ")),
    }
}

fn on_runs() -> [Command; 9] {
    [
        runs(),
        show(),
        Command::new("logs")
            .about("What was logged in a run, in all of its lives")
            .arg(run_id()),
        drawing(
            "graph",
            "The graph of a run",
            &["mermaid", "dot", "svg", "text", "json"],
        ),
        drawing(
            "timeline",
            "When the tasks of a run waited and worked",
            &["text", "svg", "json"],
        ),
        explain(),
        resume(),
        Command::new("effects")
            .about("The effects of a run of which it is not known whether they happened")
            .arg(run_id()),
        Command::new("cancel")
            .about("Cancel a run, also one of another process")
            .arg(run_id()),
    ]
}

fn runs() -> Command {
    let states = State::ALL.map(State::name);
    Command::new("runs").about("Flow runs, the latest first").args([
        Arg::new("flow")
            .long("flow")
            .value_name("FLOW")
            .help("Only those of this flow"),
        Arg::new("state")
            .long("state")
            .value_name("STATE")
            .value_parser(PossibleValuesParser::new(states))
            .ignore_case(true)
            .hide_possible_values(true)
            .help("Only those in this state, such as Completed, Failed, Crashed or Running"),
        Arg::new("since")
            .long("since")
            .value_name("TIME")
            .help("Only those that began since then: `2h` ago, or a time"),
        Arg::new("limit")
            .long("limit")
            .value_name("NUMBER")
            .value_parser(value_parser!(u32))
            .allow_negative_numbers(true)
            .default_value("20")
            .help("At most so many"),
    ])
}

fn show() -> Command {
    let items = Arg::new("items")
        .long("items")
        .action(ArgAction::SetTrue)
        .help("The items of fan-outs too");
    Command::new("show")
        .about("What is known of a run")
        .args([run_id(), items])
}

/// A command that draws a run in one of these forms, the first unless another is said.
fn drawing(name: &'static str, about: &'static str, formats: &'static [&'static str]) -> Command {
    let format = Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(PossibleValuesParser::new(formats))
        .default_value(formats.first().copied().unwrap_or_default())
        .help("How it is drawn");
    Command::new(name).about(about).args([run_id(), format, output()])
}

fn explain() -> Command {
    let task = Arg::new("task")
        .value_name("TASK")
        .required(true)
        .help("The task run: its name, or its id as `show --json` has it");
    Command::new("explain")
        .about("Why a task ran, or was served from the cache")
        .args([run_id(), task])
}

fn resume() -> Command {
    let allow_changes = Arg::new("allow-changes")
        .long("allow-changes")
        .action(ArgAction::SetTrue)
        .help("Run what the program has changed since, instead of failing there");
    let again = Arg::new("again")
        .value_name("--PARAMETER VALUE")
        .value_parser(value_parser!(OsString))
        .num_args(0..)
        .last(true)
        .help("Parameters that are given again, since they are secrets, which are recorded nowhere");
    let happened = Arg::new("happened")
        .long("happened")
        .value_name("TASK=JSON")
        .action(ArgAction::Append)
        .help("The effect of this task did happen, and this is what the task would have returned");
    let did_not_happen = Arg::new("did-not-happen")
        .long("did-not-happen")
        .value_name("TASK")
        .action(ArgAction::Append)
        .help("The effect of this task did not happen: the task runs");
    Command::new("resume")
        .about("Go on with a run that did not complete")
        .args([run_id(), allow_changes, happened, did_not_happen, again])
}

fn on_the_directory() -> [Command; 3] {
    let cache = |name, about| Command::new(name).about(about);
    [
        Command::new("cache")
            .about("The cached results")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommands([
                cache("stats", "How many there are, and how large"),
                cache("list", "Their keys, sizes and times").arg(
                    Arg::new("limit")
                        .long("limit")
                        .value_name("NUMBER")
                        .value_parser(value_parser!(usize))
                        .allow_negative_numbers(true)
                        .default_value("100")
                        .help("At most so many"),
                ),
                cache("clear", "Forget all of them"),
                cache("verify", "Read all of them, and remove what is damaged"),
            ]),
        Command::new("prune")
            .about("Forget old runs, results and logs, as far as the program does not keep them")
            .args([
                Arg::new("older-than").long("older-than").value_name("TIME").help(
                    "Runs that ended longer ago than this go; 30 days if the program says nothing else",
                ),
                Arg::new("keep")
                    .long("keep")
                    .value_name("RUNS")
                    .value_parser(value_parser!(u64))
                    .allow_negative_numbers(true)
                    .help("At most so many runs stay; 10,000 if the program says nothing else"),
            ]),
        Command::new("doctor").about("Check the data directory: who owns it, whether its stores can be read"),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_grammar_has_no_contradictions() {
        super::command().debug_assert();
    }
}
