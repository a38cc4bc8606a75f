//! Waiting for changes of v2's tree, by the rules of etcd's v2 store.
//!
//! A waiter gets the first change that concerns it, or with `stream` each of them. What it does not take in time ends
//! it, so that the applying thread never waits.
//!
//! One address cannot take all places: it may have as many as are still free, so whoever comes next finds some.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::model::{Observer, Refusal, TreeChange, TreeError, TreeEvent};
use crate::store::Tree;

/// Waiters at a time.
const WAITERS: usize = 10_000;

/// Changes that a waiter has not taken yet (etcd's number).
const AHEAD: usize = 100;

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeWait {
    /// The path.
    pub path: Arc<str>,
    /// Everything below it, too.
    pub recursive: bool,
    /// More than one change.
    pub stream: bool,
    /// The index of the first change; 0: from now on.
    pub since: u64,
}

/// From where somebody waits: an address, or a network of IPv6, of which one host has as many addresses as it likes.
/// `None`: from a socket of this machine that has no address.
pub type From = Option<IpAddr>;

/// From where the client at an address waits.
pub fn from(address: IpAddr) -> From {
    Some(match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    })
}

/// A waiter. Dropping it ends the waiting.
pub struct TreeFeed {
    changes: Receiver<Arc<TreeEvent>>,
    index: u64,
    hub: Arc<TreeHub>,
    number: u64,
    path: Arc<str>,
    from: From,
    /// A change of the past is all that it gets, as in etcd, but its client sees no end of a stream.
    keeps_open: Option<Sender<Arc<TreeEvent>>>,
}

impl TreeFeed {
    /// The tree's index when the waiting began.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The next change; `None` if there will be none.
    pub fn poll_next(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Arc<TreeEvent>>> {
        self.changes.poll_recv(context)
    }
}

impl Drop for TreeFeed {
    fn drop(&mut self) {
        let mut state = self.hub.state.lock();
        match self.keeps_open {
            None => state.remove(&self.path, self.number),
            Some(_) => state.finished -= 1,
        }
        if let Some(open) = state.open.get_mut(&self.from) {
            *open -= 1;
            if *open == 0 {
                state.open.remove(&self.from);
            }
        }
    }
}

/// Passes changes to waiters; an observer of the store.
#[derive(Default)]
pub struct TreeHub {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiters: HashMap<Arc<str>, Vec<Waiter>>,
    /// How many there are.
    count: usize,
    /// Those that have got a change of the past and stay open.
    finished: usize,
    /// Feeds that are not dropped yet, by where they are read.
    open: HashMap<From, usize>,
    last_number: u64,
}

struct Waiter {
    number: u64,
    recursive: bool,
    stream: bool,
    since: u64,
    changes: Sender<Arc<TreeEvent>>,
}

impl TreeHub {
    /// A hub without waiters.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How many wait.
    pub fn waiters(&self) -> usize {
        self.state.lock().count
    }

    /// Waits for what is wanted. `tree` returns the tree as it is now.
    ///
    /// # Errors
    /// [`Refusal::TooManyRequests`] if too many wait, [`Refusal::TooManyWaiters`] if too many wait `from` there; an error of
    /// the tree if its history does not reach back so far.
    pub fn wait(
        self: &Arc<Self>,
        wanted: &TreeWait,
        from: From,
        tree: impl Fn() -> Tree,
    ) -> Result<Result<TreeFeed, TreeError>, Refusal> {
        let before = tree();
        let mut since = if wanted.since == 0 { before.index() + 1 } else { wanted.since };
        let found = match before.since(&wanted.path, wanted.recursive, since) {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let mut state = self.state.lock();
        let free = WAITERS.saturating_sub(state.count + state.finished);
        if free == 0 {
            return Err(Refusal::TooManyRequests);
        }
        if state.open.get(&from).is_some_and(|open| *open >= free) {
            return Err(Refusal::TooManyWaiters);
        }
        // What is applied from here on is notified after the lock is free.
        let now = tree();
        let found = match found {
            Some(found) => Some(found),
            None => match now.since(&wanted.path, wanted.recursive, since.max(before.index() + 1)) {
                Ok(found) => found,
                // So much has happened since then that it cannot be said whether something concerns the waiter.
                Err(error) => return Ok(Err(error)),
            },
        };
        *state.open.entry(from).or_default() += 1;
        let (sender, changes) = mpsc::channel(AHEAD);
        let (hub, path, number) = (self.clone(), wanted.path.clone(), state.last_number + 1);
        if let Some(event) = found {
            // There is room for the first.
            let _ = sender.try_send(event);
            state.finished += 1;
            let keeps_open = Some(sender);
            return Ok(Ok(TreeFeed {
                changes,
                index: before.index(),
                hub,
                number: 0,
                path,
                from,
                keeps_open,
            }));
        }
        state.last_number = number;
        state.count += 1;
        since = since.max(now.index() + 1);
        let TreeWait { recursive, stream, .. } = *wanted;
        let waiter = Waiter { number, recursive, stream, since, changes: sender };
        state.waiters.entry(path.clone()).or_default().push(waiter);
        Ok(Ok(TreeFeed { changes, index: before.index(), hub, number, path, from, keeps_open: None }))
    }
}

impl State {
    fn remove(&mut self, path: &str, number: u64) {
        let Some(waiters) = self.waiters.get_mut(path) else { return };
        let before = waiters.len();
        waiters.retain(|waiter| waiter.number != number);
        self.count -= before - waiters.len();
        if waiters.is_empty() {
            self.waiters.remove(path);
        }
    }

