//! The scrub: all data are read from the disk from time to time, so that damage is found before the data are needed, and
//! while the other members are still good.
//!
//! It goes in parts, each with a read transaction of its own, so no page is kept from being used again for long. Pages
//! and rows are checked as at a start ([`super::pages`]), and large values, too. Where the file system can, reads go
//! past the system's cache, which would hide what is on the disk.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::core::Inner;
use super::lmdb::Tables;
use super::pages::{self, Part, Place, Report};
use super::states::state_number;
use super::{Store, StoreError, clean};

/// Where a scrub continues.
#[derive(Clone, Debug, Default)]
pub struct ScrubPlace {
    place: Place,
    /// The environment that it is about.
    state: Option<std::path::PathBuf>,
}

/// What a part of a scrub has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Bytes from the disk.
    pub bytes: u64,
    /// True at the end of all data.
    pub is_complete: bool,
}

/// Longest pause after a part of the check of all data.
const MOST: Duration = Duration::from_secs(1);

/// How often damage is read before it is believed.
const CONFIRMED: u32 = 3;

/// How often a part begins anew because commits were made in the meantime.
const TRIES: u32 = 10;

impl Store {
    /// Checks about so many bytes of the data on the disk from a place on, and moves the place on. Damage condemns the
    /// state.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], with the place; those of the file system, which change nothing.
    pub fn scrub(&self, place: &mut ScrubPlace, bytes: u64) -> Result<Scrubbed, StoreError> {
        self.0.scrub(place, bytes)
    }
}

impl Store {
    /// True if this process has checked, or written, all pages of the state in use: after a start that did not follow an
    /// orderly end, or after [`Store::verify`].
    pub fn is_verified(&self) -> bool {
        self.0.is_verified()
    }

    /// Checks all data at once, beside whoever uses them: what a start has not done that follows an orderly end. It uses
    /// half of a core. Damage condemns the state. What is returned is not complete if the store was closed meanwhile.
    ///
    /// # Errors
    /// As [`Store::scrub`].
    pub fn verify(&self) -> Result<Scrubbed, StoreError> {
        self.0.verify()
    }
}

/// Bytes of a part of the check of all data: far more than the branches on the way to it and the list of free pages.
const PART: u64 = 4 << 20;

impl Inner {
    fn verify(&self) -> Result<Scrubbed, StoreError> {
        let tables = self.shared.read().tables.clone();
        pages::beside_reading_ahead(tables.dir(), |progress| {
            self.verify_parts(&tables, PART, &mut |read, took| {
                progress.fetch_add(read, Ordering::Relaxed);
                // Half of a core.
                std::thread::sleep(took.min(MOST));
            })
        })
    }

    /// Checks all data in parts, each at a commit of its own, so that no page is kept from being used again for long.
    /// `pause` is called after each part with its bytes and the time that it took.
    ///
    /// First comes what no part shows: that each page has one use. What is written later is written by this process; all
    /// that was there before, and was not written again, is read by one of the parts, for they go by keys.
    pub(super) fn verify_parts(
        &self,
        tables: &Tables,
        part: u64,
        pause: &mut dyn FnMut(u64, Duration),
    ) -> Result<Scrubbed, StoreError> {
        let dir = tables.dir();
        let mut all = Scrubbed::default();
        let mut begun = Instant::now();
        let skeleton = self.confirmed(tables, |transaction| {
            pages::skeleton(dir, transaction, &mut |_| !self.signal.is_stopped())
        })?;
        let Some(skeleton) = skeleton.filter(|report| !report.is_cut) else { return Ok(all) };
        all.bytes += skeleton.bytes;
        pause(skeleton.bytes, begun.elapsed());
        let mut place = Place::default();
        // It may be replaced meanwhile.
        while !self.signal.is_stopped() && self.shared.read().tables.dir() == dir {
            begun = Instant::now();
            let from = place.clone();
            let report = self.confirmed(tables, |transaction| {
                place = from.clone();
                pages::part(dir, transaction, &mut place, part, Part::WithFreePages)
            })?;
            let bytes = report.as_ref().map_or(0, |report| report.bytes);
            all.bytes += bytes;
            if report.is_some_and(|report| !report.is_cut) {
                self.set_verified(dir);
                return Ok(Scrubbed { is_complete: true, ..all });
            }
            pause(bytes, begun.elapsed());
        }
        Ok(all)
    }

    /// What `read` finds at the last commit; `None` if commits were made too often meanwhile. Damage is read again before it
    /// is believed, for a meta page may be read while it is written, and damage stays.
    fn confirmed(
        &self,
        tables: &Tables,
        mut read: impl FnMut(u64) -> io::Result<Option<Report>>,
    ) -> Result<Option<Report>, StoreError> {
        let dir = tables.dir();
        let mut found = 0;
        for _ in 0..TRIES {
            // As long as it is open, none of its pages is used for something else.
            let txn = tables.read()?;
            let report = read(txn.id() as u64);
            drop(txn);
            let failed = |error| StoreError::io(format!("reading {}", dir.display()), error);
            let Some(report) = report.map_err(failed)? else { continue };
            let Some(complaint) = report.complaint() else { return Ok(Some(report)) };
            found += 1;
            if found == CONFIRMED {
                return Err(self.is_damaged(dir, &complaint));
            }
        }
        Ok(None)
    }

    /// Condemns the state in `dir`, unless another one is in use by now.
    fn is_damaged(&self, dir: &Path, complaint: &str) -> StoreError {
        let error = StoreError::Damaged(format!("{}: {complaint}", dir.join("data.mdb").display()));
        if self.shared.read().tables.dir() == dir {
            self.condemns(&error);
        }
        error
    }

    fn scrub(&self, place: &mut ScrubPlace, bytes: u64) -> Result<Scrubbed, StoreError> {
        let tables = self.shared.read().tables.clone();
        let dir = tables.dir();
        if place.state.as_deref() != Some(dir) {
            *place = ScrubPlace { place: Place::default(), state: Some(dir.to_path_buf()) };
        }
        let from = place.place.clone();
        let report = self.confirmed(&tables, |transaction| {
            place.place = from.clone();
            pages::part(dir, transaction, &mut place.place, bytes, Part::FromTheDisk)
        })?;
        // Without one as good as nothing: the next part is tried soon.
        Ok(report.map_or_else(Scrubbed::default, |report| Scrubbed {
            bytes: report.bytes,
            is_complete: !report.is_cut,
        }))
    }
}

impl Inner {
    /// True if all pages of the state in use were checked, or written, by this process.
    pub fn is_verified(&self) -> bool {
        let number = self.shared.read().number();
        *self.verified.lock() == Some(number)
    }

    /// Marks the state in use at the end, if there is nothing against it.
    pub fn leave_clean(&self) {
        let _writing = self.writing.lock();
        if !self.is_verified() || self.condemned.is_set() || self.health().is_err() {
            return;
        }
        let dir = self.shared.read().tables.dir().to_path_buf();
        if let Err(error) = clean::mark(&dir) {
            tracing::debug!(dir = %dir.display(), %error, "the next start checks all data before it serves");
        }
    }

    /// All pages of the state in `dir` were checked, or written, by this process.
    pub fn set_verified(&self, dir: &Path) {
        *self.verified.lock() = state_number(dir).ok();
    }
}
