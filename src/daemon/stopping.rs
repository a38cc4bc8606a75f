//! The end of the process, watched: systemd and the journal say what it waits for while it does. The disk of the log may
//! stand still for ever; then the process ends without it, within the time that its unit allows.

use std::cell::Cell;
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::Instant;

use super::{exit, systemd};
use crate::raft::Node;

/// How long the end waits for a disk that stands still: `TimeoutStopSec=` of the unit is longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Polling interval.
const LOOK: Duration = Duration::from_millis(250);

/// A step that takes this long is in the journal.
const LONG: Duration = Duration::from_secs(2);

/// What the end waits for at present.
pub struct Steps(Cell<&'static str>);

impl Steps {
    /// The first step.
    pub fn first(what: &'static str) -> Self {
        Self(Cell::new(what))
    }

    /// The next step begins.
    pub fn next(&self, what: &'static str) {
        self.0.set(what);
    }
}

/// The disk of the log, which stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stalled {
    /// For how long.
    lasting: Duration,
    /// The entries that are not flushed.
    unflushed: Option<RangeInclusive<u64>>,
}

impl Stalled {
    fn of(node: &Node) -> Option<Self> {
        let lasting = node.log_stalled_for()?;
        Some(Self { lasting, unflushed: node.unflushed() })
    }

    /// What a restart does not find.
    fn missing(&self) -> String {
        match &self.unflushed {
            Some(range) => format!(
                "entries {} to {} are not flushed, and this member has not acknowledged them",
                range.start(),
                range.end()
            ),
            None => "all entries are flushed".to_string(),
        }
    }
}

/// What is to be said about the end.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// The line for systemd.
    Status(String),
    /// A step takes long.
    Long(&'static str),
    /// The disk of the log stands still.
    Stands(String),
    /// It goes on.
    GoesOn,
    /// It has stood still for too long.
    GivesUp(String),
}

/// Says what the end waits for, and ends the process if the disk of the log stands still for too long.
pub async fn watch(steps: &Steps, node: &Node) -> std::convert::Infallible {
    let tell = |news| match news {
        News::Status(line) => systemd::status(&line),
        News::Long(step) => tracing::info!("still stopping: {step}"),
        News::Stands(missing) => {
            tracing::warn!(
                waits_for = ?PATIENCE,
                "stopping waits for the disk of the raft log, which stands still: {missing}"
            );
        }
        News::GoesOn => tracing::info!("the disk of the raft log goes on"),
        News::GivesUp(missing) => exit::without_disk(&missing),
    };
    look(steps, || Stalled::of(node), tell).await;
    std::future::pending().await
}

/// Looks at the end until the disk has stood still for too long.
async fn look(steps: &Steps, stalled: impl Fn() -> Option<Stalled>, mut tell: impl FnMut(News)) {
    let begun = Instant::now();
    let (mut step, mut since) = ("", begun);
    let (mut status, mut is_told, mut stood_still) = (String::new(), false, false);
    loop {
        if step != steps.0.get() {
            (step, since, is_told) = (steps.0.get(), Instant::now(), false);
        }
        let now = stalled();
        let line = match &now {
            Some(found) => {
                let seconds = found.lasting.as_secs();
                format!("stopping: the disk of the log has stood still for {seconds} s; {}", found.missing())
            }
            None => format!("stopping: {step}"),
        };
        if line != status {
            tell(News::Status(line.clone()));
            status = line;
        }
        match (&now, stood_still) {
            (Some(found), false) => tell(News::Stands(found.missing())),
            (None, true) => tell(News::GoesOn),
            (None, false) if !is_told && since.elapsed() >= LONG => {
                is_told = true;
                tell(News::Long(step));
            }
            _ => {}
        }
        stood_still = now.is_some();
        if let Some(found) = now.filter(|found| found.lasting.min(begun.elapsed()) >= PATIENCE) {
            return tell(News::GivesUp(found.missing()));
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said while the disk stands still from `from` to `to`, and the steps are these at these times.
    async fn said(from: u64, to: u64, steps: &[(u64, &'static str)], lasts: u64) -> Vec<(u64, News)> {
        let (begun, said) = (Instant::now(), std::cell::RefCell::new(Vec::new()));
        let names = Steps::first("first");
        let stalled = || {
            let now = begun.elapsed().as_secs();
            let lasting = Duration::from_secs(now.checked_sub(from)?);
            (now < to).then_some(Stalled { lasting, unflushed: Some(7..=9) })
        };
        let tell = |news| said.borrow_mut().push((begun.elapsed().as_secs(), news));
        let go = async {
            for (at, name) in steps {
                tokio::time::sleep_until(begun + Duration::from_secs(*at)).await;
                names.next(name);
            }
            tokio::time::sleep_until(begun + Duration::from_secs(lasts)).await;
        };
        tokio::select! {
            () = look(&names, stalled, tell) => {}
            () = go => {}
        }
        said.into_inner()
    }

    const MISSING: &str = "entries 7 to 9 are not flushed, and this member has not acknowledged them";

    #[tokio::test(start_paused = true)]
    async fn each_step_is_the_status_and_a_long_one_is_in_the_journal_once() {
        let told = said(99, 99, &[(1, "second")], 20).await;
        let status = |step: &str| News::Status(format!("stopping: {step}"));
        assert_eq!(told, [(0, status("first")), (1, status("second")), (3, News::Long("second"))]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_stands_still_is_named_at_once_and_not_waited_for_for_ever() {
        let told = said(0, 99, &[], 99).await;
        assert_eq!(told[1], (0, News::Stands(MISSING.to_string())));
        let is_current = |(at, news): &(u64, News)| match news {
            News::Status(line) => {
                *line == format!("stopping: the disk of the log has stood still for {at} s; {MISSING}")
            }
            _ => true,
        };
        assert!(told.iter().all(is_current), "{told:?}");
        assert_eq!(told.last(), Some(&(30, News::GivesUp(MISSING.to_string()))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_goes_on_is_waited_for() {
        let told = said(5, 25, &[], 60).await;
        assert!(told.contains(&(25, News::GoesOn)), "{told:?}");
        assert!(!told.iter().any(|(_, news)| matches!(news, News::GivesUp(_))), "{told:?}");
    }
}
