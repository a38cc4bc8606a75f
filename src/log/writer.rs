//! The one that writes: takes what is queued, makes a frame of it, writes it, flushes it, says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;

use super::codec::{Item, Start, encode_entry};
use super::format::{FIRST_FRAME, FRAME_HEADER, FrameHeader, frame_span};
use super::segment::{Segment, Supply, io_error};
use super::state::{Place, State};
use super::{Disk, Done, Entry, Figures, LogError, Vote};
use crate::model::LogPosition;

/// Something to be written.
pub enum Work {
    /// Entries with their tickets.
    Append(Vec<(Entry, u64)>, Done),
    /// A vote.
    Vote(Vote, Done),
    /// Entries after the place no longer count.
    Truncate(Option<LogPosition>),
    /// Entries up to the place no longer count.
    Purge(LogPosition),
    /// Entries up to the place are committed. Not worth a flush of its own.
    Committed(LogPosition),
}

/// The segments there are, for readers.
pub type Segments = Arc<Mutex<BTreeMap<u64, Held>>>;

/// A segment in use.
pub struct Held {
    /// The segment.
    pub segment: Segment,
    /// The largest index of the entries in it.
    pub last: Option<u64>,
}

/// Writes frames, one flush each.
pub struct Writer {
    disk: Arc<dyn Disk>,
    state: Arc<Mutex<State>>,
    segments: Segments,
    figures: Arc<Figures>,
    supply: Box<dyn Supply>,
    limits: Limits,
    current: Segment,
    /// Where the next frame goes in the current segment.
    offset: u64,
    /// Checksum of the last frame.
    chain: u32,
    /// What a new segment begins with: the state as far as it was written, which lags behind what users see.
    written: Start,
    /// The last seal is on disk.
    settled: bool,
    frame: Vec<u8>,
    placed: Vec<(u64, u64, u64, u32)>,
    dones: Vec<Done>,
}

/// Bounds of the writer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of payload after which a frame is closed.
    pub frame_bytes: usize,
    /// Bytes of entries kept in memory.
    pub cache_bytes: usize,
    /// Flushes what it writes.
    pub flush: bool,
}

/// What others see of what is written.
pub struct Seen {
    /// The state in memory.
    pub state: Arc<Mutex<State>>,
    /// The segments.
    pub segments: Segments,
    /// What is counted.
    pub figures: Arc<Figures>,
}

/// Where the writer goes on.
pub struct Resume {
    /// The segment written last.
    pub current: Segment,
    /// Where the next frame goes in it.
    pub offset: u64,
    /// Checksum of the last frame in it.
    pub chain: u32,
    /// The state as it was written.
    pub written: Start,
}

impl Writer {
    /// A writer that goes on after what is there.
    pub fn new(
        disk: Arc<dyn Disk>,
        seen: Seen,
        mut supply: Box<dyn Supply>,
        limits: Limits,
        resume: Resume,
    ) -> Self {
        supply.order(resume.current.header.sequence + 1);
        Self {
            disk,
            state: seen.state,
            segments: seen.segments,
            figures: seen.figures,
            supply,
            limits,
            current: resume.current,
            offset: resume.offset,
            chain: resume.chain,
            written: resume.written,
            settled: false,
            frame: vec![0; FRAME_HEADER],
            placed: Vec::new(),
            dones: Vec::new(),
        }
    }

    /// Writes all of `work`, in order. Everyone who waits hears of success; on failure the callbacks that were not
    /// called yet are left in `self` for [`Writer::fail`].
    ///
    /// # Errors
    /// [`LogError::Io`], after which the log must not be used any more.
    pub fn write(&mut self, work: Vec<Work>) -> Result<(), LogError> {
        let mut purge = None;
        let mut work = work.into_iter();
        while let Some(item) = work.next() {
            if let Err(error) = self.add(item, &mut purge) {
                self.dones.extend(work.filter_map(|item| match item {
                    Work::Append(_, done) | Work::Vote(_, done) => Some(done),
                    _ => None,
                }));
                return Err(error);
            }
        }
        self.flush()?;
        match purge {
            Some(upto) => self.retire(upto),
            None => Ok(()),
        }
    }

    /// Tells everyone who still waits.
    pub fn fail(&mut self, error: &LogError) {
        for done in self.dones.drain(..) {
            done(Err(error.clone()));
        }
    }

    fn add(&mut self, work: Work, purge: &mut Option<LogPosition>) -> Result<(), LogError> {
        match work {
            Work::Append(entries, done) => {
                // The callback joins those that the next flush calls only after the last entry is in the frame.
                let added = entries.iter().try_for_each(|(entry, ticket)| self.add_entry(entry, *ticket));
                self.dones.push(done);
                added
            }
            Work::Vote(vote, done) => {
                self.dones.push(done);
                self.written.vote = Some(vote);
                self.put(&Item::Vote(vote))
            }
            Work::Truncate(last) => self.put(&Item::Truncate(last)),
            Work::Purge(upto) => {
                self.written.purged = Some(upto);
                *purge = Some(upto);
                self.put(&Item::Purge(upto))
            }
            Work::Committed(upto) => {
                self.written.committed = Some(upto);
                self.put(&Item::Committed(upto))
            }
        }
    }

    fn add_entry(&mut self, entry: &Entry, ticket: u64) -> Result<(), LogError> {
        if self.frame.len() + entry.payload.weight() > self.limits.frame_bytes
            && self.frame.len() > FRAME_HEADER
        {
            self.flush()?;
        }
        let at = self.frame.len();
        encode_entry(entry, &mut self.frame).map_err(|what| self.unencodable(what))?;
        let length = self.frame.len() - at;
        self.placed.push((entry.position.index, ticket, at as u64, length as u32));
        Ok(())
    }

