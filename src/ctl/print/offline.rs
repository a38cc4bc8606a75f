//! The status of a backup, as etcdutl 3.7 prints it; what is left of a cluster.

use super::document::line;
use super::fields::Lines;
use super::format::{Format, Style};
use super::table::draw;
use super::tree::Object;
use super::words::size;
use crate::ctl::failure::Failure;
use crate::model::LogPosition;
use crate::offline::{Plan, Recovered, Recovery, Status};

/// Columns of `snapshot status`.
const STATUS: [&str; 5] = ["hash", "revision", "total keys", "total size", "version"];

/// `snapshot status`.
pub(in crate::ctl) fn status(status: &Status, style: Style) -> Result<Vec<u8>, Failure> {
    let Status { hash, revision, keys, bytes, version } = status;
    let row = || {
        let size = size(i64::try_from(*bytes).unwrap_or(i64::MAX));
        vec![format!("{hash:x}"), revision.to_string(), keys.to_string(), size, version.clone()]
    };
    match style.format {
        Format::Simple => Ok(format!("{}\n", row().join(", ")).into_bytes()),
        Format::Table => Ok(draw(&STATUS, &[row()]).into_bytes()),
        Format::Json | Format::Yaml => Ok(line(
            Object::default()
                .always("hash", *hash)
                .always("revision", *revision)
                .always("totalKey", *keys)
                .always("totalSize", *bytes)
                .always("version", version.as_str()),
            style,
        )),
        Format::Fields => {
            let mut lines = Lines::default();
            lines.bare("Hash", hash).bare("Revision", revision).bare("Keys", keys).bare("Size", bytes);
            lines.bare("Version", version);
            Ok(lines.into_bytes())
        }
        Format::Protobuf => Err(style.unsupported()),
    }
}

/// Columns of `recover plan`.
const PLAN: [&str; 7] = ["data directory", "member", "name", "term", "last entry", "committed", "revision"];

/// `recover plan`.
pub(in crate::ctl) fn plan(plan: &Plan) -> String {
    let index = |at: Option<LogPosition>| at.map_or_else(|| "-".to_string(), |at| at.index.to_string());
    let last = |at: Option<LogPosition>| match at {
        Some(at) => format!("{} of term {}", at.index, at.term),
        None => "-".to_string(),
    };
    let rows: Vec<Vec<String>> = plan
        .found
        .iter()
        .map(|found| {
            vec![
                found.source.data_dir.display().to_string(),
                found.identity.member.to_string(),
                found.name.clone(),
                found.term.to_string(),
                last(found.last),
                index(found.committed),
                found.revision.to_string(),
            ]
        })
        .collect();
    let mut text = draw(&PLAN, &rows);
    for found in &plan.found {
        if let Some(why) = &found.condemned {
            text += &format!("{}: not used, its state is wrong: {why}\n", found.source.data_dir.display());
        }
    }
    text + &prospects(plan)
}

/// What would be kept and lost.
fn prospects(plan: &Plan) -> String {
    let Ok(best) = plan.best() else { return "nothing that was found can be kept\n".to_string() };
    let (dir, id) = (best.source.data_dir.display(), best.identity.cluster);
    let missing = plan.missing.iter().map(|member| format!("{} ({})", member.id, member.name));
    let missing = missing.collect::<Vec<_>>().join(", ");
    if plan.is_majority {
        return format!(
            "a majority of the voters of cluster {id} is here: start them, and nothing is lost\n"
        );
    }
    let mut text = format!("missing voters of cluster {id}: {missing}\n");
    text += &format!("kept: everything in {dir}, up to revision {}\n", best.revision);
    if plan.undecided() > 0 {
        text += &format!(
            "kept, too: {} entries at the end of its log that it does not know to be committed\n",
            plan.undecided()
        );
    }
    text += "lost: whatever the missing voters have acknowledged after that; nobody here knows how much\n";
    text += "refused for ever: every member of that cluster that comes back with its data\n";
    text
}

/// `recover apply`.
pub(in crate::ctl) fn recovered(recovered: &Recovered, wanted: &Recovery) -> String {
    let Recovered { plan: left, identity, name, peer_urls, revision } = recovered;
    format!(
        "{}{} holds member {} ({name}) of the new cluster {}, at revision {revision}; all before is compacted\n\
         start kvd there, with --name {name} and --initial-advertise-peer-urls {}; then let others join it with \
         empty directories\n",
        plan(left),
        wanted.data_dir.display(),
        identity.member,
        identity.cluster,
        peer_urls.join(","),
    )
}
