//! The status of a backup, as etcdutl 3.7 prints it; what is left of a cluster.

use super::document::line;
use super::fields::Lines;
use super::format::{Format, Style};
use super::table::draw;
use super::tree::Object;
use super::words::size;
use crate::ctl::failure::Failure;
use crate::model::LogPosition;
use crate::offline::{Condition, Plan, Recovered, Recovery, Salvage, Saved, Status};

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
                found.revision.map_or_else(|| "-".to_string(), |revision| revision.to_string()),
            ]
        })
        .collect();
    let mut text = draw(&PLAN, &rows);
    for found in &plan.found {
        let dir = found.source.data_dir.display();
        match &found.condition {
            Condition::Right => {}
            Condition::Unwanted => {
                text += &format!(
                    "{dir}: an operator had its state replaced, which did not end; nothing is known against it\n"
                );
            }
            Condition::Wrong(why) => text += &format!("{dir}: its state is wrong: {why}\n"),
            Condition::Lost(why) => text += &format!("{dir}: its state is lost: {why}\n"),
        }
        if let Some(why) = &found.log_damage {
            text += &format!("{dir}: its log cannot be used: {why}\n");
        }
        if let Some(why) = &found.gap {
            text += &format!("{dir}: its log can be used after the state of another member only: {why}\n");
        }
        if found.runs {
            text += &format!(
                "{dir}: this member runs; shown is what is on its disks now, and the revision of its last checkpoint. \
                 recover apply needs it stopped\n"
            );
        }
    }
    text + &prospects(plan)
}

/// What would be kept and lost.
fn prospects(plan: &Plan) -> String {
    let Some(id) = plan.found.first().map(|found| found.identity.cluster) else { return String::new() };
    if plan.is_majority {
        return format!(
            "a majority of the voters of cluster {id} is here: start them, and nothing is lost\n"
        );
    }
    let (Some(kept), Some(state), Some(log)) = (&plan.kept, plan.state(), plan.log()) else {
        return match plan.found.iter().any(|found| found.runs) {
            true => "nothing can be kept of members that are stopped: stop those that run, and plan again\n"
                .into(),
            false => "nothing that was found can be kept\n".into(),
        };
    };
    let dir = state.source.data_dir.display();
    let missing = plan.missing.iter().map(|member| format!("{} ({})", member.id, member.name));
    let missing = missing.collect::<Vec<_>>().join(", ");
    let mut text = match missing.as_str() {
        "" => format!("no voter of cluster {id} is missing, but none of them can lead\n"),
        missing => format!("missing voters of cluster {id}: {missing}\n"),
    };
    text += &match kept.state == kept.log {
        true if plan.is_without_log() => {
            format!("kept: the state in {dir}, up to revision {}, without its log\n", kept.revision)
        }
        true => format!("kept: everything in {dir}, up to revision {}\n", kept.revision),
        false => format!(
            "kept: the state in {dir} and all entries of the log in {}, up to revision {}\n",
            log.source.data_dir.display(),
            kept.revision
        ),
    };
    if plan.undecided() > 0 {
        text += &format!(
            "kept, too: {} entries at the end of that log that nobody here knows to be committed\n",
            plan.undecided()
        );
    }
    for longer in plan.longer() {
        let (dir, last) = (longer.source.data_dir.display(), longer.last.map_or(0, |last| last.index));
        text += &match longer.runs {
            true => format!(
                "not counted: what the member in {dir} has up to entry {last}: stop it, and plan again\n"
            ),
            false => {
                format!("lost: what the log in {dir} has up to entry {last}: no state here goes on in it\n")
            }
        };
    }
    if plan.found.iter().any(|found| found.log_damage.is_some()) {
        text +=
            "uncertain: what only a log held that cannot be used; there may be acknowledged writes in it\n";
    }
    match &state.condition {
        Condition::Unwanted => {
            text += "uncertain: why an operator had the state replaced that is kept; if it was wrong, it stays so\n";
        }
        Condition::Wrong(_) => {
            text += "uncertain: the state that is kept is wrong, and nobody here knows where: compare it with a backup; \
                     apply wants --force\n";
        }
        Condition::Right | Condition::Lost(_) => {}
    }
    text += "lost: whatever the missing voters have acknowledged after that; nobody here knows how much\n";
    text += "refused for ever: every member of that cluster that comes back with its data\n";
    text
}

/// `recover salvage`.
pub(in crate::ctl) fn saved(saved: &Saved, wanted: &Salvage) -> String {
    let Saved { found, applied, hindrance, behind, bytes } = saved;
    let (file, dir) = (wanted.file.display(), wanted.source.data_dir.display());
    let mut text = String::new();
    let mut line = |words: String| text = std::mem::take(&mut text) + &words + "\n";
    found.damage.iter().for_each(|place| line(format!("damaged: {place}")));
    let more = found.damaged.saturating_sub(found.damage.len() as u64);
    if more > 0 {
        line(format!("damaged: {more} more places"));
    }
    found.lost.iter().for_each(|lost| line(format!("lost: {lost}")));
    let more = found.losses.saturating_sub(found.lost.len() as u64);
    if more > 0 {
        line(format!("lost: {more} more versions of keys"));
    }
    if let Some(former) = found.former.filter(|former| !found.is_whole && *former > found.last) {
        line(format!("lost: whatever was changed after revision {}, up to {former}", found.last));
    }
    if *applied > 0 {
        line(format!(
            "saved, too: the last {applied} entries of the log, which were not in these data yet, acknowledged or not"
        ));
    }
    if let Some(hindrance) = hindrance {
        line(format!("the entries of the log cannot be applied: {hindrance}"));
    }
    match behind {
        Some(0) => {}
        Some(behind) => {
            line(format!(
                "not saved: the last {behind} entries of the log, which were not in these data yet"
            ));
        }
        None => {
            line("not saved: entries of the log that were not in these data yet; how many is unknown".into())
        }
    }
    if found.auth_is_lost {
        line(
            "lost: whether authentication was on; in the backup it is, with the users that were saved".into(),
        );
    }
    if found.has_tree {
        line("not saved: the data of the v2 API, which are in no backup".to_string());
    }
    if found.is_unproven {
        line("these data have no checksums, so what was saved may be wrong all the same".to_string());
    }
    let changes = found.changes;
    line(match found.is_complete() {
        true if saved.is_complete() => {
            format!("{dir} is not damaged: {file} has all {changes} changes in it")
        }
        true => format!(
            "INCOMPLETE: the state in {dir} is not damaged, but {file} has only the {changes} changes in it: a member that \
             starts with these data applies what its log has beyond them"
        ),
        false => format!("INCOMPLETE: {file} has {changes} changes of {dir}, and not what is named above"),
    });
    let size = size(i64::try_from(*bytes).unwrap_or(i64::MAX));
    line(format!(
        "it has {size}, and revision {}; restore it with --bump-revision=1000000000 --mark-compacted",
        found.revision
    ));
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
