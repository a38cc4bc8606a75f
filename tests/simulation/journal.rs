//! All events of a run, in order.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lines with the simulated time in milliseconds. Clones share them.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    started: Instant,
    lines: Mutex<Vec<String>>,
    broken: Mutex<Vec<String>>,
}

impl Journal {
    /// An empty journal whose time begins now.
    pub fn new() -> Self {
        Self(Arc::new(Inner { started: Instant::now(), lines: Mutex::default(), broken: Mutex::default() }))
    }

    /// Milliseconds since the beginning.
    pub fn now_ms(&self) -> u64 {
        self.0.started.elapsed().as_millis() as u64
    }

    /// Writes a line.
    pub fn note(&self, line: impl AsRef<str>) {
        let line = format!("{:>7} {}", self.now_ms(), line.as_ref());
        self.0.lines.lock().push(line);
    }

    /// Records something that must not happen.
    pub fn broken(&self, what: impl AsRef<str>) {
        self.0.broken.lock().push(what.as_ref().to_string());
    }

    /// The recorded faults.
    pub fn faults(&self) -> Vec<String> {
        self.0.broken.lock().clone()
    }

    /// All lines.
    pub fn lines(&self) -> Vec<String> {
        self.0.lines.lock().clone()
    }
}
