//! The formats of `--write-out`.

use crate::ctl::failure::Failure;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ctl) enum Format {
    Simple,
    Table,
    Json,
    Fields,
    /// The protobuf message itself; only commands with a single answer have it.
    Protobuf,
}

impl Format {
    /// By etcdctl's name for it.
    pub(in crate::ctl) fn parse(name: &str) -> Option<Self> {
        let all = [Self::Simple, Self::Table, Self::Json, Self::Fields, Self::Protobuf];
        all.into_iter().find(|format| format.name() == name)
    }

    /// etcdctl's name for it.
    pub(in crate::ctl) fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Table => "table",
            Self::Json => "json",
            Self::Fields => "fields",
            Self::Protobuf => "protobuf",
        }
    }
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Style {
    pub(in crate::ctl) format: Format,
    /// Ids, and in simple keys and values, in hexadecimal.
    pub(in crate::ctl) hex: bool,
}

impl Style {
    /// The error for a format that the command does not have.
    pub(in crate::ctl) fn unsupported(self) -> Failure {
        Failure::format(format!("{} not supported as output format", self.format.name()))
    }
}