    fn put(&mut self, item: &Item) -> Result<(), LogError> {
        item.encode(&mut self.frame).map_err(|what| self.unencodable(what))
    }

    fn unencodable(&self, what: String) -> LogError {
        self.broken(std::io::Error::new(std::io::ErrorKind::InvalidData, what))
    }

    fn broken(&self, error: std::io::Error) -> LogError {
        io_error(&*self.disk, &self.current.name())(error)
    }

    /// Writes and flushes the frame, if it holds anything.
    fn flush(&mut self) -> Result<(), LogError> {
        if self.frame.len() == FRAME_HEADER {
            return Ok(());
        }
        if self.offset == FIRST_FRAME || !self.fits() {
            self.put_start()?;
        }
        if !self.fits() {
            self.roll()?;
        }
        let seed = self.current.header.seed();
        let header = FrameHeader::of(seed, self.chain, &self.frame[FRAME_HEADER..]);
        self.frame[..FRAME_HEADER].copy_from_slice(&header.encode(seed, self.offset));
        self.put_frame().map_err(|error| self.broken(error))?;
        self.note_places();
        self.chain = header.checksum;
        self.offset += header.span();
        self.frame.truncate(FRAME_HEADER);
        if self.frame.capacity() > 2 * self.limits.frame_bytes {
            self.frame.shrink_to(self.limits.frame_bytes);
        }
        for done in self.dones.drain(..) {
            done(Ok(()));
        }
        self.seal()
    }

    /// Bytes from a frame's beginning to the end of its seal.
    fn span(&self) -> u64 {
        frame_span(self.frame.len() - FRAME_HEADER) + FRAME_HEADER as u64
    }

    /// True if the frame has a place in the current segment.
    fn fits(&self) -> bool {
        self.offset + self.span() <= self.current.length
    }

    /// Notes behind the last frame that it was flushed, after whoever waited for that has been told.
    fn seal(&mut self) -> Result<(), LogError> {
        if self.limits.flush {
            let seal = FrameHeader::seal(self.chain).encode(self.current.header.seed(), self.offset);
            self.current.file.write_at(&seal, self.offset).map_err(|error| self.broken(error))?;
            self.settled = false;
        }
        Ok(())
    }

    /// False while the last seal may be in memory only.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Flushes the last seal. For quiet moments: the next frame would do it as well.
    ///
    /// # Errors
    /// [`LogError::Io`], after which the log must not be used any more.
    pub fn settle(&mut self) -> Result<(), LogError> {
        if !self.settled {
            self.current.file.sync().map_err(|error| self.broken(error))?;
            self.settled = true;
        }
        Ok(())
    }

    /// Writes the frame and makes it durable.
    fn put_frame(&self) -> std::io::Result<()> {
        let (file, figures) = (&self.current.file, &self.figures);
        let begun = Instant::now();
        file.write_at(&self.frame, self.offset)?;
        let written = Instant::now();
        figures.write.observe_time(written - begun);
        figures.bytes.fetch_add(self.frame.len() as u64, Ordering::Relaxed);
        if self.limits.flush {
            file.sync()?;
            figures.flush.observe_time(written.elapsed());
        }
        Ok(())
    }

    /// Puts the start item in front of what is in the frame.
    fn put_start(&mut self) -> Result<(), LogError> {
        let mut opened = vec![0; FRAME_HEADER];
        Item::Start(self.written).encode(&mut opened).map_err(|what| self.unencodable(what))?;
        let shift = (opened.len() - FRAME_HEADER) as u64;
        opened.extend_from_slice(&self.frame[FRAME_HEADER..]);
        self.frame = opened;
        for (_, _, at, _) in &mut self.placed {
            *at += shift;
        }
        Ok(())
    }

    /// Goes to the next segment.
    fn roll(&mut self) -> Result<(), LogError> {
        let sequence = self.current.header.sequence + 1;
        self.current = self.supply.take(sequence, FIRST_FRAME + self.span())?;
        self.offset = FIRST_FRAME;
        self.segments.lock().insert(sequence, Held { segment: self.current.clone(), last: None });
        self.supply.order(sequence + 1);
        Ok(())
    }

    fn note_places(&mut self) {
        let Some(last) = self.placed.iter().map(|(index, ..)| *index).max() else { return };
        let segment = self.current.header.sequence;
        if let Some(held) = self.segments.lock().get_mut(&segment) {
            held.last = held.last.max(Some(last));
        }
        let mut state = self.state.lock();
        for (index, ticket, at, length) in self.placed.drain(..) {
            state.written(index, ticket, Place { segment, offset: self.offset + at, length });
        }
        state.shrink_cache(self.limits.cache_bytes);
    }

    /// Gives up the oldest segments, as far as all their entries are purged.
    fn retire(&mut self, upto: LogPosition) -> Result<(), LogError> {
        loop {
            let sequence = {
                let mut segments = self.segments.lock();
                let Some((sequence, held)) = segments.first_key_value() else { return Ok(()) };
                let sequence = *sequence;
                let done = held.last.is_none_or(|last| last <= upto.index);
                if sequence >= self.current.header.sequence || !done {
                    return Ok(());
                }
                segments.remove(&sequence);
                sequence
            };
            self.supply.retire(sequence)?;
        }
    }
}
