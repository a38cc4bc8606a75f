//! The scrub: all data are read from the disk from time to time, so that damage is found before the data are needed, and
//! while the other members are still good.
//!
//! It goes in parts, each with a read transaction of its own, so no page is kept from being used again for long. Pages
//! and rows are checked as at a start ([`super::pages`]), and large values, too. Where the file system can, reads go
//! past the system's cache, which would hide what is on the disk.

use super::core::Inner;
use super::pages::{self, Place};
use super::{Store, StoreError};

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

impl Inner {
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
                let error = StoreError::Damaged(format!("{}: {complaint}", dir.join("data.mdb").display()));
                // Another state may be in use by now.
                if self.shared.read().tables.dir() == dir {
                    self.condemns(&error);
                }
                return Err(error);
            }
            return Ok(Scrubbed { bytes: report.bytes, is_complete: !report.is_cut });
        }
        // As good as nothing: the next part is tried soon.
        Ok(Scrubbed::default())
    }
}
