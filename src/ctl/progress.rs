//! How far a command is that lasts: a bar on a terminal's standard error, and nothing elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::termios::tcgetwinsize;

use super::print::size;
use crate::offline::Meter;

/// How often it is drawn at most.
const PAUSE: u64 = 100;
/// Characters of the bar itself.
const BAR: usize = 24;

/// A bar; it goes away with this.
pub(super) struct Progress {
    shown: Arc<Shown>,
    ticking: Option<tokio::task::JoinHandle<()>>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Bytes,
    Pieces,
    Seconds,
}

struct Shown {
    what: String,
    unit: Unit,
    /// Zero if it is not known how many there are.
    all: AtomicU64,
    begun: Instant,
    /// Milliseconds after the beginning before which it is not drawn again.
    next: AtomicU64,
    is_terminal: bool,
}

impl Progress {
    /// Bytes. Zero if it is not known how many there are.
    pub(super) fn bytes(what: &str, all: u64) -> Self {
        Self::new(what, all, Unit::Bytes)
    }

    /// Something else that is counted.
    pub(super) fn count(what: &str, all: u64) -> Self {
        Self::new(what, all, Unit::Pieces)
    }

    /// Something of which only the time is known.
    pub(super) fn time(what: &str) -> Self {
        let mut progress = Self::new(what, 0, Unit::Seconds);
        if progress.shown.is_terminal {
            let shown = progress.shown.clone();
            progress.ticking = Some(tokio::spawn(async move {
                loop {
                    shown.at(shown.begun.elapsed().as_secs());
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }));
        }
        progress
    }

    /// A file that is read.
    pub(super) fn of_file(what: &str) -> (Self, Meter) {
        let progress = Self::bytes(what, 0);
        let shown = progress.shown.clone();
        let meter = Meter::new(move |done, all| {
            shown.all.store(all, Ordering::Relaxed);
            shown.at(done);
        });
        (progress, meter)
    }

    fn new(what: &str, all: u64, unit: Unit) -> Self {
        let shown = Shown {
            what: what.to_string(),
            unit,
            all: AtomicU64::new(all),
            begun: Instant::now(),
            next: AtomicU64::new(0),
            is_terminal: std::io::stderr().is_terminal(),
        };
        Self { shown: Arc::new(shown), ticking: None }
    }

    /// So many are done.
    pub(super) fn at(&self, done: u64) {
        self.shown.at(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(ticking) = &self.ticking {
            ticking.abort();
        }
        if self.shown.next.load(Ordering::Relaxed) > 0 {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Shown {
    fn at(&self, done: u64) {
        let passed = self.begun.elapsed();
        let now = passed.as_millis() as u64;
        if !self.is_terminal || now < self.next.load(Ordering::Relaxed) {
            return;
        }
        self.next.store(now + PAUSE, Ordering::Relaxed);
        let wide = tcgetwinsize(std::io::stderr()).map_or(0, |size| usize::from(size.ws_col));
        // A terminal that does not know its size.
        let wide = if wide == 0 { 80 } else { wide };
        let text = text(&self.what, self.unit, done, self.all.load(Ordering::Relaxed), passed);
        // A line that is wrapped could not be taken away again.
        let text: String = text.chars().take(wide - 1).collect();
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "\r\x1b[K{text}").and_then(|()| err.flush());
    }
}

fn text(what: &str, unit: Unit, done: u64, all: u64, passed: Duration) -> String {
    let bytes = |bytes: u64| size(i64::try_from(bytes).unwrap_or(i64::MAX));
    let number = |number: u64| if unit == Unit::Bytes { bytes(number) } else { number.to_string() };
    let mut counted = match (unit, all) {
        (Unit::Seconds, _) => format!("{done} s"),
        (_, 0) => number(done),
        _ => format!("{} of {}", number(done), number(all)),
    };
    if unit == Unit::Bytes && passed >= Duration::from_secs(1) {
        counted += &format!(", {}/s", bytes((done as f64 / passed.as_secs_f64()) as u64));
    }
    match all {
        0 => format!("{what}: {counted}"),
        all => {
            let done = done.min(all) as f64 / all as f64;
            let full = (done * BAR as f64) as usize;
            let (full, empty) = ("=".repeat(full), " ".repeat(BAR - full));
            format!("{what}: [{full}{empty}] {:.0} %, {counted}", done * 100.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_say_how_much_is_done() {
        let second = Duration::from_secs(2);
        assert_eq!(
            text("a.db", Unit::Bytes, 30_000_000, 60_000_000, second),
            "a.db: [============            ] 50 %, 30 MB of 60 MB, 15 MB/s"
        );
        assert_eq!(text("keys", Unit::Pieces, 7, 0, second), "keys: 7");
        assert_eq!(
            text("keys", Unit::Pieces, 9, 3, second),
            "keys: [========================] 100 %, 9 of 3"
        );
        assert_eq!(text("defragmenting a:1", Unit::Seconds, 3, 0, second), "defragmenting a:1: 3 s");
        let begin = text("a.db", Unit::Bytes, 0, 60, Duration::ZERO);
        assert_eq!(begin, "a.db: [                        ] 0 %, 0 B of 60 B");
    }
}
