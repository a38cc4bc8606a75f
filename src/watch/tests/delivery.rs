//! Stories of events for more watchers than get them at once.

use std::sync::mpsc::{Receiver, channel};

use super::model::{Fake, put};
use super::*;

/// Ten watchers of one key, each on a session of its own, that get their events three at a time, whenever the test says.
struct Ten {
    store: Arc<Fake>,
    hub: Arc<Hub>,
    sessions: Vec<Session>,
    rest: Receiver<()>,
}

impl Ten {
    fn new() -> Ten {
        let store = Fake::new();
        let options = Options { at_once: 3, ..Options::default() };
        let (rest, left) = channel();
        // Nobody reads history.
        let hub = Arc::new(Hub::over(store.clone(), options, channel().0, rest));
        store.observe(hub.clone());
        let sessions: Vec<Session> = (0..10).map(|_| hub.session()).collect();
        for session in &sessions {
            session.open(spec(prefix("a"), 0));
        }
        Ten { store, hub, sessions, rest: left }
    }

    fn put(&self) {
        self.store.apply(&[vec![put("a")]]);
    }

    fn pending(&self) -> usize {
        self.hub.stats().pending
    }

    fn finish(&self) {
        while self.hub.go_on() {}
    }
}

/// What a session has got.
fn got(session: &Session) -> Vec<String> {
    std::iter::from_fn(|| poll(session)).map(|item| told(&item)).collect()
}

#[test]
fn the_applying_thread_delivers_to_the_first_ones_and_what_comes_then_is_delivered_together() {
    let ten = Ten::new();
    ten.put();
    assert_eq!(ten.pending(), 3);
    assert!(ten.rest.try_recv().is_ok(), "the thread is told that there is more");
    ten.put();
    ten.put();
    assert_eq!(ten.pending(), 3, "whoever applies does no more of it");
    assert!(ten.rest.try_recv().is_err());
    assert!(ten.hub.go_on());
    assert_eq!(ten.pending(), 6);
    ten.finish();
    assert_eq!((ten.pending(), ten.hub.revision()), (30, 4));
    for session in &ten.sessions {
        assert_eq!(got(session), ["0 at 4: Put a@2, Put a@3, Put a@4"]);
    }
    ten.put();
    assert!(ten.rest.try_recv().is_ok());
}

#[test]
fn a_batch_for_few_is_delivered_at_once() {
    let ten = Ten::new();
    let few = ten.hub.session();
    few.open(spec(prefix("b"), 0));
    ten.store.apply(&[vec![put("b")]]);
    assert_eq!((ten.pending(), ten.rest.try_recv().is_ok()), (1, false));
    assert_eq!(got(&few), ["0 at 2: Put b@2"]);
}

#[test]
fn if_too_much_waits_the_applying_thread_delivers_it() {
    let ten = Ten::new();
    (0..1001).for_each(|_| ten.put());
    assert_eq!(ten.pending(), 10 * 1001);
    assert!(!ten.hub.go_on(), "nothing is left");
}

#[test]
fn whoever_leaves_takes_nothing_from_others() {
    for gone in 0..10 {
        let mut ten = Ten::new();
        ten.put();
        drop(ten.sessions.remove(gone));
        assert!(ten.hub.go_on());
        drop(ten.sessions.remove(gone % 9));
        ten.finish();
        for session in &ten.sessions {
            assert_eq!(got(session), ["0 at 2: Put a@2"], "without {gone}");
        }
    }
}

#[test]
fn whoever_comes_gets_what_is_applied_after_that() {
    let mut ten = Ten::new();
    ten.put();
    ten.put();
    ten.sessions.push(ten.hub.session());
    ten.sessions[10].open(spec(prefix("a"), 0));
    ten.put();
    ten.finish();
    assert_eq!(got(&ten.sessions[10]), ["0 at 4: Put a@4"]);
    assert_eq!(got(&ten.sessions[0]), ["0 at 4: Put a@2, Put a@3, Put a@4"]);
}

#[test]
fn progress_is_told_after_the_events_before_it() {
    let ten = Ten::new();
    ten.put();
    for session in &ten.sessions {
        session.request_progress();
        assert_eq!(got(session), ["0 at 2: Put a@2", "progress 2"]);
    }
    ten.finish();
    assert!(ten.sessions.iter().all(|session| poll(session).is_none()));
}

#[test]
fn a_state_from_elsewhere_comes_after_what_was_applied() {
    let ten = Ten::new();
    ten.put();
    ten.put();
    crate::model::Observer::on_restored(&*ten.hub, 3);
    for session in &ten.sessions {
        assert_eq!(got(session), ["0 at 3: Put a@2, Put a@3"]);
    }
}

#[test]
fn without_a_thread_puts_wait_for_their_watchers() {
    let Ten { store, hub, rest, sessions: _sessions } = Ten::new();
    drop(rest);
    store.apply(&[vec![put("a")]]);
    assert_eq!(hub.stats().pending, 10);
}
