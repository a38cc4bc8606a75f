//! `kvctl diff`: two sets of keys, side by side in the order of the keys.

use std::cmp::Ordering;
use std::collections::VecDeque;

use crate::api::proto::etcdserverpb::RangeRequest;
use crate::api::proto::mvccpb::KeyValue;
use crate::ctl::arguments::{Diff, Globals, Side, TROUBLE};
use crate::ctl::client::Client;
use crate::ctl::failure::{ERROR, Failure};
use crate::ctl::keys::{ZERO, with_prefix};
use crate::ctl::output::{complain, print_bytes};
use crate::ctl::pages::Pages;
use crate::ctl::print::diff::{self, Compared, Pair, Sums};
use crate::ctl::print::{Format, Style};
use crate::ctl::progress::Progress;
use crate::ctl::secret::Credentials;
use crate::ctl::signals::tidily;
use crate::ctl::target::Target;
use crate::model::KeyRange;
use crate::offline::Contents;

/// Compares, and fails with 1 if something differs.
pub(in crate::ctl) async fn run(globals: &Globals, style: Style, asked: Diff) -> Result<(), Failure> {
    let sums = tidily(compare(globals, style, &asked)).await.map_err(|failure| failure.coded(TROUBLE))?;
    match sums {
        Sums { only_a: 0, only_b: 0, differing: 0, .. } => Ok(()),
        _ => Err(Failure::silent(ERROR)),
    }
}

async fn compare(globals: &Globals, style: Style, asked: &Diff) -> Result<Sums, Failure> {
    if !matches!(style.format, Format::Simple | Format::Json | Format::Yaml) {
        return Err(style.unsupported());
    }
    let [one, other] = &asked.sides;
    let there = asked.access.over(globals.clone());
    let targets = [target(globals, one).await?, target(&there, other).await?];
    let mut a = Keys::open(one, &targets[0], &asked.prefix).await?;
    let mut b = Keys::open(other, &targets[1], &asked.prefix).await?;
    let compared = Compared { versions: asked.versions, leases: asked.leases };
    let (mut sums, mut seen) = (Sums::default(), 0_u64);
    let progress = Progress::count("keys compared", 0);
    loop {
        a.fill().await?;
        b.fill().await?;
        let order = match (a.ready.front(), b.ready.front()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.key.cmp(&b.key),
        };
        let of_a = if order.is_le() { a.ready.pop_front() } else { None };
        let of_b = if order.is_ge() { b.ready.pop_front() } else { None };
        let pair = match (&of_a, &of_b) {
            (Some(a), Some(b)) if diff::differences(a, b, compared).is_empty() => {
                sums.same += 1;
                None
            }
            (Some(a), Some(b)) => {
                sums.differing += 1;
                Some(Pair::Both(a, b))
            }
            (Some(a), None) => {
                sums.only_a += 1;
                Some(Pair::OnlyA(a))
            }
            (None, Some(b)) => {
                sums.only_b += 1;
                Some(Pair::OnlyB(b))
            }
            (None, None) => None,
        };
        if let Some(pair) = pair {
            print_bytes(&diff::pair(pair, compared, style)?);
        }
        seen += 1;
        progress.at(seen);
    }
    drop(progress);
    let last = diff::sums(sums, style);
    match style.format {
        Format::Simple => complain(&String::from_utf8_lossy(&last)),
        _ => print_bytes(&last),
    }
    Ok(sums)
}

/// How a cluster is reached; `None` for a file.
async fn target(globals: &Globals, side: &Side) -> Result<Option<Target>, Failure> {
    let Side::Cluster(endpoints) = side else { return Ok(None) };
    let globals = Globals { endpoints: Some(endpoints.clone()), discovery: None, ..globals.clone() };
    let mut target = Target::of(&globals).await?;
    target.credentials =
        Credentials::of(globals.user.as_ref(), globals.password.as_ref(), globals.token.as_ref()).await?;
    Ok(Some(target))
}

/// A hint about a name without a port, which may have been meant as a file.
fn no_file(endpoints: &[String]) -> Option<String> {
    let name = endpoints.first().filter(|name| !name.contains(':'))?;
    Some(format!("there is no file {name} here, so it was taken for an endpoint"))
}

/// The keys of one side, in their order.
struct Keys<'t> {
    source: Source<'t>,
    ready: VecDeque<KeyValue>,
}

enum Source<'t> {
    Cluster(Box<Client<'t>>, Pages),
    /// The next keys are in this range.
    File(Contents, Option<KeyRange>),
}

impl<'t> Keys<'t> {
    async fn open(side: &Side, target: &'t Option<Target>, prefix: &[u8]) -> Result<Keys<'t>, Failure> {
        let (key, range_end) = with_prefix(prefix.to_vec());
        let source = match (side, target) {
            (Side::File(path), _) => {
                let (_shown, meter) = Progress::of_file(path);
                let (path, scratch) = (path.clone().into(), std::env::temp_dir());
                let opening = tokio::task::spawn_blocking(move || {
                    let path: std::path::PathBuf = path;
                    Contents::open(&path, &scratch, &meter)
                });
                let opened = opening.await.map_err(|error| Failure::error(error.to_string()))?;
                let contents = opened.map_err(|error| Failure::error(error.to_string()))?;
                Source::File(contents, Some(KeyRange::from_wire(key.into(), range_end.into())))
            }
            (Side::Cluster(endpoints), Some(target)) => {
                let request =
                    RangeRequest { key: key.into(), range_end: range_end.into(), ..RangeRequest::default() };
                let opened = Client::open(target).await.map_err(|failure| failure.hint(no_file(endpoints)));
                Source::Cluster(Box::new(opened?), Pages::new(request))
            }
            (Side::Cluster(_), None) => return Err(Failure::error("no endpoint is given")),
        };
        Ok(Self { source, ready: VecDeque::new() })
    }

    /// Has a key ready, unless there is none any more.
    async fn fill(&mut self) -> Result<(), Failure> {
        if !self.ready.is_empty() {
            return Ok(());
        }
        match &mut self.source {
            Source::Cluster(client, pages) => {
                if let Some(page) = pages.next(client).await? {
                    self.ready.extend(page.kvs);
                }
            }
            Source::File(contents, next) => {
                let Some(range) = next.take() else { return Ok(()) };
                let end = range.end.clone();
                let page = contents.page(range).map_err(|error| Failure::error(error.to_string()));
                let (kvs, more) = page?;
                if let Some(last) = kvs.last().filter(|_| more) {
                    let start = [last.key.as_ref(), ZERO].concat().into();
                    *next = Some(KeyRange { start, end });
                }
                self.ready.extend(kvs.into_iter().map(|kv| KeyValue {
                    key: kv.key,
                    create_revision: kv.create_revision,
                    mod_revision: kv.mod_revision,
                    version: kv.version,
                    value: kv.value,
                    lease: kv.lease,
                }));
            }
        }
        Ok(())
    }
}
