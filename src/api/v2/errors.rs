//! The errors of v2: number, text, and status.

use http::StatusCode;

use crate::api::status;
use crate::model::{Refusal, TreeCode, TreeError};

/// Rows of number, text, and status.
const ERRORS: &[(u16, &str, StatusCode)] = &[
    (100, "Key not found", StatusCode::NOT_FOUND),
    (101, "Compare failed", StatusCode::PRECONDITION_FAILED),
    (102, "Not a file", StatusCode::FORBIDDEN),
    (104, "Not a directory", StatusCode::BAD_REQUEST),
    (105, "Key already exists", StatusCode::PRECONDITION_FAILED),
    (107, "Root is read only", StatusCode::BAD_REQUEST),
    (108, "Directory not empty", StatusCode::FORBIDDEN),
    (110, "The request requires user authentication", StatusCode::UNAUTHORIZED),
    (201, "PrevValue is Required in POST form", StatusCode::BAD_REQUEST),
    (202, "The given TTL in POST form is not a number", StatusCode::BAD_REQUEST),
    (203, "The given index in POST form is not a number", StatusCode::BAD_REQUEST),
    (209, "Invalid field", StatusCode::BAD_REQUEST),
    (210, "Invalid POST form", StatusCode::BAD_REQUEST),
    (211, "Value provided on refresh", StatusCode::BAD_REQUEST),
    (212, "A TTL must be provided on refresh", StatusCode::BAD_REQUEST),
    (300, "Raft Internal Error", StatusCode::INTERNAL_SERVER_ERROR),
    (401, "The event in requested index is outdated and cleared", StatusCode::BAD_REQUEST),
];

/// The tree is in memory, so it has a limit of its own beside the quota.
const NO_SPACE: &str = "the nodes of the v2 API take all of their 64 MiB: delete some, or use the v3 API";

/// An error of a request on nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Its number, which is in the table.
    pub code: u16,
    /// What it is about; may be empty.
    pub cause: String,
    /// The tree's index; 0 if the tree was not asked.
    pub index: u64,
}

impl Error {
    /// An error in the request.
    pub fn new(code: u16, cause: impl Into<String>) -> Self {
        Self { code, cause: cause.into(), index: 0 }
    }

    /// Its text and status.
    pub fn row(&self) -> (&'static str, StatusCode) {
        let row = ERRORS.iter().find(|(code, ..)| *code == self.code);
        row.map_or(("", StatusCode::INTERNAL_SERVER_ERROR), |(_, text, status)| (text, *status))
    }
}

impl From<TreeError> for Error {
    fn from(error: TreeError) -> Self {
        let code = match error.code {
            TreeCode::NotFound => 100,
            TreeCode::CompareFailed => 101,
            TreeCode::NotAFile => 102,
            TreeCode::NotADirectory => 104,
            TreeCode::Exists => 105,
            TreeCode::RootReadOnly => 107,
            TreeCode::NotEmpty => 108,
            TreeCode::TooLong => 209,
            TreeCode::Cleared => 401,
            TreeCode::NoSpace => return Self { code: 300, cause: NO_SPACE.into(), index: error.index },
        };
        Self { code, cause: error.cause, index: error.index }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        const UNAUTHORIZED: u16 = 110;
        let row = status::of(&refusal);
        match row.v2 {
            // As in etcd it does not say why.
            Some(UNAUTHORIZED) => Self::new(UNAUTHORIZED, "Insufficient credentials"),
            Some(code) => Self::new(code, row.text),
            None => Self::new(300, row.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_number_of_the_table() {
        for refusal in
            [Refusal::Timeout, Refusal::NoSpace, Refusal::UserEmpty, Refusal::MessageTooLong("x".into())]
        {
            assert!(!Error::from(refusal.clone()).row().0.is_empty(), "{refusal:?}");
        }
        let unauthorized = Error::from(Refusal::UserEmpty);
        assert_eq!(unauthorized.row().1, StatusCode::UNAUTHORIZED);
        assert_eq!(unauthorized.cause, "Insufficient credentials");
        let full = TreeError { code: TreeCode::NoSpace, cause: String::new(), index: 9 };
        let full = Error::from(full);
        assert!(full.cause.contains("64 MiB") && full.index == 9, "{full:?}");
        assert_eq!(Error::from(Refusal::NoSpace).cause, "etcdserver: mvcc: database space exceeded");
    }
}
