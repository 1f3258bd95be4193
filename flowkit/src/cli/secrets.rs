//! Parameters that are secrets: given where nobody who lists processes, or reads what a shell remembers, finds them.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgGroup, ArgMatches, Command, value_parser};

use super::trouble::Trouble;
use crate::registry::FlowParameter;

/// Where a secret may come from beside the command line, as an end of the option's name.
const FROM_ENVIRONMENT: &str = "env";
const FROM_FILE: &str = "file";

/// The options of one secret. `typed` is the one that takes it on the command line itself; what the flow has a parameter for is left out.
pub(super) fn add(
    command: Command,
    parameter: &FlowParameter,
    typed: Arg,
    is_taken: impl Fn(&str) -> bool,
) -> Command {
    let long = typed.get_long().unwrap_or_default().to_owned();
    let named = |end: &str| format!("{long}-{end}");
    let environment = Arg::new(id(parameter, FROM_ENVIRONMENT))
        .long(named(FROM_ENVIRONMENT))
        .value_name("VARIABLE")
        .help(format!("`{long}` is in this environment variable"));
    let file = Arg::new(id(parameter, FROM_FILE))
        .long(named(FROM_FILE))
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(format!("`{long}` is in this file, `-` for standard input"));
    let is_required = typed.is_required_set();
    let typed = typed
        .required(false)
        .help("Typed here, it shows to whoever lists processes");
    let mut group = ArgGroup::new(id(parameter, "given"))
        .required(is_required)
        .arg(typed.get_id().clone());
    let mut command = command.arg(typed);
    for (end, arg) in [(FROM_ENVIRONMENT, environment), (FROM_FILE, file)] {
        if !is_taken(&named(end)) {
            group = group.arg(arg.get_id().clone());
            command = command.arg(arg);
        }
    }
    command.group(group)
}

/// What a secret is, if it was given anywhere but on the command line itself.
pub(super) fn read(parameter: &FlowParameter, matches: &ArgMatches) -> Result<Option<String>, Trouble> {
    let wrong = |reason: String| Trouble::usage(format!("parameter `{}`: {reason}", parameter.name()));
    if let Some(variable) = given::<String>(matches, &id(parameter, FROM_ENVIRONMENT)) {
        return match std::env::var(variable) {
            Ok(secret) => Ok(Some(secret)),
            Err(std::env::VarError::NotPresent) => {
                Err(wrong(format!("there is no environment variable `{variable}`")))
            }
            Err(std::env::VarError::NotUnicode(_)) => Err(wrong(format!(
                "the environment variable `{variable}` is no UTF-8"
            ))),
        };
    }
    let Some(file) = given::<PathBuf>(matches, &id(parameter, FROM_FILE)) else {
        return Ok(None);
    };
    let text =
        read_file(file).map_err(|error| wrong(format!("`{}` cannot be read: {error}", file.display())))?;
    Ok(Some(without_line_end(text)))
}

fn given<'a, T: Clone + Send + Sync + 'static>(matches: &'a ArgMatches, id: &str) -> Option<&'a T> {
    matches.try_get_one::<T>(id).ok().flatten()
}

fn read_file(file: &Path) -> io::Result<String> {
    if file != Path::new("-") {
        return fs::read_to_string(file);
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

/// The end of the last line is the file's, and not the secret's.
fn without_line_end(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// By which clap knows an option of a secret, apart from the parameters themselves.
fn id(parameter: &FlowParameter, end: &str) -> String {
    format!("secret {} {end}", parameter.name())
}

/// What is said to who writes a secret where others see it.
pub(super) fn warning(long: &str) -> String {
    format!(
        "warning: `--{long}` shows the secret to whoever lists processes: `--{long}-env VARIABLE` and `--{long}-file FILE` do not"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_not_part_of_a_secret() {
        for (text, secret) in [
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            (" a ", " a "),
            ("", ""),
        ] {
            assert_eq!(without_line_end(text.to_owned()), secret);
        }
    }
}
