//! The scrub: all data are read from the disk from time to time, so that damage is found before the data are needed, and
//! while the other members are still good.
//!
//! It goes in parts, each with a read transaction of its own, so no page is kept from being used again for long. Pages
//! and rows are checked as at a start ([`super::pages`]), and large values, too. Where the file system can, reads go
//! past the system's cache, which would hide what is on the disk.

use std::path::Path;
use std::time::{Duration, Instant};

use super::core::Inner;
use super::pages::{self, Place, Reading};
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

/// Reads for this long, then pauses for as long.
const BURST: Duration = Duration::from_millis(10);

impl Inner {
    fn verify(&self) -> Result<Scrubbed, StoreError> {
        let tables = self.shared.read().tables.clone();
        let dir = tables.dir();
        let mut found = 0;
        for _ in 0..TRIES {
            // As long as it is open, none of its pages is used for something else.
            let txn = tables.read()?;
            let mut begun = Instant::now();
            let mut goes_on = |_| {
                let took = begun.elapsed();
                if took >= BURST {
                    std::thread::sleep(took.min(BURST * 2));
                    begun = Instant::now();
                }
                !self.signal.is_stopped()
            };
            let checked = pages::check_at(dir, txn.id() as u64, Reading::Everything, &mut goes_on);
            let failed = |error| StoreError::io(format!("checking {}", dir.display()), error);
            let Some(report) = checked.map_err(failed)? else { continue };
            if report.is_cut {
                return Ok(Scrubbed { bytes: report.bytes, is_complete: false });
            }
            let Some(complaint) = report.complaint() else {
                self.set_verified(dir);
                return Ok(Scrubbed { bytes: report.bytes, is_complete: true });
            };
            // A meta page may be read while it is written.
            found += 1;
            if found == CONFIRMED {
                return Err(self.is_damaged(dir, &complaint));
            }
        }
        Ok(Scrubbed::default())
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
        let failed = |error| StoreError::io(format!("scrubbing {}", dir.display()), error);
        let begin = place.place.clone();
        let mut found = 0;
        for _ in 0..TRIES {
            let txn = tables.read()?;
            let Some(report) = pages::part(dir, txn.id() as u64, &mut place.place, bytes).map_err(failed)?
            else {
                continue;
            };
            drop(txn);
            if let Some(complaint) = report.complaint() {
                // A meta page may be read while it is written; damage stays.
                found += 1;
                if found < CONFIRMED {
                    place.place = begin.clone();
                    continue;
                }
                return Err(self.is_damaged(dir, &complaint));
            }
            return Ok(Scrubbed { bytes: report.bytes, is_complete: !report.is_cut });
        }
        // As good as nothing: the next part is tried soon.
        Ok(Scrubbed::default())
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
