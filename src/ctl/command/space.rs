//! `kvctl space`: which prefixes take the space.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::proto::etcdserverpb::{RangeRequest, WatchCreateRequest};
use crate::api::proto::mvccpb::KeyValue;
use crate::api::proto::mvccpb::event::EventType;
use crate::client::text;
use crate::ctl::arguments::Space;
use crate::ctl::client::Client;
use crate::ctl::failure::Failure;
use crate::ctl::keys::{ZERO, with_prefix};
use crate::ctl::output::print_bytes;
use crate::ctl::print::Style;
use crate::ctl::print::space::{self, Group};
use crate::ctl::progress::Progress;
use crate::ctl::target::Target;
use crate::ctl::watcher::Watcher;

/// Keys that are fetched together: with the largest values they fit into an answer.
const PAGE: i64 = 100;

/// The pause between two questions whether the history is complete.
const PAUSE: Duration = Duration::from_millis(200);

/// The groups so far.
struct Count<'s> {
    asked: &'s Space,
    groups: BTreeMap<Vec<u8>, Group>,
    keys: u64,
    progress: Progress,
}

/// Counts and prints.
pub(in crate::ctl) async fn run(target: &Target, style: Style, asked: Space) -> Result<(), Failure> {
    let mut count = Count {
        asked: &asked,
        groups: BTreeMap::new(),
        keys: 0,
        progress: Progress::count("keys and changes", 0),
    };
    let mut client = Client::open(target).await?;
    let revision = count.live(&mut client).await?;
    if asked.history {
        count.history(target, client, revision).await?;
    }
    let Count { groups, progress, .. } = count;
    drop(progress);
    let mut groups: Vec<(Vec<u8>, Group)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.bytes + group.old_bytes));
    print_bytes(&space::space(&groups, asked.limit, style)?);
    Ok(())
}

impl Count<'_> {
    fn group(&mut self, key: &[u8]) -> &mut Group {
        let name = name(key, self.asked.prefix.len(), self.asked.depth);
        self.groups.entry(name.to_vec()).or_default()
    }

    /// Counts the live keys, page by page at one revision, which it returns.
    async fn live(&mut self, client: &mut Client<'_>) -> Result<i64, Failure> {
        let (key, range_end) = with_prefix(self.asked.prefix.clone());
        let (key, range_end) = (key.into(), range_end.into());
        let mut request = RangeRequest { key, range_end, limit: PAGE, ..RangeRequest::default() };
        loop {
            let page = client.ask_forever(async |to| to.kv.range(request.clone()).await).await;
            let page = page.map_err(|status| Failure::error(text(&status)))?;
            if request.revision == 0 {
                request.revision = page.header.map_or(0, |header| header.revision);
            }
            self.keys += page.kvs.len() as u64;
            self.progress.at(self.keys);
            for kv in &page.kvs {
                let group = self.group(&kv.key);
                group.keys += 1;
                group.bytes += size(kv);
            }
            match page.kvs.last() {
                Some(last) if page.more => request.key = [last.key.as_ref(), ZERO].concat().into(),
                _ => return Ok(request.revision),
            }
        }
    }

    /// Counts the versions that the changes up to `last` have replaced, and deletions.
    async fn history(&mut self, target: &Target, client: Client<'_>, last: i64) -> Result<(), Failure> {
        let mut first = 1;
        let mut watcher = Watcher::new(client, self.watched(first));
        let mut changes = 0;
        loop {
            let next = match watcher.open().await {
                Ok(()) => tokio::time::timeout(PAUSE, watcher.next()).await,
                Err(end) => Ok(Err(end)),
            };
            let answer = match next {
                Err(_) => {
                    watcher.ask_progress().await;
                    continue;
                }
                Ok(Ok(answer)) => answer,
                Ok(Err(end)) if end.answer.compact_revision >= first => {
                    first = end.answer.compact_revision.saturating_add(1);
                    watcher = Watcher::new(Client::open(target).await?, self.watched(first));
                    continue;
                }
                Ok(Err(end)) => {
                    let why = end.error.or(end.reason).unwrap_or_else(|| "the watch ended".to_string());
                    return Err(Failure::error(why));
                }
            };
            for event in &answer.events {
                let Some(kv) = event.kv.as_ref().filter(|kv| kv.mod_revision <= last) else { continue };
                let replaced = event.prev_kv.as_ref().map(size);
                let deletion = (event.r#type() == EventType::Delete).then_some(kv.key.len() as u64);
                let group = self.group(&kv.key);
                for bytes in replaced.into_iter().chain(deletion) {
                    group.old += 1;
                    group.old_bytes += bytes;
                }
                changes += 1;
            }
            self.progress.at(self.keys + changes);
            let seen = answer.events.last().and_then(|event| event.kv.as_ref()).map(|kv| kv.mod_revision);
            let seen = seen.or(answer.header.map(|header| header.revision)).unwrap_or_default();
            if seen >= last {
                break;
            }
        }
        Ok(())
    }

    fn watched(&self, first: i64) -> WatchCreateRequest {
        let (key, range_end) = with_prefix(self.asked.prefix.clone());
        WatchCreateRequest {
            key: key.into(),
            range_end: range_end.into(),
            start_revision: first,
            prev_kv: true,
            ..WatchCreateRequest::default()
        }
    }
}

fn size(kv: &KeyValue) -> u64 {
    (kv.key.len() + kv.value.len()) as u64
}

/// The group of a key: up to and including the delimiter that ends `depth` parts of the path behind `skip` bytes, or as
/// many parts as there are. Keys beside each other without a path are one group.
fn name(key: &[u8], skip: usize, depth: usize) -> &[u8] {
    let skip = skip.min(key.len());
    let rest = &key[skip..];
    // A delimiter at the beginning ends no part.
    let leading = rest.iter().take_while(|byte| **byte == b'/').count();
    let ends = rest.iter().enumerate().skip(leading).filter(|(_, byte)| **byte == b'/');
    match ends.take(depth).last() {
        Some((end, _)) => &key[..=skip + end],
        None => &key[..skip + leading],
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn groups_are_parts_of_paths() {
        let key = b"/registry/pods/default/a";
        assert_eq!(name(key, 0, 1), b"/registry/");
        assert_eq!(name(key, 0, 2), b"/registry/pods/");
        assert_eq!(name(key, 0, 9), b"/registry/pods/default/");
        assert_eq!(name(key, b"/registry/".len(), 1), b"/registry/pods/");
        assert_eq!(name(b"flat", 0, 1), b"");
        assert_eq!(name(b"/flat", 0, 1), b"/");
        assert_eq!(name(b"a/b", 1, 1), b"a/");
        assert_eq!(name(b"a", 9, 1), b"a");
    }
}
