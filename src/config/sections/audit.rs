//! The audit.

use std::path::PathBuf;

use super::{U32, U64};
use crate::config::diagnostic::Diagnostic;
use crate::config::findings::Findings;
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::typed::{FromValue, section};
use crate::config::value::Value;

section! {
    /// The audit: who did what.
    pub struct Audit under Audit {
        output: AuditOutput = own("audit-output", Kind::Text, "", "Where the audit goes: journal, or a file, which only its owner can read. It says who (user, certificate, address) called which method on which keys, with the outcome and the duration; no values. A stream has a record when it begins and one when it ends, with the same number. Without it there is no audit.").key("audit.output");
        methods: Vec<String> = own("audit-methods", Kind::List, "", "Only these methods are recorded: by name (Put), by service (KV, Auth), or by path (/etcdserverpb.KV/Put). Without it: all.").key("audit.methods");
        prefixes: Vec<String> = own("audit-prefixes", Kind::List, "", "Of the calls that name keys, only those with a key below one of these prefixes are recorded. Without it: all.").key("audit.prefixes");
        users: Vec<String> = own("audit-users", Kind::List, "", "Only calls of these users are recorded. Without it: all.").key("audit.users");
        max_size_megabytes: u64 = own("audit-max-size-megabytes", Kind::Number(U32), "100", "A file of the audit that is this large gets a name with the time, and a new one begins.").key("audit.max-size-megabytes");
        max_files: usize = own("audit-max-files", Kind::Number(U64), "10", "How many full files of the audit are kept.").key("audit.max-files");
    }
}

/// `audit-output`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditOutput {
    /// There is no audit.
    Off,
    /// The journal.
    Journal,
    /// A file.
    File(PathBuf),
}

impl FromValue for AuditOutput {
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
        Ok(match String::from_value(value)?.as_str() {
            "" => AuditOutput::Off,
            "journal" => AuditOutput::Journal,
            path => AuditOutput::File(PathBuf::from(path)),
        })
    }
}

impl Audit {
    pub(in crate::config) fn check(&self, found: &mut Findings<'_>) {
        let filters = [
            ("audit-methods", &self.methods),
            ("audit-prefixes", &self.prefixes),
            ("audit-users", &self.users),
        ];
        for (option, _) in filters.iter().filter(|(_, list)| !list.is_empty()) {
            if self.output == AuditOutput::Off {
                found.warn(option, format!("--{option} changes nothing without --audit-output"));
            }
        }
    }
}
