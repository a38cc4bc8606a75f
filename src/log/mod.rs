//! The raft log on disk: votes and entries, durable when their callback is called.
//!
//! - [`Log`] is the handle: append, read, truncate, purge, vote; [`Options`] say how to open it
//! - [`format`](mod@format) describes the bytes; `codec` reads and writes its items
//! - `writer` makes one write and one flush of everything that was queued during the flush before, on its own thread
//! - `segment` prepares files, `supply` does so in advance; `recover` reads them back with `frames`; `state` is the
//!   part in memory
//! - `seams` checks what must hold of whatever is written
//! - [`Space`] says whether the disk has room for the next segment; a [`Neighbour`] needs the same disk
//! - [`Figures`] are counters for metrics
//! - [`Disk`] is the interface to the outside, with [`RealDisk`], [`UnchangedDisk`] for those who only look, and, for
//!   tests and simulations, [`SimDisk`]
//!
//! Rules: standard threads only, nothing here is async. No type of the raft library. An error of the disk is final: the
//! contents of the disk are then unknown, so every later call fails and the process must end. A full disk is not an
//! error: appending waits until there is room. Damage is never repaired by guessing; only an incomplete last write,
//! which a crash cut off, is skipped.

mod codec;
mod disk;
mod entry;
mod error;
mod figures;
pub mod format;
mod frames;
mod handle;
mod options;
mod recover;
mod seams;
mod segment;
mod sim;
mod space;
mod state;
mod supply;
mod unchanged;
mod writer;

#[cfg(test)]
mod seams_test;
#[cfg(test)]
mod shapes_test;
#[cfg(test)]
mod tests;

pub use codec::{ItemFault, decode_payload, encode_payload};
pub use disk::{Disk, DiskFile, RealDisk};
pub use entry::{Entry, Group, Payload, Vote, weight};
pub use error::LogError;
pub use figures::Figures;
pub use frames::read_segment;
pub use handle::{Bounds, Log};
pub use options::{Mode, Options};
pub use sim::SimDisk;
pub use space::{Neighbour, OnSpace, Space};
pub use unchanged::UnchangedDisk;
pub use writer::Done;
