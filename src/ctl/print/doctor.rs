//! What `kvctl doctor` has found.

use super::document::line;
use super::format::{Format, Style};
use super::tree::Object;
use crate::ctl::failure::Failure;
use crate::ctl::survey::printable;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ctl) enum Grade {
    Ok,
    Warn,
    Fail,
}

impl Grade {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Finding {
    pub(in crate::ctl) grade: Grade,
    /// Whom it is about.
    pub(in crate::ctl) whom: String,
    pub(in crate::ctl) what: String,
    /// What to do; empty if all is well.
    pub(in crate::ctl) hint: String,
}

impl Finding {
    pub(in crate::ctl) fn new(grade: Grade, whom: impl Into<String>, what: String, hint: &str) -> Self {
        // Labels of metrics are what files and members are called.
        Self { grade, whom: whom.into(), what: printable(&what), hint: hint.to_string() }
    }
}

/// `doctor`.
pub(in crate::ctl) fn findings(found: &[Finding], style: Style) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => {
            let lines = found.iter().map(|found| {
                let Finding { grade, whom, what, hint } = found;
                let hint = if hint.is_empty() { String::new() } else { format!("      hint: {hint}\n") };
                format!("{:<4}  {whom}: {what}\n{hint}", grade.name())
            });
            Ok(lines.collect::<String>().into_bytes())
        }
        Format::Json | Format::Yaml => {
            let findings = found.iter().map(|found| {
                let object = Object::default().always("grade", found.grade.name());
                let object = object.always("whom", found.whom.as_str()).always("what", found.what.as_str());
                object.some("hint", found.hint.as_str())
            });
            let worst = found.iter().map(|found| found.grade).max().unwrap_or(Grade::Ok);
            Ok(line(Object::default().always("worst", worst.name()).list("findings", findings), style))
        }
        Format::Table | Format::Fields | Format::Protobuf => Err(style.unsupported()),
    }
}
