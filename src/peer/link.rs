//! The outgoing connection to one member, as a record: its URLs, its channels, and the connection while there is one.
//! The tasks of `keep` make and maintain it.

use std::sync::Arc;

use parking_lot::Mutex;
use quinn::Connection;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::greeting::{Kind, close};
use super::requests::Requests;
use super::transport::{self, Rejection};
use super::tuning::{MAX_CONTROL_FRAME, MAX_FRAME, WANTED};

/// The outgoing connection to one member.
pub(super) struct Link {
    control: Requests,
    append: Requests,
    forward: Requests,
    service: Requests,
    pub state: Mutex<State>,
    pub live: watch::Sender<Option<Live>>,
    /// The member has connected to this one: a new attempt makes sense at once.
    pub heard: Notify,
}

/// What is known about the member, whether there is a connection or not.
pub(super) struct State {
    pub urls: Arc<[String]>,
    pub wanted: Instant,
    /// A task maintains the connection.
    pub running: bool,
    /// Closed for ever.
    pub ended: bool,
    pub problem: Option<String>,
}

/// An open connection.
#[derive(Clone)]
pub(super) struct Live {
    pub connection: Connection,
    /// The process at the other end.
    pub incarnation: u64,
    pub since: Instant,
}

impl Link {
    pub(super) fn new() -> Self {
        let urls = Arc::from([]);
        let state = State { urls, wanted: Instant::now(), running: false, ended: false, problem: None };
        Self {
            control: Requests::new(MAX_CONTROL_FRAME),
            append: Requests::new(MAX_FRAME),
            forward: Requests::new(MAX_FRAME),
            service: Requests::new(MAX_CONTROL_FRAME),
            state: Mutex::new(state),
            live: watch::Sender::new(None),
            heard: Notify::new(),
        }
    }

    pub(super) fn channel(&self, channel: transport::Channel) -> &Requests {
        match channel {
            transport::Channel::Control => &self.control,
            transport::Channel::Append => &self.append,
            transport::Channel::Forward => &self.forward,
            transport::Channel::Service => &self.service,
        }
    }

    pub(super) fn channels(&self) -> [(&Requests, Kind, usize); 4] {
        [
            (&self.control, Kind::Control, MAX_CONTROL_FRAME),
            (&self.append, Kind::Append, MAX_FRAME),
            (&self.forward, Kind::Forward, MAX_FRAME),
            (&self.service, Kind::Service, MAX_CONTROL_FRAME),
        ]
    }

    /// The connection, and since when it exists.
    pub(super) fn connected(&self) -> Option<(Connection, Instant)> {
        self.live.borrow().as_ref().map(|live| (live.connection.clone(), live.since))
    }

    /// The connection, if it is one with another process than this.
    pub(super) fn connected_to_other(&self, incarnation: u64) -> Option<Connection> {
        let live = self.live.borrow();
        live.as_ref().filter(|live| live.incarnation != incarnation).map(|live| live.connection.clone())
    }

    /// The member has connected to this one, so it is running again, whatever the state of an attempt to reach it.
    pub(super) fn heard(&self) {
        if self.live.borrow().is_none() {
            self.heard.notify_waiters();
        }
    }

    /// True while a task maintains the connection or tries to make it.
    pub(super) fn is_running(&self) -> bool {
        self.state.lock().running
    }

    /// Why there is no connection.
    pub(super) fn problem(&self) -> Option<String> {
        self.state.lock().problem.clone()
    }

    /// Closes the connection for ever.
    pub(super) fn end(&self, reason: &Rejection) {
        self.state.lock().ended = true;
        if let Some((connection, _)) = self.connected() {
            close(&connection, reason);
        }
    }

    pub(super) fn close_channels(&self, reason: &str) {
        let reason = Arc::from(reason);
        self.channels().iter().for_each(|(channel, ..)| channel.close(&reason));
    }

    pub(super) fn open_channels(&self) {
        self.channels().iter().for_each(|(channel, ..)| channel.open());
    }

    /// True if there was no call for long, or no more calls are allowed; the next call starts a new task.
    pub(super) fn stops(&self) -> bool {
        let mut state = self.state.lock();
        state.running = !state.ended && state.wanted.elapsed() < WANTED;
        !state.running
    }
}
