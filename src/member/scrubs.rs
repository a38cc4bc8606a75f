//! What scrubs have read and found, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::metrics::{Page, Source};
use crate::store::Scrubbed;

/// See the module.
#[derive(Default)]
pub struct Scrubs {
    bytes: AtomicU64,
    complete: AtomicU64,
    found: AtomicU64,
}

impl Scrubs {
    /// A part was read.
    pub fn read(&self, part: Scrubbed) {
        self.bytes.fetch_add(part.bytes, Ordering::Relaxed);
        self.complete.fetch_add(u64::from(part.is_complete), Ordering::Relaxed);
    }

    /// Damage was found.
    pub fn found(&self) {
        self.found.fetch_add(1, Ordering::Relaxed);
    }
}

impl Source for Scrubs {
    fn write(&self, page: &mut Page) {
        let help = "Bytes that scrubs have read from the disk.";
        page.counter("kvd_scrub_bytes_total", help, self.bytes.load(Ordering::Relaxed));
        let help = "Scrubs that have read all data.";
        page.counter("kvd_scrubs_total", help, self.complete.load(Ordering::Relaxed));
        let help = "Scrubs that have found damage: nothing of such a state is served.";
        page.counter("kvd_scrub_findings_total", help, self.found.load(Ordering::Relaxed));
    }
}
