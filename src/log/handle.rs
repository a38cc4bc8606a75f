//! The log's handle, for its users.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::codec::{Item, Start};
use super::format::SegmentHeader;
use super::recover::{Recovered, recover};
use super::segment::{Filling, Maker};
use super::space::{Beside, Gauge, Space};
use super::state::{Place, State};
use super::supply::{InlineSupply, Supply, ThreadSupply};
use super::writer::{Done, Held, Limits, Resume, Seen, Segments, Work, Writer};
use super::{Disk, Entry, Figures, LogError, Mode, Options, Vote, seams};
use crate::model::LogPosition;

/// The log is quiet if nothing was written for this long.
const SETTLE_AFTER: Duration = Duration::from_millis(250);

/// Interval at which work that waits for room is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// The range of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The last position purged.
    pub purged: Option<LogPosition>,
    /// Index of the first entry, or of the next one if there is none.
    pub first: u64,
    /// Index of the next entry.
    pub next: u64,
    /// The last position, purged or not.
    pub last: Option<LogPosition>,
}

/// The log. Clones share it; the last one closes it.
#[derive(Clone)]
pub struct Log(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    figures: Arc<Figures>,
    gauge: Arc<Gauge>,
    disk: Arc<dyn Disk>,
    state: Arc<Mutex<State>>,
    segments: Segments,
    queue: Mutex<Queue>,
    wake: Condvar,
    mode: Mode,
    /// Locked by whoever writes, before `queue` if it needs both.
    writer: Mutex<Writer>,
    /// A caller writes ([`Log::append_here`]).
    writes_here: AtomicBool,
    /// Called instead of writing, in [`Mode::Stepped`].
    on_queued: Arc<dyn Fn() + Send + Sync>,
    cache_bytes: usize,
    history_bytes: u64,
    on_failure: Arc<dyn Fn(&LogError) + Send + Sync>,
}

#[derive(Default)]
struct Queue {
    work: Vec<Work>,
    /// The commit to be recorded with the next flush.
    committed: Option<LogPosition>,
    failed: Option<LogError>,
    closed: bool,
    /// A caller has written: the thread looks what that leaves to do.
    look: bool,
}