    fn end(&mut self) {
        self.waiters.clear();
        self.count = 0;
    }

    /// Notifies those who wait at `path`; `removed`: the change has removed what was there.
    fn notify(&mut self, event: &Arc<TreeEvent>, path: &str, removed: bool) {
        let Some(waiters) = self.waiters.get_mut(path) else { return };
        let is_its_own = &*event.node.key == path;
        if !is_its_own && is_hidden(path, &event.node.key) {
            return;
        }
        let before = waiters.len();
        waiters.retain(|waiter| {
            if !(waiter.recursive || is_its_own || removed) || event.index() < waiter.since {
                return true;
            }
            let taken = waiter.changes.try_send(event.clone()).is_ok();
            taken && waiter.stream
        });
        self.count -= before - waiters.len();
        if waiters.is_empty() {
            self.waiters.remove(path);
        }
    }
}

/// True if `key`, seen from `path` above it, is hidden or in a hidden directory.
fn is_hidden(path: &str, key: &str) -> bool {
    // What is removed with a directory is below the directory's own key.
    let Some(below) = key.get(path.len()..) else { return false };
    below.contains("/_") || path == "/" && below.starts_with('_')
}

impl Observer for TreeHub {
    fn on_tree(&self, changes: &[TreeChange]) {
        let mut state = self.state.lock();
        if state.waiters.is_empty() {
            return;
        }
        for TreeChange { event, removed } in changes.iter().filter(|change| !change.event.refresh) {
            for path in removed {
                state.notify(event, path, true);
            }
            state.notify(event, "/", false);
            let key = event.node.key.clone();
            let ends = key.match_indices('/').map(|(at, _)| at).skip(1).chain([key.len()]);
            for path in ends.filter_map(|end| key.get(..end)) {
                state.notify(event, path, false);
            }
        }
    }

    fn on_users(&self) {
        // Whoever may still wait passes the gate again.
        self.state.lock().end();
    }

    fn on_restored(&self, _: i64) {
        // Whoever waits does so again, from an index on if it needs every change.
        self.state.lock().end();
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::model::{Caller, Command, LogPosition, Proposal, Stamp, TreeCommand, Ttl};
    use crate::store::{CheckpointPolicy, Options, Store};

    struct Bench {
        store: Store,
        hub: Arc<TreeHub>,
        index: u64,
        _dir: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let options =
                Options { map_size: 1 << 28, checkpoint: CheckpointPolicy::Manual, ..Options::default() };
            let store = Store::open(dir.path(), options).unwrap();
            let hub = TreeHub::new();
            store.set_observers(vec![hub.clone()]);
            Self { store, hub, index: 0, _dir: dir }
        }

        fn run(&mut self, command: TreeCommand) {
            let position = LogPosition { term: 1, leader: 1, index: self.index };
            self.index += 1;
            let command = Command::Tree(command);
            let proposal = Proposal { stamp: Stamp::default(), caller: Caller::System, command };
            self.store.apply(position, &[proposal]).unwrap();
        }

        fn set(&mut self, path: &str) {
            let (path, value) = (path.into(), "v".into());
            self.run(TreeCommand::Set { path, dir: false, value, ttl: Ttl::default() });
        }

        fn wait(&self, path: &str, recursive: bool, stream: bool, since: u64) -> TreeFeed {
            let wanted = TreeWait { path: path.into(), recursive, stream, since };
            self.hub.wait(&wanted, None, || self.store.tree()).expect("few wait").expect("in the history")
        }
    }

    /// What has come: keys, and whether that is all.
    fn come(feed: &mut TreeFeed) -> (Vec<String>, bool) {
        let mut keys = Vec::new();
        loop {
            match feed.poll_next(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(event)) => keys.push(event.node.key.to_string()),
                Poll::Ready(None) => return (keys, true),
                Poll::Pending => return (keys, false),
            }
        }
    }

