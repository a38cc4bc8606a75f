//! The messages on the admin socket, for both ends: the request is one line, the answer one line of JSON, then the
//! daemon closes.
//!
//! ```text
//! > reload
//! < {"lines":["log-level = \"debug\" is in force"],"warnings":[],"error":null}
//! ```

use serde::{Deserialize, Serialize};

use super::sections::LogLevel;

/// The longest answer, in bytes; the findings of a configuration have limits of their own.
pub const MAX_ANSWER: u64 = 1 << 20;

/// The longest request, in bytes.
pub const MAX_REQUEST: usize = 64;

/// The requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read the configuration again.
    Reload,
    /// The line that `systemctl status` shows.
    Status,
    /// Replace this member's state by the leader's.
    Rebuild,
    /// Take a backup now; the answer's only line is the number of backups that will have ended with it.
    Backup,
    /// The backups: whether one is under way, the number that have ended, and the last one's file, or why it failed.
    Backups,
    /// Log from this level on, until the configuration is read again.
    LogLevel(LogLevel),
}

impl Request {
    /// All of them.
    const ALL: [Self; 9] = [
        Self::Reload,
        Self::Status,
        Self::Rebuild,
        Self::Backup,
        Self::Backups,
        Self::LogLevel(LogLevel::Debug),
        Self::LogLevel(LogLevel::Info),
        Self::LogLevel(LogLevel::Warn),
        Self::LogLevel(LogLevel::Error),
    ];

    /// The line of the request.
    pub const fn line(self) -> &'static str {
        match self {
            Request::Reload => "reload\n",
            Request::Status => "status\n",
            Request::Rebuild => "rebuild\n",
            Request::Backup => "backup\n",
            Request::Backups => "backups\n",
            Request::LogLevel(LogLevel::Debug) => "log-level debug\n",
            Request::LogLevel(LogLevel::Info) => "log-level info\n",
            Request::LogLevel(LogLevel::Warn) => "log-level warn\n",
            Request::LogLevel(LogLevel::Error) => "log-level error\n",
        }
    }

    /// Parses a request.
    pub fn parse(line: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|request| request.line().trim_end() == line.trim_end())
    }
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What was done, and what remains to be done; one entry per line.
    pub lines: Vec<String>,
    /// Findings that do not refuse the configuration.
    pub warnings: Vec<String>,
    /// Why nothing was done.
    pub error: Option<String>,
}

impl Answer {
    /// An answer that refuses the request.
    pub fn refused(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::default() }
    }

    /// The answer as a line of JSON.
    pub fn line(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_else(|_| "{}".to_string());
        format!("{json}\n")
    }

    /// Parses an answer.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text.trim_end()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for request in Request::ALL {
            assert_eq!(Request::parse(request.line()), Some(request));
        }
        assert_eq!(Request::parse("nonsense\n"), None);
        let answer = Answer { lines: vec!["a \"b\"".to_string()], ..Answer::refused("c\nd") };
        assert_eq!(Answer::parse(&answer.line()), Some(answer));
    }
}
