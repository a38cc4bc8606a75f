//! Signals that end a command.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;
use crate::offline;

/// SIGINT or SIGTERM.
pub(super) struct Signals(Signal, Signal);

impl Signals {
    /// From now on they do not end the process.
    ///
    /// # Errors
    /// If that cannot be had.
    pub(super) fn new() -> Result<Self, Failure> {
        let handled = |kind| signal(kind).map_err(|error| Failure::error(error.to_string()));
        Ok(Self(handled(SignalKind::interrupt())?, handled(SignalKind::terminate())?))
    }

    /// Waits for one.
    pub(super) async fn recv(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

/// Runs a command that makes files for its own use: none of them stays if a signal ends it. The command must not occupy
/// this thread for long.
///
/// # Errors
/// Those of the command.
pub(super) async fn tidily<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut signals = Signals::new()?;
    tokio::select! {
        result = command => result,
        () = signals.recv() => {
            offline::discard();
            Err(Failure::error("interrupted"))
        }
    }
}
