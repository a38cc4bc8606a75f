//! How a command ends: etcdctl's texts on standard error, and its exit codes.

use std::fmt;

/// An RPC failed, or a command is not known (etcdctl `ExitError`).
pub(super) const ERROR: u8 = 1;
/// A client cannot be made, or a lease's request failed (etcdctl `ExitBadConnection`).
pub(super) const BAD_CONNECTION: u8 = 2;
/// What was typed or piped in cannot be understood (etcdctl `ExitInvalidInput`).
pub(super) const INVALID_INPUT: u8 = 3;
/// A format that the command does not have (etcdctl `ExitBadFeature`).
pub(super) const BAD_FEATURE: u8 = 4;
/// A stream ended too early (etcdctl `ExitInterrupted`).
pub(super) const INTERRUPTED: u8 = 5;
/// What was saved is not everything (kvctl's own).
pub(super) const INCOMPLETE: u8 = 6;
/// The arguments are wrong (etcdctl `ExitBadArgs`).
pub(super) const BAD_ARGUMENTS: u8 = 128;

/// A command that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    text: Option<String>,
    hints: Vec<String>,
    code: u8,
}

impl Failure {
    /// Something went wrong.
    pub(super) fn error(text: impl Into<String>) -> Self {
        Self::with_code(ERROR, text)
    }

    /// The command has no such format.
    pub(super) fn format(text: impl Into<String>) -> Self {
        Self::with_code(BAD_FEATURE, text)
    }

    /// The arguments are wrong.
    pub(super) fn arguments(text: impl Into<String>) -> Self {
        Self::with_code(BAD_ARGUMENTS, text)
    }

    /// The error has been printed already.
    pub(super) fn silent(code: u8) -> Self {
        Self { text: None, hints: Vec::new(), code }
    }

    /// A failure with one of etcdctl's exit codes.
    pub(super) fn with_code(code: u8, text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), hints: Vec::new(), code }
    }

    /// Adds a line that says what to do.
    pub(super) fn hint(mut self, hint: Option<String>) -> Self {
        self.hints.extend(hint);
        self
    }

    /// The same with another exit code.
    pub(super) fn coded(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            writeln!(f, "Error: {text}")?;
        }
        for hint in &self.hints {
            writeln!(f, "hint: {hint}")?;
        }
        Ok(())
    }
}
