//! Prepares segments, and retires them.

use std::sync::Arc;
use std::time::Duration;

use super::format::{FIRST_FRAME, SegmentHeader, segment_name};
use super::space::Beside;
use super::{Disk, DiskFile, LogError};
use crate::model::Entropy;

/// A segment that can be written and read.
#[derive(Clone)]
pub struct Segment {
    /// Its header.
    pub header: SegmentHeader,
    /// The file.
    pub file: Arc<dyn DiskFile>,
    /// Its length in bytes.
    pub length: u64,
}

impl Segment {
    /// The name of its file.
    pub fn name(&self) -> String {
        segment_name(self.header.sequence)
    }

    /// True if it is the segment `sequence` and has at least `length` bytes.
    pub fn suits(&self, sequence: u64, length: u64) -> bool {
        self.header.sequence == sequence && self.length >= length
    }
}

/// How a new file gets its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filling {
    /// Zeros, flushed block by block with a pause after each, so that the log's own flushes are not delayed.
    Gently,
    /// Zeros without pauses.
    AtOnce,
    /// Room without zeros: at once, and it costs no second write of everything. A flush of the segment then changes
    /// metadata of the file system, which costs another write, so this is for large flushes.
    Allocated,
}

/// Size of the blocks in which zeros are written.
const ZERO_BLOCK: usize = 1 << 20;
const ZERO_PAUSE: Duration = Duration::from_millis(2);
/// Emptied files that are kept for reuse.
const SPARES: usize = 2;

/// Makes segments. Blocking; runs on a thread of its own unless the log is inline.
pub struct Maker {
    disk: Arc<dyn Disk>,
    entropy: Arc<dyn Entropy>,
    length: u64,
    /// Names of files that can be reused.
    spares: Vec<String>,
    /// Who else needs the disk.
    beside: Option<Beside>,
    /// It was logged that descriptors are missing.
    is_told: bool,
}

/// Adds the file's name to an I/O error.
pub fn io_error(disk: &dyn Disk, name: &str) -> impl Fn(std::io::Error) -> LogError + use<> {
    let file = disk.describe(name);
    move |source| LogError::Io { file: file.clone(), source: Arc::new(source) }
}

impl Maker {
    /// A maker of segments of `length` bytes. `spares` are files from earlier.
    pub fn new(disk: Arc<dyn Disk>, entropy: Arc<dyn Entropy>, length: u64, spares: Vec<String>) -> Self {
        Self { disk, entropy, length: length.max(FIRST_FRAME * 2), spares, beside: None, is_told: false }
    }

    /// From now on segments leave the room that somebody else needs.
    pub fn share(&mut self, beside: Option<Beside>) {
        self.beside = beside;
    }

    /// Length of a usual segment in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Prepares a segment of at least `length` bytes: new or reused, with its header, durable. How it is filled may
    /// change in between.
    ///
    /// # Errors
    /// [`LogError::Io`]. If the disk is full ([`LogError::is_full`]), no part of the segment is left.
    pub fn make(
        &mut self,
        sequence: u64,
        length: u64,
        filling: impl Fn() -> Filling,
    ) -> Result<Segment, LogError> {
        let temporary = format!("{sequence:016x}.tmp");
        let made = self.make_as(sequence, &temporary, length, filling);
        let lacking = made.as_ref().err().filter(|error| error.lacks_descriptors());
        let was_told = std::mem::replace(&mut self.is_told, lacking.is_some());
        if let Some(error) = lacking.filter(|_| !was_told) {
            tracing::error!(%error, "no segment of the log can be made, which counts as a full disk");
        }
        if made.as_ref().is_err_and(LogError::is_full) {
            // A part of a segment is of no use, and takes room that others could use.
            match self.disk.remove(&temporary) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io_error(&*self.disk, &temporary)(error));
                }
                _ => {}
            }
        }
        made
    }

    fn make_as(
        &mut self,
        sequence: u64,
        temporary: &str,
        length: u64,
        filling: impl Fn() -> Filling,
    ) -> Result<Segment, LogError> {
        let name = segment_name(sequence);
        let error = io_error(&*self.disk, &name);
        let file = match self.reuse(temporary, length)? {
            Some(file) => file,
            None => self.filled(temporary, length.next_multiple_of(FIRST_FRAME), filling)?,
        };
        let length = file.len().map_err(&error)?;
        let header = SegmentHeader { sequence, salt: self.entropy.next(), length };
        file.write_at(&header.encode(), 0).map_err(&error)?;
        file.sync().map_err(&error)?;
        self.disk.rename(temporary, &name).map_err(&error)?;
        self.disk.sync().map_err(&error)?;
        Ok(Segment { header, file, length })
    }

    /// Takes a spare file that is large enough and renames it to `temporary`.
    fn reuse(&mut self, temporary: &str, length: u64) -> Result<Option<Arc<dyn DiskFile>>, LogError> {
        while let Some(spare) = self.spares.pop() {
            let error = io_error(&*self.disk, &spare);
            let file = match self.disk.open(&spare).map_err(&error) {
                Err(error) if error.lacks_descriptors() => {
                    self.spares.push(spare);
                    return Err(error);
                }
                opened => opened?,
            };
            if file.len().map_err(&error)? >= length {
                self.disk.rename(&spare, temporary).map_err(&error)?;
                return Ok(Some(file));
            }
            self.disk.remove(&spare).map_err(&error)?;
        }
        Ok(None)
    }

    fn filled(
        &self,
        name: &str,
        length: u64,
        filling: impl Fn() -> Filling,
    ) -> Result<Arc<dyn DiskFile>, LogError> {
        let error = io_error(&*self.disk, name);
        // Do not try in vain: other users of this disk would miss the room in the meantime.
        let kept = self.beside.as_ref().map_or(0, |beside| beside.needs(length));
        if self.disk.room().map_err(&error)? < length.saturating_add(kept) {
            return Err(error(std::io::ErrorKind::StorageFull.into()));
        }
        let file = self.disk.create(name).map_err(&error)?;
        let zeros = vec![0; ZERO_BLOCK.min(length as usize)];
        let (mut offset, mut can_allocate) = (0, true);
        while offset < length {
            if can_allocate && filling() == Filling::Allocated {
                match file.allocate(length).map_err(&error) {
                    Ok(()) => break,
                    Err(full) if full.is_full() => return Err(full),
                    // File systems refuse it in many ways, and signals interrupt it: zeros do as well.
                    Err(_) => can_allocate = false,
                }
            }
            let block = &zeros[..zeros.len().min((length - offset) as usize)];
            file.write_at(block, offset).map_err(&error)?;
            offset += block.len() as u64;
            if filling() == Filling::Gently {
                file.sync().map_err(&error)?;
                std::thread::sleep(ZERO_PAUSE);
            }
        }
        if let Some(beside) = &self.beside {
            beside.neighbour.lost(length);
        }
        Ok(file)
    }

    /// Retires a segment whose entries are all purged. One after the other, each durably: a gap between the remaining
    /// segments would look like damage.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn retire(&mut self, sequence: u64) -> Result<(), LogError> {
        let name = segment_name(sequence);
        let error = io_error(&*self.disk, &name);
        if self.spares.len() < SPARES {
            let spare = format!("{sequence:016x}.old");
            self.disk.rename(&name, &spare).map_err(&error)?;
            self.spares.push(spare);
        } else {
            self.disk.remove(&name).map_err(&error)?;
        }
        self.disk.sync().map_err(&error)
    }
}
