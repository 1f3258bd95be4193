//! A command line for the flows of a program: it lists and runs them, and shows, resumes and cancels their runs.
//!
//! ```no_run
//! use flowkit::prelude::*;
//!
//! /// Doubles a number.
//! #[flow]
//! async fn double(number: u64) -> u64 {
//!     number * 2
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     flowkit::cli::main()
//! }
//! ```
//!
//! The program then answers `list`, `run double --number 21`, `runs`, `show last`, `logs RUN`, `graph RUN`, `timeline RUN`, `explain RUN TASK`, `resume RUN`, `cancel RUN`,
//! `cache stats`, `prune`, `doctor` and `help`. `RUN` is the id of a flow run, a beginning or an end of it that no other run's id has, or `last`. With `--json`, what is
//! printed is one JSON value.
//!
//! Everything is kept in the directory that `--data-dir` names, else `$FLOWKIT_HOME`, else `.flowkit`. `run`, `resume` and `prune` own it while they work; a second
//! owner is refused. The others only look, also while it is owned; but the cache cannot be looked into while another process owns it. A run whose process died
//! before it ended is shown as `Crashed` and interrupted, also before another process has noticed: nobody holds the directory then. What cannot be read is never taken for
//! empty.
//!
//! What flowkit warns of (a store that was set aside, a cache that cannot be used) is printed to standard error, and what bodies log through `tracing` is kept for
//! `logs`, unless the program has a subscriber of its own: then that decides, and may have [`warnings`] and a [`JournalLayer`](crate::JournalLayer) among its layers.
//!
//! [`Exit`] says what the exit codes mean. Ctrl-c and SIGTERM cancel what runs, and a second one ends the program at once.
//!
//! A parameter is written `--name value`, with `-` or `_` between its words. The value is a text where the parameter's type says that it is one, and JSON elsewhere; a list may
//! also be given by naming the parameter several times. The types say what they are through schemars' `JsonSchema`, which the standard library's types implement.
//! Others work too, but then a text that could be JSON is taken for JSON first.
//!
//! A parameter of type [`Secret`](crate::Secret) is given as `--name-env VARIABLE`, out of the environment, or as `--name-file FILE`, where `-` is standard input; one line end
//! behind it does not count. `--name SECRET` works too, with a warning, since whoever lists processes sees it then. `resume RUN -- --name-env VARIABLE` gives it again.
//!
//! A program that describes its own runtime does it so:
//!
//! ```no_run
//! use flowkit::Runtime;
//! use flowkit::cli::Cli;
//!
//! fn main() -> std::process::ExitCode {
//!     Cli::new().runtime(|| Runtime::builder().limit("warehouse", 4)).main()
//! }
//! ```
//!
//! | room | idea |
//! |---|---|
//! | `grammar`, `given` | what may be typed; a flow's parameters out of what was |
//! | `screen`, `trouble`, `times`, `tables` | what is printed, and how the program ends |
//! | `running`, `resuming`, `progress`, `signals`, `warnings` | `run` and `resume`; what flowkit warns of meanwhile |
//! | `secrets`, `settling` | parameters that nobody is to see; effects whose outcome is not known |
//! | `history`, `standing`, `tree` | a run by what somebody typed; how it stands, whatever became of its process; all of it out of the journal |
//! | `listing`, `shown`, `explained`, `logs`, `drawn`, `timeline`, `timeline_svg` | what only looks |
//! | `directory`, `doctor`, `cancelling`, `caching`, `pruning` | what looks at the data directory itself, and tends it |

mod caching;
mod cancelling;
mod directory;
mod doctor;
mod drawn;
mod explained;
mod given;
mod grammar;
mod history;
mod listing;
mod logs;
mod progress;
mod pruning;
mod resuming;
mod running;
mod screen;
mod secrets;
mod settling;
mod shown;
mod signals;
mod standing;
mod tables;
mod timeline;
mod timeline_svg;
mod times;
mod tree;
mod trouble;
mod warnings;

use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgMatches;
use futures::future::BoxFuture;

use crate::runtime::{Builder, Runtime};
use screen::Screen;
use signals::Signals;
use trouble::Trouble;
pub use warnings::{Warnings, warnings};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The flow run completed, or what was asked for was done: 0.
    Completed,
    /// The flow run did not complete, or what was asked for could not be done: 1.
    Failed,
    /// It was not understood: no such command, flow, parameter or run, or a value that the parameter does not take: 2.
    Usage,
    /// The data directory could not be used: another process owns it, or it cannot be read or written: 3.
    Store,
}

impl Exit {
    /// The exit code that says so.
    pub const fn code(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Store => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

type MakeBuilder = Box<dyn FnOnce() -> BoxFuture<'static, crate::Result<Builder>> + Send>;

/// A command line, before it is given what was typed. See the [module](self).
#[must_use = "a command line does nothing until it is run"]
pub struct Cli {
    builder: MakeBuilder,
}

impl fmt::Debug for Cli {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cli")
    }
}

impl Default for Cli {
    fn default() -> Self {
        Self::new()
    }
}

/// The command line of a program that needs no more: `fn main() -> std::process::ExitCode { flowkit::cli::main() }`.
pub fn main() -> ExitCode {
    Cli::new().main()
}

impl Cli {
    /// A command line whose runtime is nothing special.
    pub fn new() -> Self {
        Self {
            builder: Box::new(|| Box::pin(async { Ok(Runtime::builder()) })),
        }
    }

