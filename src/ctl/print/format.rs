//! The formats of `--write-out`.

use crate::ctl::failure::Failure;

/// A format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ctl) enum Format {
    #[default]
    Simple,
    Table,
    Json,
    /// The structure of JSON.
    Yaml,
    Fields,
    /// The protobuf message itself; only commands with a single answer have it.
    Protobuf,
}

impl Format {
    /// By its name: etcdctl's, or `yaml`.
    pub(in crate::ctl) fn parse(name: &str) -> Option<Self> {
        let all = [Self::Simple, Self::Table, Self::Json, Self::Yaml, Self::Fields, Self::Protobuf];
        all.into_iter().find(|format| format.name() == name)
    }

    /// Its name.
    pub(in crate::ctl) fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Table => "table",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Fields => "fields",
            Self::Protobuf => "protobuf",
        }
    }
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ctl) struct Style {
    pub(in crate::ctl) format: Format,
    /// Ids, and in simple keys and values, in hexadecimal.
    pub(in crate::ctl) hex: bool,
    /// Keys and values that are texts as texts, in JSON and YAML.
    pub(in crate::ctl) text: bool,
}

impl Style {
    /// The error for a format that the command does not have.
    pub(in crate::ctl) fn unsupported(self) -> Failure {
        Failure::format(format!("{} not supported as output format", self.format.name()))
    }
}
