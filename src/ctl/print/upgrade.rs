//! The versions of a cluster and its members, and what is to be done.

use super::document::line;
use super::format::{Format, Style};
use super::table::draw;
use super::tree::Object;
use crate::ctl::failure::Failure;
use crate::ctl::survey::Seen;

/// What follows from the members' answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Verdict {
    /// The cluster's version, if its leader says it.
    pub(in crate::ctl) cluster: Option<String>,
    /// The version that the cluster goes back to.
    pub(in crate::ctl) downgrade: Option<String>,
    /// Why no member should be stopped now.
    pub(in crate::ctl) reasons: Vec<String>,
    /// What to do.
    pub(in crate::ctl) next: String,
}

const COLUMNS: [&str; 4] = ["name", "id", "version", "role"];

/// `upgrade status`.
pub(in crate::ctl) fn status(seen: &[Seen], verdict: &Verdict, style: Style) -> Result<Vec<u8>, Failure> {
    let row = |seen: &Seen| {
        let version = seen.status.as_ref().map_or("unknown", |status| status.version.as_str());
        vec![seen.name(), format!("{:x}", seen.member.id), version.to_string(), role(seen).to_string()]
    };
    let rows: Vec<Vec<String>> = seen.iter().map(row).collect();
    let cluster = verdict.cluster.as_deref().unwrap_or("unknown");
    match style.format {
        Format::Simple | Format::Table => {
            let mut text = match style.format {
                Format::Table => draw(&COLUMNS, &rows),
                _ => rows.iter().map(|row| format!("{}\n", row.join(", "))).collect(),
            };
            text.push_str(&format!("cluster version {cluster}\n"));
            if let Some(target) = &verdict.downgrade {
                text.push_str(&format!("going back to {target}\n"));
            }
            for reason in &verdict.reasons {
                text.push_str(&format!("not safe: {reason}\n"));
            }
            text.push_str(&format!("next: {}\n", verdict.next));
            Ok(text.into_bytes())
        }
        Format::Json | Format::Yaml => {
            let members = rows.iter().map(|row| {
                let pairs = COLUMNS.iter().zip(row);
                pairs.fold(Object::default(), |object, (name, value)| object.always(name, value.as_str()))
            });
            let object = Object::default()
                .always("clusterVersion", cluster)
                .always("downgradeTarget", verdict.downgrade.as_deref().unwrap_or_default())
                .always("safe", verdict.reasons.is_empty())
                .always("reasons", verdict.reasons.clone())
                .always("next", verdict.next.as_str())
                .list("members", members);
            Ok(line(object, style))
        }
        Format::Fields | Format::Protobuf => Err(style.unsupported()),
    }
}

fn role(seen: &Seen) -> &'static str {
    match &seen.status {
        Err(_) => "silent",
        Ok(_) if seen.leads() => "leader",
        Ok(status) if status.is_learner => "learner",
        Ok(_) => "follower",
    }
}
