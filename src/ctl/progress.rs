//! How far a command is that lasts: a bar on a terminal's standard error, and nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::offline::Meter;

/// Bytes of which it is known how many there are.
const BYTES: &str =
    "{prefix}: [{wide_bar}] {percent} %, {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}";
const BYTES_OF_UNKNOWN: &str = "{prefix}: {decimal_bytes}, {decimal_bytes_per_sec}";
const PIECES: &str = "{prefix}: [{wide_bar}] {percent} %, {pos} of {len}";
const PIECES_OF_UNKNOWN: &str = "{prefix}: {pos}";
const SECONDS: &str = "{prefix}: {elapsed}";

/// A bar; it goes away with this.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Bytes. Zero if it is not known how many there are.
    pub(super) fn bytes(what: &str, all: u64) -> Self {
        Self::new(what, all, if all == 0 { BYTES_OF_UNKNOWN } else { BYTES })
    }

    /// Something else that is counted.
    pub(super) fn count(what: &str, all: u64) -> Self {
        Self::new(what, all, if all == 0 { PIECES_OF_UNKNOWN } else { PIECES })
    }

    /// Something of which only the time is known.
    pub(super) fn time(what: &str) -> Self {
        let progress = Self::new(what, 0, SECONDS);
        progress.0.tick();
        progress.0.enable_steady_tick(Duration::from_secs(1));
        progress
    }

    /// A file that is read.
    pub(super) fn of_file(what: &str) -> (Self, Meter) {
        let progress = Self::new(what, 0, BYTES);
        let bar = progress.0.clone();
        let meter = Meter::new(move |done, all| {
            if bar.length() != Some(all) {
                bar.set_length(all);
            }
            bar.set_position(done);
        });
        (progress, meter)
    }

    fn new(what: &str, all: u64, template: &str) -> Self {
        // Nothing is drawn where standard error is no terminal, or one that cannot take a line away (`TERM=dumb`).
        let bar = ProgressBar::new(all).with_prefix(what.to_string());
        let style = ProgressStyle::with_template(template).map(|style| style.progress_chars("=> "));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    /// So many are done.
    pub(super) fn at(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_valid() {
        for template in [BYTES, BYTES_OF_UNKNOWN, PIECES, PIECES_OF_UNKNOWN, SECONDS] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