impl Log {
    /// Opens the log on `disk`, or begins a new one if there is none.
    ///
    /// # Errors
    /// See [`LogError`]; only an incomplete last write is skipped.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<Self, LogError> {
        let found = recover(&disk, options.cache_bytes)?;
        if let Some((file, offset)) = &found.torn {
            tracing::warn!(
                file,
                offset,
                "the last flush of the raft log was cut off; it had not been acknowledged"
            );
        }
        let Recovered { state, segments, resume, ready, spares, .. } = found;
        let mut maker = Maker::new(disk.clone(), options.entropy.clone(), options.segment_bytes, spares);
        let segments: Segments = Arc::new(Mutex::new(segments));
        let resume = match resume {
            Some(resume) => resume,
            None => {
                let first = maker.make(1, options.first_segment_bytes, || Filling::AtOnce)?;
                segments.lock().insert(1, Held { segment: first.clone(), last: None });
                let offset = super::format::FIRST_FRAME;
                Resume { current: first, offset, chain: 0, written: Start::default() }
            }
        };
        let (dir, segment) = (disk.describe(""), options.segment_bytes);
        let gauge = Arc::new(Gauge::new(dir, segment, options.on_space));
        let state = Arc::new(Mutex::new(state));
        maker.share(options.neighbour.map(|neighbour| Beside { neighbour, state: state.clone() }));
        let supply: Box<dyn Supply> = match options.mode {
            Mode::Inline | Mode::Stepped => Box::new(InlineSupply::new(maker, ready, gauge.clone())),
            Mode::Thread => Box::new(ThreadSupply::start(maker, ready, gauge.clone())?),
        };
        let figures = Arc::<Figures>::default();
        let limits = Limits {
            frame_bytes: options.frame_bytes,
            cache_bytes: options.cache_bytes,
            flush: options.flush,
        };
        let seen = Seen {
            state: state.clone(),
            segments: segments.clone(),
            figures: figures.clone(),
            gauge: gauge.clone(),
        };
        let writer = Writer::new(disk.clone(), seen, supply, limits, resume);
        let shared = Arc::new(Shared {
            figures,
            gauge,
            disk,
            state,
            segments,
            queue: Mutex::new(Queue::default()),
            wake: Condvar::new(),
            mode: options.mode,
            writer: Mutex::new(writer),
            writes_here: AtomicBool::new(false),
            on_queued: options.on_queued,
            cache_bytes: options.cache_bytes,
            history_bytes: options.history_bytes,
            on_failure: options.on_failure,
        });
        let thread = (options.mode == Mode::Thread).then(|| shared.clone().spawn()).transpose()?;
        Ok(Self(Arc::new(Handle { shared, thread: Mutex::new(thread) })))
    }

    /// Adds entries at the end. They can be read at once; `done` is called when they are on disk, perhaps before this
    /// returns. If the disk is full ([`Log::space`]), that takes as long as it stays full.
    ///
    /// # Errors
    /// [`LogError::Broken`] if they do not follow the last entry, which ends the log; the error of an earlier failure, or
    /// [`LogError::Closed`]. `done` is not called then.
    pub fn append(&self, entries: Vec<Entry>, done: Done) -> Result<(), LogError> {
        self.add(entries, done, false)
    }

    /// As [`Log::append`], but writes and flushes before it returns unless the log's thread is at it: for a caller that
    /// has nothing else to do until then. It spares waking two threads.
    ///
    /// # Errors
    /// As [`Log::append`]; a failure to write is reported to `done`.
    pub fn append_here(&self, entries: Vec<Entry>, done: Done) -> Result<(), LogError> {
        self.add(entries, done, true)
    }

    /// True while a caller writes what it appends: it waits for the disk.
    pub fn writes_here(&self) -> bool {
        self.0.shared.writes_here.load(Ordering::Relaxed)
    }

    fn add(&self, entries: Vec<Entry>, done: Done, here: bool) -> Result<(), LogError> {
        let shared = &self.0.shared;
        shared.submit(here, |queue| {
            let mut state = shared.state.lock();
            let mut numbered = Vec::with_capacity(entries.len());
            for entry in entries {
                seams::appended(state.last(), entry.position)?;
                let ticket = state.append(entry.clone(), None)?;
                numbered.push((entry, ticket));
            }
            state.shrink_cache(shared.cache_bytes);
            queue.work.push(Work::Append(numbered, done));
            Ok(true)
        })
    }

    /// Saves a vote; `done` is called when it is on disk.
    ///
    /// # Errors
    /// As [`Log::append`]; it is broken if a vote goes back, or is the second one in its term.
    pub fn save_vote(&self, vote: Vote, done: Done) -> Result<(), LogError> {
        let shared = &self.0.shared;
        shared.submit(false, |queue| {
            let mut state = shared.state.lock();
            seams::voted(state.vote, vote)?;
            state.vote = Some(vote);
            queue.work.push(Work::Vote(vote, done));
            Ok(true)
        })
    }

    /// Removes the entries after `last`.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn truncate_after(&self, last: Option<LogPosition>) -> Result<(), LogError> {
        let shared = &self.0.shared;
        shared.submit(false, |queue| {
            shared.state.lock().truncate_after(last);
            queue.work.push(Work::Truncate(last));
            Ok(true)
        })
    }

    /// Removes the entries up to and including `upto`, which may be beyond the end. A position below the last purge is
    /// ignored. `durable` is the last entry in the state that a restart finds.
    ///
    /// # Errors
    /// As [`Log::append`]; it is broken if the durable state lacks one of the entries.
    pub fn purge(&self, upto: LogPosition, durable: Option<LogPosition>) -> Result<(), LogError> {
        let shared = &self.0.shared;
        shared.submit(false, |queue| {
            let mut state = shared.state.lock();
            if state.purged.is_some_and(|purged| purged.index >= upto.index) {
                return Ok(false);
            }
            seams::purged(upto, durable)?;
            state.purge(upto);
            queue.work.push(Work::Purge(upto));
            Ok(true)
        })
    }

    /// Records how far entries are committed. A hint: it reaches the disk with the next flush, whenever that is.
    pub fn set_committed(&self, committed: LogPosition) {
        self.0.shared.state.lock().committed = Some(committed);
        self.0.shared.queue.lock().committed = Some(committed);
    }

    /// The last vote saved.
    pub fn vote(&self) -> Option<Vote> {
        self.0.shared.state.lock().vote
    }

    /// How far entries were known to be committed.
    pub fn committed(&self) -> Option<LogPosition> {
        self.0.shared.state.lock().committed
    }

    /// The range of the log.
    pub fn bounds(&self) -> Bounds {
        let state = self.0.shared.state.lock();
        Bounds { purged: state.purged, first: state.first(), next: state.next(), last: state.last() }
    }

    /// True if the log holds the entry with this position, or has purged it.
    pub fn holds(&self, place: LogPosition) -> bool {
        self.0.shared.state.lock().holds(place)
    }

    /// True if everything up to this position is on disk, or was purged; false if the log does not reach that far.
    pub fn is_written(&self, upto: LogPosition) -> bool {
        self.0.shared.state.lock().is_written(upto.index)
    }

    /// The indexes of the entries that are not on disk yet.
    pub fn unwritten(&self) -> Option<RangeInclusive<u64>> {
        self.0.shared.state.lock().unwritten()
    }

    /// The segment of an entry, and the offset at which the entry ends in it, once it is written; `None` if it was purged.
    pub fn end_on_disk(&self, index: u64) -> Option<(u64, u64)> {
        let place = self.0.shared.state.lock().place_of(index)?;
        Some((place.segment, place.offset + u64::from(place.length)))
    }

    /// The position with this index; `None` if the log does not hold it any more, or not yet. The last purged one is
    /// known.
    pub fn position_at(&self, index: u64) -> Option<LogPosition> {
        self.0.shared.state.lock().position_at(index)
    }

    /// The first index from which the entries to the end weigh at most `bytes`.
    pub fn first_within(&self, bytes: usize) -> u64 {
        self.0.shared.state.lock().first_within(bytes)
    }

    /// The entries with these indexes: all of them, or as many of the first ones as fit into `max_bytes`, at least one.
    ///
    /// # Errors
    /// [`LogError::NotFound`] if the range goes beyond what the log holds; [`LogError::Damaged`] or [`LogError::Io`] if
    /// the disk does not return what was written.
    pub fn read(&self, indexes: std::ops::Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, LogError> {
        let found = self.0.shared.state.lock().lookup(indexes.start, indexes.end, max_bytes)?;
        let mut entries = Vec::with_capacity(found.stored.len() + found.cached.len());
        for run in found.stored.chunk_by(|(_, one), (_, next)| adjacent(one, next)) {
            self.read_run(run, &mut entries)?;
        }
        entries.extend(found.cached);
        Ok(entries)
    }

    /// As [`Log::read`] if that needs no disk; otherwise `None`.
    ///
    /// # Errors
    /// [`LogError::NotFound`].
    pub fn read_cached(
        &self,
        indexes: std::ops::Range<u64>,
        max_bytes: usize,
    ) -> Result<Option<Vec<Entry>>, LogError> {
        let found = self.0.shared.state.lock().lookup(indexes.start, indexes.end, max_bytes)?;
        Ok(found.stored.is_empty().then_some(found.cached))
    }

    /// Writes what is queued, in [`Mode::Stepped`], and what waits for room, also in [`Mode::Inline`].
    pub fn flush(&self) {
        let shared = &self.0.shared;
        if shared.mode == Mode::Thread {
            return;
        }
        let work = shared.queue.lock().take();
        let mut writer = shared.writer.lock();
        if !work.is_empty() || writer.is_stalled() {
            shared.write(&mut writer, work);
        }
    }

    /// The failure that ended the log, if one did.
    pub fn failure(&self) -> Option<LogError> {
        self.0.shared.queue.lock().failed.clone()
    }

    /// Whether the disk has room for the next segment.
    pub fn space(&self) -> Space {
        self.0.shared.gauge.space()
    }

    /// Bytes of entries that are worth keeping on this disk although nobody needs them.
    pub fn history_bytes(&self) -> u64 {
        self.0.shared.history_bytes
    }

    /// Counters for metrics.
    pub fn figures(&self) -> &Figures {
        &self.0.shared.figures
    }

    /// Writes what is queued and stops. Later calls fail.
    pub fn close(&self) {
        self.0.close();
    }

    /// Reads adjacent items with one access.
    fn read_run(&self, run: &[(u64, Place)], entries: &mut Vec<Entry>) -> Result<(), LogError> {
        let (Some((from, first)), Some((to, last))) = (run.first(), run.last()) else { return Ok(()) };
        let shared = &self.0.shared;
        let gone = || {
            let (first, next) = (shared.state.lock().first(), shared.state.lock().next());
            LogError::NotFound { from: *from, to: to + 1, first, next }
        };
        let segment =
            shared.segments.lock().get(&first.segment).map(|held| held.segment.clone()).ok_or_else(gone)?;
        let mut bytes = vec![0; (last.offset + u64::from(last.length) - first.offset) as usize];
        let file = shared.disk.describe(&segment.name());
        let error = |source| LogError::Io { file: file.clone(), source: Arc::new(source) };
        segment.file.read_at(&mut bytes, first.offset).map_err(error)?;
        for (index, place) in run {
            let at = (place.offset - first.offset) as usize;
            match Item::decode(&bytes[at..]) {
                Ok((Item::Entry(entry), _)) if entry.position.index == *index => entries.push(entry),
                // Purged during the read: its file may have been reused by now.
                _ if shared.state.lock().first() > *index => return Err(gone()),
                _ => return Err(self.unreadable(&segment.header, place, *index)),
            }
        }
        Ok(())
    }

    fn unreadable(&self, header: &SegmentHeader, place: &Place, index: u64) -> LogError {
        let file = self.0.shared.disk.describe(&super::format::segment_name(header.sequence));
        LogError::Damaged { file, offset: place.offset, what: format!("entry {index} is not there any more") }
    }
}

