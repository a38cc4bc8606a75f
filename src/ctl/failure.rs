//! How a command ends: etcdctl's texts on standard error, and its exit codes.

use std::fmt;

/// An RPC failed, or a command is not known (etcdctl `ExitError`).
pub(super) const ERROR: u8 = 1;
/// A format that the command does not have (etcdctl `ExitBadFeature`).
pub(super) const BAD_FEATURE: u8 = 4;
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

    /// The error has been printed already.
    pub(super) fn silent() -> Self {
        Self { text: None, hints: Vec::new(), code: ERROR }
    }

    fn with_code(code: u8, text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), hints: Vec::new(), code }
    }

    /// Adds a line that says what to do.
    pub(super) fn hint(mut self, hint: Option<String>) -> Self {
        self.hints.extend(hint);
        self
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
