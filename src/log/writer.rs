//! The writer: takes what is queued, makes a frame, writes it, flushes it, and calls the callbacks.
//!
//! If the disk has no room for the next segment, the frame waits, and so does everything queued behind it. Votes and
//! purges do not wait: without votes raft stands still, and purges make room. So entries leave some bytes for them at
//! the end of every segment, and they are written before what waits. During recovery, an entry that was purged before
//! it was written and a vote that is older than a previous one are skipped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;

use super::codec::{Item, Start, encode_entry};
use super::format::{ALIGN, FIRST_FRAME, FRAME_HEADER, FrameHeader, ITEM_HEADER, frame_span};
use super::segment::{Segment, io_error};
use super::space::Gauge;
use super::state::{Place, State};
use super::supply::Supply;
use super::{Disk, Entry, Figures, LogError, Vote, seams};
use crate::model::{LogPosition, Planted, is_planted};

/// Called when the appended entries are on disk, or when it is certain that they never will be.
pub type Done = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// Something to write.
pub enum Work {
    /// Entries with their tickets.
    Append(Vec<(Entry, u64)>, Done),
    /// A vote.
    Vote(Vote, Done),
    /// Entries after the position no longer count.
    Truncate(Option<LogPosition>),
    /// Entries up to the position no longer count.
    Purge(LogPosition),
    /// Entries up to the position are committed. Not worth a flush of its own.
    Committed(LogPosition),
}

/// All segments, for readers.
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
    gauge: Arc<Gauge>,
    supply: Box<dyn Supply>,
    limits: Limits,
    current: Segment,
    /// Offset of the next frame in the current segment.
    offset: u64,
    /// Frames that were written to the current segment since the start, and their bytes.
    frames: (u64, u64),
    /// Checksum of the last frame.
    chain: u32,
    /// The first item of a new segment: the state that has been written, which lags behind what users see.
    written: Start,
    /// True if the last frame has its seal, which may be in memory only.
    sealed: bool,
    /// True if the last seal is on disk.
    settled: bool,
    frame: Vec<u8>,
    placed: Vec<(u64, u64, u64, u32)>,
    dones: Vec<Caller>,
    /// The last vote and the last purge in the frame.
    urgent: Urgent,
    /// Entries up to this position are purged on disk, and their segments can be retired.
    purged: Option<LogPosition>,
    /// There is no room for the frame.
    stalled: bool,
    /// Work that comes after the frame, in order.
    waiting: VecDeque<Work>,
}

/// A callback that waits for a frame.
struct Caller {
    /// For a vote.
    urgent: bool,
    done: Done,
}

/// Work that does not wait for room.
#[derive(Default)]
struct Urgent {
    vote: Option<Vote>,
    purge: Option<LogPosition>,
}

/// Bytes at the end of a segment that are reserved for votes and purges, unless the segment is small.
const TAIL: u64 = 64 << 10;

/// Bytes of a frame, on average, from which on writing zeros first costs more than a second write for each flush: measured
/// on ext4, where both take the same time at 100 to 200 KB.
const LARGE: u64 = 200 << 10;

/// The largest start item, with all its options.
const START_ITEM: u64 = (ITEM_HEADER + 18 + 25 + 25) as u64;

/// Limits of the writer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of payload after which a frame is closed.
    pub frame_bytes: usize,
    /// Bytes of entries kept in memory.
    pub cache_bytes: usize,
    /// Flush after writing.
    pub flush: bool,
}

/// The parts of the writer's state that others see.
pub struct Seen {
    /// The state in memory.
    pub state: Arc<Mutex<State>>,
    /// The segments.
    pub segments: Segments,
    /// Counters for metrics.
    pub figures: Arc<Figures>,
    /// Whether there is room.
    pub gauge: Arc<Gauge>,
}

/// Where the writer continues.
pub struct Resume {
    /// The segment written last.
    pub current: Segment,
    /// Offset of the next frame in it.
    pub offset: u64,
    /// Checksum of the last frame in it.
    pub chain: u32,
    /// The state that has been written.
    pub written: Start,
}

impl Writer {
    /// A writer that continues after the existing frames.
    pub fn new(
        disk: Arc<dyn Disk>,
        seen: Seen,
        mut supply: Box<dyn Supply>,
        limits: Limits,
        resume: Resume,
    ) -> Self {
        supply.order(resume.current.header.sequence + 1, false);
        let writer = Self {
            disk,
            state: seen.state,
            segments: seen.segments,
            figures: seen.figures,
            gauge: seen.gauge,
            supply,
            limits,
            current: resume.current,
            offset: resume.offset,
            frames: (0, 0),
            chain: resume.chain,
            written: resume.written,
            sealed: true,
            settled: false,
            frame: vec![0; FRAME_HEADER],
            placed: Vec::new(),
            dones: Vec::new(),
            urgent: Urgent::default(),
            purged: None,
            stalled: false,
            waiting: VecDeque::new(),
        };
        writer.gauge.set_available(writer.room());
        writer
    }