    /// Has flows run in the runtime that this describes: its resources, limits, observers, hooks, and has `prune` keep what it keeps ([`Builder::keep_runs`]). It is
    /// asked only when a flow is run or runs are pruned. Where data is kept is up to whoever types: what the builder says of that does not count.
    pub fn runtime(mut self, builder: impl FnOnce() -> Builder + Send + 'static) -> Self {
        self.builder = Box::new(move || Box::pin(async move { Ok(builder()) }));
        self
    }

    /// The same, for a runtime that must first connect to something.
    pub fn runtime_async<F, B>(mut self, builder: F) -> Self
    where
        F: FnOnce() -> B + Send + 'static,
        B: Future<Output = crate::Result<Builder>> + Send + 'static,
    {
        self.builder = Box::new(move || Box::pin(builder()));
        self
    }

    /// Does what the program was told on its command line, in a tokio runtime of its own, and listens to ctrl-c and SIGTERM.
    ///
    /// Unless the program has a global subscriber of `tracing` by now, one is installed: it prints what flowkit warns of ([`warnings`]), and keeps what bodies log
    /// beside their runs, where `logs` finds it.
    pub fn main(self) -> ExitCode {
        warnings::listen();
        let tokio = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(tokio) => tokio,
            Err(error) => {
                // Where standard error cannot be written to, there is nowhere to say so.
                drop(writeln!(io::stderr(), "error: tokio cannot be started: {error}"));
                return Exit::Failed.into();
            }
        };
        let (mut out, mut err) = (io::stdout(), io::stderr());
        let plain = std::env::var_os("NO_COLOR").is_some_and(|said| !said.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let exit = tokio.block_on(async {
            let mut signals = Signals::new(true);
            let mut screen = Screen::new(&mut out, &mut err);
            screen.colour = io::stdout().is_terminal() && !plain;
            screen.progress = io::stderr().is_terminal() && !plain;
            screen.columns = terminal_columns();
            self.answer(std::env::args_os().collect(), screen, &mut signals)
                .await
        });
        // A body that cannot be stopped must not keep the program.
        tokio.shutdown_background();
        exit.into()
    }

    /// Does what these arguments say, the first of which is the name of the program, and writes to `out` and `err`. No signals are listened to, and nothing is coloured.
    /// Must be called within tokio.
    pub async fn run(
        self,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Exit {
        let arguments = arguments.into_iter().map(Into::into).collect();
        self.answer(arguments, Screen::new(out, err), &mut Signals::new(false))
            .await
    }

    async fn answer(self, arguments: Vec<OsString>, mut screen: Screen<'_>, signals: &mut Signals) -> Exit {
        let program = arguments.first().map(PathBuf::from);
        let program = program.as_ref().and_then(|program| program.file_name());
        let program = program.map_or_else(|| "flowkit".into(), |name| name.to_string_lossy().into_owned());
        let answered = match grammar::command().try_get_matches_from(arguments) {
            Ok(matches) => self.dispatch(&program, &matches, &mut screen, signals).await,
            Err(error) => Err(error.into()),
        };
        screen.finish(answered)
    }

    async fn dispatch(
        self,
        program: &str,
        matches: &ArgMatches,
        screen: &mut Screen<'_>,
        signals: &mut Signals,
    ) -> Result<Exit, Trouble> {
        screen.json = matches.get_flag("json");
        let directory = data_dir(matches);
        let Some((command, matches)) = matches.subcommand() else {
            return Err(Trouble::usage("say what to do: `help` tells what there is"));
        };
        match command {
            "list" => listing::flows(screen),
            "run" => {
                let wanted = given::read(program, matches, screen, directory)?;
                running::run(self.builder, wanted, screen, signals).await
            }
            "effects" => settling::list(&directory, matches, screen).await,
            "resume" => {
                let place = (program, directory.as_path());
                resuming::resume(self.builder, place, matches, screen, signals).await
            }
            "runs" => listing::runs(&directory, matches, screen).await,
            "show" => shown::show(&directory, matches, screen).await,
            "logs" => logs::show(&directory, matches, screen).await,
            "graph" => drawn::graph(&directory, matches, screen).await,
            "timeline" => timeline::show(&directory, matches, screen).await,
            "explain" => explained::explain(&directory, matches, screen).await,
            "cancel" => cancelling::cancel(&directory, matches, screen).await,
            "cache" => caching::tend(&directory, matches, screen).await,
            "prune" => pruning::prune(self.builder, &directory, matches, screen).await,
            "doctor" => doctor::examine(&directory, screen).await,
            other => Err(Trouble::usage(format!("there is no command `{other}`"))),
        }
    }
}

/// How wide the terminal is that is printed to, if it is one.
fn terminal_columns() -> Option<usize> {
    let (columns, _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(columns.0.into())
}

/// Where everything is kept: what was typed, else what the environment says, else `.flowkit`.
fn data_dir(matches: &ArgMatches) -> PathBuf {
    let typed = matches.get_one::<PathBuf>("data-dir").cloned();
    typed.unwrap_or_else(|| {
        let home = std::env::var_os("FLOWKIT_HOME").filter(|home| !home.is_empty());
        home.map_or_else(|| PathBuf::from(".flowkit"), PathBuf::from)
    })
}
