//! The sources a configuration is read from: command line, environment, files. Each turns text into checked values
//! with their places, and reports everything it cannot read; none of them knows of the others.

mod environment;
mod file;
mod flags;
mod misplaced;

pub use environment::{EnvironmentFile, read_environment, read_environment_file};
pub use file::read_toml;
pub use flags::{is_flag, read_flags};

use super::diagnostic::{Diagnostic, MASK};
use super::settings::Given;
use super::spec::{Kind, OptionSpec};
use super::value::{PARSE_ERROR, describe};

/// What one source says.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Values, in the order in which they were given: a later one wins over an earlier one.
    pub given: Vec<Given>,
    /// What could not be read.
    pub diagnostics: Vec<Diagnostic>,
}

/// Why a text is refused that `what` (a flag, a variable) gives the option; `shown` is the text as it may be shown.
fn refusal(spec: &OptionSpec, what: &str, text: &str, shown: &str, reason: &str) -> String {
    match (spec.words, spec.kind) {
        (Some(words), _) => words(text),
        // What it could have been is in the help.
        (None, Kind::Choice(_)) => format!("invalid value {shown:?} for {what}"),
        (None, _) => format!("invalid value {shown:?} for {what}: {reason}"),
    }
}

/// What would have been right.
fn expectation(spec: &OptionSpec, reason: &str) -> Option<String> {
    match spec.kind {
        Kind::Choice(choices) => {
            let choices: Vec<&str> = choices.iter().copied().filter(|choice| !choice.is_empty()).collect();
            Some(format!("one of: {}", choices.join(", ")))
        }
        kind if reason == PARSE_ERROR => Some(format!("expected {}", describe(kind))),
        _ => None,
    }
}