    fn keys(keys: &[&str]) -> Vec<String> {
        keys.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn waiters_get_what_concerns_them() {
        let mut bench = Bench::new();
        let mut one = bench.wait("/a", false, false, 0);
        let mut below = bench.wait("/a", true, true, 0);
        let mut all = bench.wait("/", true, true, 0);
        bench.set("/a/b");
        bench.set("/a/_h/x");
        bench.set("/ab");
        bench.set("/_h");
        assert_eq!(come(&mut one), (vec![], false));
        bench.set("/a/c");
        bench.run(TreeCommand::Delete { path: "/a".into(), dir: true, recursive: true });
        assert_eq!(come(&mut one), (keys(&["/a"]), true));
        // A stream at the path itself gets a removal twice, as from etcd.
        assert_eq!(come(&mut below), (keys(&["/a/b", "/a/c", "/a", "/a"]), false));
        assert_eq!(come(&mut all), (keys(&["/a/b", "/ab", "/a/c", "/a"]), false));
        assert_eq!(bench.hub.waiters(), 2);
        drop((one, below, all));
        assert_eq!(bench.hub.waiters(), 0);
        let mut hidden = bench.wait("/_h/x", false, false, 0);
        let mut deep = bench.wait("/d/e/f", false, false, 0);
        bench.set("/_h2");
        bench.set("/d/e/f");
        assert_eq!((come(&mut hidden), come(&mut deep)), ((vec![], false), (keys(&["/d/e/f"]), true)));
        bench.hub.on_restored(1);
        assert_eq!((come(&mut hidden), bench.hub.waiters()), ((vec![], true), 0));
    }

    #[test]
    fn the_past_is_found_and_the_future_waited_for() {
        let mut bench = Bench::new();
        bench.set("/a");
        let first = bench.store.tree().index();
        bench.set("/a");
        let mut past = bench.wait("/a", false, true, first);
        assert_eq!(past.index(), first + 1);
        bench.set("/a");
        assert_eq!(come(&mut past), (keys(&["/a"]), false));
        let mut future = bench.wait("/a", false, false, first + 4);
        bench.set("/a");
        assert_eq!(come(&mut future).0.len(), 0);
        bench.set("/a");
        assert_eq!(come(&mut future), (keys(&["/a"]), true));
    }

    #[test]
    fn what_happens_while_a_waiter_comes_is_found_or_it_is_said_that_it_may_be_missed() {
        for (changes, expected) in [(1, Some("/a")), (1000, Some("/a")), (1001, None)] {
            let bench = std::cell::RefCell::new(Bench::new());
            (0..10).for_each(|_| bench.borrow_mut().set("/before"));
            let asked = std::cell::Cell::new(0);
            let tree = || {
                let tree = bench.borrow().store.tree();
                if asked.replace(asked.get() + 1) == 0 {
                    bench.borrow_mut().set("/a");
                    (1..changes).for_each(|_| bench.borrow_mut().set("/other"));
                }
                tree
            };
            let wanted = TreeWait { path: "/a".into(), recursive: false, stream: false, since: 0 };
            let hub = bench.borrow().hub.clone();
            let come = match hub.wait(&wanted, None, tree).expect("few wait") {
                Ok(mut feed) => come(&mut feed).0.pop(),
                Err(error) => {
                    assert_eq!(error.code, crate::model::TreeCode::Cleared);
                    None
                }
            };
            assert_eq!(come.as_deref(), expected, "{changes}");
        }
    }

    #[test]
    fn a_waiter_that_takes_nothing_is_ended_and_too_many_are_refused() {
        let mut bench = Bench::new();
        let mut slow = bench.wait("/a", false, true, 0);
        for _ in 0..=AHEAD {
            bench.set("/a");
        }
        let (come, ended) = come(&mut slow);
        assert_eq!((come.len(), ended, bench.hub.waiters()), (AHEAD, true, 0));
        drop(slow);
        let wanted = TreeWait { path: "/w".into(), recursive: false, stream: false, since: 0 };
        let wait = |from: &str| {
            let from = super::from(from.parse().expect("an address"));
            bench.hub.wait(&wanted, from, || bench.store.tree()).map(|found| found.expect("in the history"))
        };
        let fill = |from: &str| -> Vec<TreeFeed> { std::iter::from_fn(|| wait(from).ok()).collect() };
        // Half of them for the first; whoever comes next always finds a place until all are taken.
        let first = fill("10.0.0.1");
        assert_eq!(
            (first.len(), wait("::ffff:10.0.0.1").err()),
            (WAITERS / 2, Some(Refusal::TooManyWaiters))
        );
        let second = fill("2001:db8::1");
        assert_eq!((second.len(), wait("2001:db8::2").err()), (WAITERS / 4, Some(Refusal::TooManyWaiters)));
        let mut others = Vec::new();
        while others.len() < WAITERS / 4 {
            others
                .push(wait(&format!("10.1.{}.{}", others.len() / 250, others.len() % 250)).expect("a place"));
        }
        assert_eq!(wait("10.2.0.0").err(), Some(Refusal::TooManyRequests));
        drop((second, others));
        assert_eq!(wait("10.0.0.1").err(), Some(Refusal::TooManyWaiters));
        drop(first);
        assert_eq!(bench.hub.state.lock().open.len(), 0);
        assert!(wait("10.0.0.1").is_ok());
    }
}