    /// Writes all of `work`, in order, or as much as there is room for; the rest waits for the next call. Callbacks are
    /// called on success; on failure, callbacks that were not called yet are left in `self` for [`Writer::fail`].
    ///
    /// # Errors
    /// [`LogError::Io`], after which the log must not be used any more.
    pub fn write(&mut self, work: Vec<Work>) -> Result<(), LogError> {
        self.waiting.extend(work);
        // Work that found no room before comes first.
        let mut room = self.flush()?;
        while room && let Some(work) = self.waiting.pop_front() {
            room = self.add(work)?;
        }
        if !room || !self.flush()? {
            self.overtake()?;
        }
        match self.purged.take() {
            Some(upto) => self.retire(upto),
            None => Ok(()),
        }
    }

    /// True while something waits for room.
    pub fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Calls all waiting callbacks with the error.
    pub fn fail(&mut self, error: &LogError) {
        for caller in self.dones.drain(..) {
            (caller.done)(Err(error.clone()));
        }
        for work in self.waiting.drain(..) {
            if let Work::Append(_, done) | Work::Vote(_, done) = work {
                done(Err(error.clone()));
            }
        }
    }

    /// Adds work to the frame; false if there is no room for all of it, and the rest waits.
    fn add(&mut self, work: Work) -> Result<bool, LogError> {
        match work {
            Work::Append(entries, done) => return self.add_entries(entries, done),
            Work::Vote(vote, done) => self.add_vote(vote, done)?,
            Work::Truncate(last) => self.put(&Item::Truncate(last))?,
            Work::Purge(upto) => self.add_purge(upto)?,
            Work::Committed(upto) => {
                self.written.committed = Some(upto);
                self.put(&Item::Committed(upto))?;
            }
        }
        Ok(true)
    }

    fn add_vote(&mut self, vote: Vote, done: Done) -> Result<(), LogError> {
        self.dones.push(Caller { urgent: true, done });
        self.written.vote = Some(vote);
        self.urgent.vote = Some(vote);
        self.put(&Item::Vote(vote))
    }

    fn add_purge(&mut self, upto: LogPosition) -> Result<(), LogError> {
        self.written.purged = Some(upto);
        self.urgent.purge = Some(upto);
        self.put(&Item::Purge(upto))
    }

    fn add_entries(&mut self, entries: Vec<(Entry, u64)>, done: Done) -> Result<bool, LogError> {
        let mut entries = entries.into_iter();
        while let Some((entry, ticket)) = entries.next() {
            let full = self.frame.len() + entry.payload.weight() > self.limits.frame_bytes;
            let room = match if full { self.flush() } else { Ok(true) } {
                Ok(true) => self.add_entry(&entry, ticket).map(|()| true),
                other => other,
            };
            match room {
                Ok(true) => {}
                Ok(false) => {
                    let rest = std::iter::once((entry, ticket)).chain(entries).collect();
                    self.waiting.push_front(Work::Append(rest, done));
                    return Ok(false);
                }
                Err(error) => {
                    self.dones.push(Caller { urgent: false, done });
                    return Err(error);
                }
            }
        }
        // The callback joins those that the next flush calls, but only after the last entry is in the frame.
        self.dones.push(Caller { urgent: false, done });
        Ok(true)
    }

    fn add_entry(&mut self, entry: &Entry, ticket: u64) -> Result<(), LogError> {
        let at = self.frame.len();
        encode_entry(entry, &mut self.frame).map_err(|what| self.unencodable(what))?;
        let length = self.frame.len() - at;
        self.placed.push((entry.position.index, ticket, at as u64, length as u32));
        Ok(())
    }

    /// Writes waiting votes and purges before everything else that waits, as far as there is room. They also stay in
    /// the frame that waits, where they do no harm.
    fn overtake(&mut self) -> Result<(), LogError> {
        let held =
            (std::mem::take(&mut self.placed), std::mem::replace(&mut self.frame, vec![0; FRAME_HEADER]));
        let others: Vec<Caller> = self.dones.extract_if(.., |caller| !caller.urgent).collect();
        let written = self.put_urgent().and_then(|()| self.flush());
        (self.placed, self.frame) = held;
        self.dones.extend(others);
        self.stalled = true;
        written.map(|_| ())
    }