fn adjacent(one: &Place, next: &Place) -> bool {
    let end = one.offset + u64::from(one.length);
    one.segment == next.segment && next.offset >= end && next.offset - end < 512
}

impl Shared {
    /// Queues work, and does it as the mode says, or `here` if possible.
    fn submit(
        &self,
        here: bool,
        add: impl FnOnce(&mut Queue) -> Result<bool, LogError>,
    ) -> Result<(), LogError> {
        let mut queue = self.queue.lock();
        if let Some(error) = &queue.failed {
            return Err(error.clone());
        }
        if queue.closed {
            return Err(LogError::Closed);
        }
        match add(&mut queue) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                drop(queue);
                self.fail(&error);
                if self.mode != Mode::Thread {
                    self.writer.lock().fail(&error);
                }
                return Err(error);
            }
        }
        match self.mode {
            Mode::Thread => {
                drop(queue);
                if !here || !self.write_here() {
                    self.wake.notify_one();
                }
            }
            Mode::Inline => {
                let work = queue.take();
                drop(queue);
                self.write(&mut self.writer.lock(), work);
            }
            Mode::Stepped => {
                drop(queue);
                (self.on_queued)();
            }
        }
        Ok(())
    }

    /// Writes what is queued unless the thread does; false if the thread must be woken.
    fn write_here(&self) -> bool {
        let Some(mut writer) = self.writer.try_lock() else { return false };
        if writer.is_stalled() {
            return false;
        }
        let settled = writer.is_settled();
        let work = self.queue.lock().take();
        if work.is_empty() {
            return true;
        }
        self.writes_here.store(true, Ordering::Relaxed);
        let written = self.write(&mut writer, work);
        self.writes_here.store(false, Ordering::Relaxed);
        // The thread tries again when there is room, flushes the last seal, and ends after a failure.
        let done = written && !writer.is_stalled() && settled == writer.is_settled();
        if !done {
            self.queue.lock().look = true;
        }
        done
    }

    fn spawn(self: Arc<Self>) -> Result<JoinHandle<()>, LogError> {
        std::thread::Builder::new()
            .name("kvd-log".into())
            .spawn(move || self.run())
            .map_err(|source| LogError::Io { file: "thread kvd-log".into(), source: Arc::new(source) })
    }

    /// The thread: does what is queued, until the log is closed or fails.
    fn run(&self) {
        let (mut pause, mut mark) = (Some(SETTLE_AFTER), self.writer.lock().mark());
        loop {
            let quiet = self.await_work(pause);
            let mut writer = self.writer.lock();
            let (work, failed, closed) = {
                let mut queue = self.queue.lock();
                queue.look = false;
                (queue.take(), queue.failed.clone(), queue.closed)
            };
            if let Some(error) = failed {
                // A caller's write failed.
                return writer.fail(&error);
            }
            let last = closed && work.is_empty();
            // Nothing is queued: the time of a stalled or of an unsettled writer has passed, or a caller has written.
            let idle = work.is_empty() && !closed && !writer.is_stalled();
            let is_due = !idle || quiet && writer.mark() == mark;
            if is_due && !self.write(&mut writer, work) || last {
                // The callers that still wait for room.
                return writer.fail(&LogError::Closed);
            }
            mark = writer.mark();
            pause = match (writer.is_stalled(), writer.is_settled()) {
                (true, _) => Some(TRY_AGAIN),
                (false, false) => Some(SETTLE_AFTER),
                (false, true) => None,
            };
        }
    }

    /// Waits for work, the log's end, or a sign of a caller that writes, at most for `pause`; true if that has passed.
    fn await_work(&self, pause: Option<Duration>) -> bool {
        let mut queue = self.queue.lock();
        if !queue.work.is_empty() || queue.look || queue.closed || queue.failed.is_some() {
            return false;
        }
        match pause {
            Some(pause) => self.wake.wait_for(&mut queue, pause).timed_out(),
            None => {
                self.wake.wait(&mut queue);
                false
            }
        }
    }

    /// Does the work, or, if there is none, flushes the last seal; false if that failed, and then for ever.
    fn write(&self, writer: &mut Writer, work: Vec<Work>) -> bool {
        let settle = work.is_empty() && !writer.is_stalled();
        let done = if settle { writer.settle() } else { writer.write(work).and_then(|()| self.seal(writer)) };
        let Err(error) = done else { return true };
        self.fail(&error);
        writer.fail(&error);
        false
    }

    /// Ends the log: later calls fail, and what is queued is not written.
    fn fail(&self, error: &LogError) {
        let queued = {
            let mut queue = self.queue.lock();
            queue.failed.get_or_insert_with(|| error.clone());
            queue.take()
        };
        tracing::error!(%error, "the raft log has failed");
        (self.on_failure)(error);
        for work in queued {
            if let Work::Append(_, done) | Work::Vote(_, done) = work {
                done(Err(error.clone()));
            }
        }
    }

    /// Seals the last frame unless another one follows at once.
    fn seal(&self, writer: &mut Writer) -> Result<(), LogError> {
        let follows = self.mode == Mode::Thread && !self.queue.lock().work.is_empty();
        if follows { Ok(()) } else { writer.seal() }
    }
}

impl Queue {
    fn take(&mut self) -> Vec<Work> {
        let mut work = std::mem::take(&mut self.work);
        if let Some(committed) = self.committed.take_if(|_| !work.is_empty()) {
            work.push(Work::Committed(committed));
        }
        work
    }
}

impl Handle {
    fn close(&self) {
        {
            let mut queue = self.shared.queue.lock();
            queue.closed = true;
            if let Some(committed) = queue.committed.take().filter(|_| queue.failed.is_none()) {
                queue.work.push(Work::Committed(committed));
            }
            if self.shared.mode != Mode::Thread && queue.failed.is_none() {
                let work = queue.take();
                drop(queue);
                let mut writer = self.shared.writer.lock();
                if work.is_empty() || self.shared.write(&mut writer, work) {
                    self.shared.write(&mut writer, Vec::new());
                }
                writer.fail(&LogError::Closed);
            }
        }
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // The runtime has reported a panic of that thread; there is nothing more to do here.
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
