//! What is printed, and where: lines or JSON, coloured or not. A pipe that was closed swallows the rest.

use std::io::{self, ErrorKind, Write};

use serde_json::Value;

use super::Exit;
use super::trouble::{Said, Trouble};
use crate::state::State;

/// The two outputs of a program.
pub(super) struct Screen<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    /// Whether what is printed is JSON.
    pub(super) json: bool,
    /// Whether lines may be coloured.
    pub(super) colour: bool,
    /// How many columns a line of the terminal has; none if there is no terminal.
    pub(super) columns: Option<usize>,
    /// Whether a run is shown as it goes.
    pub(super) progress: bool,
    /// Why no more could be printed.
    trouble: Option<io::Error>,
}

impl<'a> Screen<'a> {
    pub(super) fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self {
            out,
            err,
            json: false,
            colour: false,
            columns: None,
            progress: false,
            trouble: None,
        }
    }

    /// Prints text as it is.
    pub(super) fn print(&mut self, text: &str) {
        if self.trouble.is_none() {
            self.trouble = self.out.write_all(text.as_bytes()).err();
        }
    }

    /// Prints a line.
    pub(super) fn line(&mut self, line: &str) {
        self.print(line);
        self.print("\n");
    }

    /// Prints somebody's text as a line. Whoever is not a terminal gets it as it is.
    pub(super) fn text(&mut self, text: &str) {
        if self.columns.is_some() {
            self.line(&clean(text));
        } else {
            self.line(text);
        }
    }

    /// Prints a value as JSON.
    pub(super) fn value(&mut self, value: &Value) {
        self.line(&format!("{value:#}"));
    }

    /// Prints a line for people beside what is asked for.
    pub(super) fn tell(&mut self, line: &str) {
        // Where standard error cannot be written to, there is nowhere to say so.
        drop(writeln!(self.err, "{line}"));
    }

    /// Shows how a run stands, in place of what was shown before; an empty line takes that away.
    pub(super) fn show_progress(&mut self, line: &str) {
        if self.progress {
            drop(write!(self.err, "\r\x1b[2K{line}"));
            drop(self.err.flush());
        }
    }

    /// A text in the colour of a state, if it is the name of one.
    pub(super) fn paint(&self, text: &str) -> String {
        let state = State::ALL
            .into_iter()
            .find(|state| state.name() == text.trim_end());
        match state {
            Some(state) if self.colour => format!("\x1b[{}m{text}\x1b[0m", colour_of(state)),
            _ => text.to_owned(),
        }
    }

    /// A heading.
    pub(super) fn heading(&self, text: &str) -> String {
        if self.colour {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Says how it ended, where that is not said yet.
    pub(super) fn finish(mut self, answered: Result<Exit, Trouble>) -> Exit {
        let exit = match answered {
            Ok(exit) => exit,
            Err(Trouble { exit, said }) => {
                match said {
                    Said::Error(message) => self.tell(&format!("error: {}", clean(&message))),
                    Said::Clap(error) if error.use_stderr() => {
                        drop(write!(self.err, "{}", error.render()));
                    }
                    Said::Clap(error) => self.print(&error.render().to_string()),
                }
                exit
            }
        };
        if self.trouble.is_none() {
            self.trouble = self.out.flush().err();
        }
        match self.trouble.take() {
            // Whoever read us has seen enough.
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                self.tell(&format!("error: the output cannot be written: {error}"));
                if exit == Exit::Completed {
                    Exit::Store
                } else {
                    exit
                }
            }
            _ => exit,
        }
    }
}

/// ANSI's number for the colour of a state.
const fn colour_of(state: State) -> u8 {
    match state {
        State::Completed => 32,
        State::Cached => 34,
        State::Failed | State::TimedOut | State::Crashed => 31,
        State::UpstreamFailed | State::Cancelled | State::RolledBack => 90,
        _ => 33,
    }
}

/// A text without what would steer a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' | '\t' => letter,
            _ if letter.is_control() => char::REPLACEMENT_CHARACTER,
            _ => letter,
        })
        .collect()
}

/// A text in one line.
pub(super) fn one_line(text: &str) -> String {
    clean(text).replace(['\n', '\t'], " ")
}