    fn put_urgent(&mut self) -> Result<(), LogError> {
        let Urgent { vote, purge } = std::mem::take(&mut self.urgent);
        if let Some(vote) = vote {
            self.urgent.vote = Some(vote);
            self.put(&Item::Vote(vote))?;
        }
        if let Some(upto) = purge {
            self.add_purge(upto)?;
        }
        for work in std::mem::take(&mut self.waiting) {
            match work {
                Work::Vote(vote, done) => self.add_vote(vote, done)?,
                Work::Purge(upto) => self.add_purge(upto)?,
                other => self.waiting.push_back(other),
            }
        }
        // Purged entries need not be kept until there is room.
        let kept = self.written.purged.map_or(0, |purged| purged.index + 1);
        for work in &mut self.waiting {
            if let Work::Append(entries, _) = work {
                entries.retain(|(entry, _)| entry.position.index >= kept);
            }
        }
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

    /// Writes and flushes the frame, if it holds anything; false if there is no room for it.
    fn flush(&mut self) -> Result<bool, LogError> {
        if self.frame.len() == FRAME_HEADER {
            // The callbacks of entries that were purged in the meantime.
            self.tell_all();
            return Ok(true);
        }
        if !self.fits() && !self.roll()? {
            self.stalled = true;
            self.gauge.set_available(0);
            return Ok(false);
        }
        self.stalled = false;
        if self.offset == FIRST_FRAME {
            self.put_start()?;
        }
        let seed = self.current.header.seed();
        let header = FrameHeader::of(seed, self.chain, &self.frame[FRAME_HEADER..]);
        let end = self.offset + header.span() + FRAME_HEADER as u64;
        seams::frame(self.current.header.sequence, end, self.current.length)?;
        self.frame[..FRAME_HEADER].copy_from_slice(&header.encode(seed, self.offset));
        self.put_frame().map_err(|error| self.broken(error))?;
        self.note_places();
        self.chain = header.checksum;
        self.offset += header.span();
        self.frames = (self.frames.0 + 1, self.frames.1 + header.span());
        self.frame.truncate(FRAME_HEADER);
        if self.frame.capacity() > 2 * self.limits.frame_bytes {
            self.frame.shrink_to(self.limits.frame_bytes);
        }
        self.purged = std::mem::take(&mut self.urgent).purge.or(self.purged);
        self.gauge.set_available(self.room());
        self.sealed = false;
        self.tell_all();
        Ok(true)
    }

    /// Calls all waiting callbacks: everything is written.
    fn tell_all(&mut self) {
        for caller in self.dones.drain(..) {
            (caller.done)(Ok(()));
        }
    }

    /// Bytes that the frame needs: itself, perhaps a start item, the seal, and, after entries, the reserved bytes.
    fn needed(&self) -> u64 {
        let start = if self.offset == FIRST_FRAME { START_ITEM } else { 0 };
        let tail = if self.placed.is_empty() { 0 } else { self.tail() };
        frame_span(self.frame.len() - FRAME_HEADER) + start + FRAME_HEADER as u64 + tail
    }

    fn tail(&self) -> u64 {
        TAIL.min(self.current.length / 32)
    }

    /// Bytes in the current segment for entries.
    fn room(&self) -> u64 {
        self.current.length.saturating_sub(self.offset + self.tail() + (2 * FRAME_HEADER) as u64)
    }

    /// True if the frame fits in the current segment.
    fn fits(&self) -> bool {
        self.offset + self.needed() <= self.current.length
    }

    /// Notes behind the last frame that it was flushed, after everyone that waited for it was answered. A frame that
    /// follows at once says the same, so this is for when none does.
    ///
    /// # Errors
    /// [`LogError::Io`], after which the log must not be used any more.
    pub fn seal(&mut self) -> Result<(), LogError> {
        if self.limits.flush && !std::mem::replace(&mut self.sealed, true) {
            let seal = FrameHeader::seal(self.chain).encode(self.current.header.seed(), self.offset);
            self.current.file.write_at(&seal, self.offset).map_err(|error| self.broken(error))?;
            self.settled = false;
        }
        Ok(())
    }

    /// Changes with every frame that is written.
    pub fn mark(&self) -> (u64, u64) {
        (self.current.header.sequence, self.offset)
    }

    /// False if the last seal may be in memory only.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Flushes the last seal, in quiet moments: the next frame would do it as well.
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
            file.sync()
                .or_else(|error| if is_planted(Planted::FailedFlushes) { Ok(()) } else { Err(error) })?;
            figures.flush.observe_time(written.elapsed());
        }
        Ok(())
    }

    /// Puts the start item in front of the frame's content.
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

    /// Moves on to the next segment; false if there is no room for one.
    fn roll(&mut self) -> Result<bool, LogError> {
        let sequence = self.current.header.sequence + 1;
        let length = FIRST_FRAME + START_ITEM + ALIGN + self.needed();
        let Some(next) = self.supply.take(sequence, length)? else { return Ok(false) };
        seams::segment(self.current.header.sequence, next.header.sequence)?;
        let (frames, bytes) = std::mem::take(&mut self.frames);
        let large = bytes >= frames.max(1) * LARGE;
        self.current = next;
        self.offset = FIRST_FRAME;
        self.segments.lock().insert(sequence, Held { segment: self.current.clone(), last: None });
        self.supply.order(sequence + 1, large);
        Ok(true)
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

    /// Retires the oldest segments, as far as all their entries are purged.
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
