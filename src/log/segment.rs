//! Making segments ready, and giving them up.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::format::{FIRST_FRAME, SegmentHeader, segment_name};
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
}

/// How zeros are written: in blocks, each flushed, with a pause between so that the log's own flushes get their turn.
const ZERO_BLOCK: usize = 1 << 20;
const ZERO_PAUSE: Duration = Duration::from_millis(2);
/// Emptied files kept for further use.
const SPARES: usize = 2;

/// Makes segments. Blocking; runs on a thread of its own unless the log is inline.
pub struct Maker {
    disk: Arc<dyn Disk>,
    entropy: Arc<dyn Entropy>,
    length: u64,
    /// Names of files that can be used again.
    spares: Vec<String>,
}

/// Names an I/O error's file.
pub fn io_error(disk: &dyn Disk, name: &str) -> impl Fn(std::io::Error) -> LogError + use<> {
    let file = disk.describe(name);
    move |source| LogError::Io { file: file.clone(), source: Arc::new(source) }
}

impl Maker {
    /// A maker of segments of `length` bytes. `spares` are files left from before.
    pub fn new(disk: Arc<dyn Disk>, entropy: Arc<dyn Entropy>, length: u64, spares: Vec<String>) -> Self {
        Self { disk, entropy, length: length.max(FIRST_FRAME * 2), spares }
    }

    /// Makes a segment of at least `length` bytes ready: zeroed or used before, headed, durable.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn make(&mut self, sequence: u64, length: u64, pause: bool) -> Result<Segment, LogError> {
        let name = segment_name(sequence);
        let error = io_error(&*self.disk, &name);
        let temporary = format!("{sequence:016x}.tmp");
        let file = match self.reuse(&temporary, length)? {
            Some(file) => file,
            None => self.zeroed(&temporary, length.next_multiple_of(FIRST_FRAME), pause)?,
        };
        let length = file.len().map_err(&error)?;
        let header = SegmentHeader { sequence, salt: self.entropy.next(), length };
        file.write_at(&header.encode(), 0).map_err(&error)?;
        file.sync().map_err(&error)?;
        self.disk.rename(&temporary, &name).map_err(&error)?;
        self.disk.sync().map_err(&error)?;
        Ok(Segment { header, file, length })
    }

    /// Takes a spare file that is large enough, under the name `temporary`.
    fn reuse(&mut self, temporary: &str, length: u64) -> Result<Option<Arc<dyn DiskFile>>, LogError> {
        while let Some(spare) = self.spares.pop() {
            let error = io_error(&*self.disk, &spare);
            let file = self.disk.open(&spare).map_err(&error)?;
            if file.len().map_err(&error)? >= length {
                self.disk.rename(&spare, temporary).map_err(&error)?;
                return Ok(Some(file));
            }
            self.disk.remove(&spare).map_err(&error)?;
        }
        Ok(None)
    }

    fn zeroed(&self, name: &str, length: u64, pause: bool) -> Result<Arc<dyn DiskFile>, LogError> {
        let error = io_error(&*self.disk, name);
        let file = self.disk.create(name).map_err(&error)?;
        let zeros = vec![0; ZERO_BLOCK.min(length as usize)];
        let mut offset = 0;
        while offset < length {
            let block = &zeros[..zeros.len().min((length - offset) as usize)];
            file.write_at(block, offset).map_err(&error)?;
            offset += block.len() as u64;
            if pause {
                file.sync().map_err(&error)?;
                std::thread::sleep(ZERO_PAUSE);
            }
        }
        Ok(file)
    }

    /// Gives up a segment whose entries are all purged. One after the other, each durably: a gap between segments that
    /// are left would look like damage.
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

/// How the writer gets its next segment.
pub trait Supply: Send {
    /// Asks for the segment `sequence`, to be ready some time later.
    fn order(&mut self, sequence: u64);
    /// The segment `sequence`, with at least `length` bytes; waits where it is not ready.
    ///
    /// # Errors
    /// [`LogError::Io`].
    fn take(&mut self, sequence: u64, length: u64) -> Result<Segment, LogError>;
    /// Gives up a segment.
    ///
    /// # Errors
    /// [`LogError::Io`], perhaps of an earlier call.
    fn retire(&mut self, sequence: u64) -> Result<(), LogError>;
}

/// Makes segments when they are needed, on the caller's thread.
pub struct InlineSupply {
    maker: Maker,
    ready: Option<Segment>,
}

impl InlineSupply {
    /// `ready` is an empty segment that is there already.
    pub fn new(maker: Maker, ready: Option<Segment>) -> Self {
        Self { maker, ready }
    }
}

impl Supply for InlineSupply {
    fn order(&mut self, _sequence: u64) {}

    fn take(&mut self, sequence: u64, length: u64) -> Result<Segment, LogError> {
        let length = length.max(self.maker.length);
        match self.ready.take() {
            Some(ready) if ready.header.sequence == sequence && ready.length >= length => Ok(ready),
            _ => self.maker.make(sequence, length, false),
        }
    }

    fn retire(&mut self, sequence: u64) -> Result<(), LogError> {
        self.maker.retire(sequence)
    }
}

enum Job {
    Make(u64, u64),
    Retire(u64),
}

/// Makes segments ahead of their use on a thread of its own.
pub struct ThreadSupply {
    jobs: Option<Sender<Job>>,
    made: Receiver<Result<Segment, LogError>>,
    ready: Option<Segment>,
    ordered: Option<u64>,
    length: u64,
    thread: Option<JoinHandle<()>>,
}

impl ThreadSupply {
    /// Starts the thread. `ready` is an empty segment that is there already.
    ///
    /// # Errors
    /// [`LogError::Io`] where no thread can be started.
    pub fn start(mut maker: Maker, ready: Option<Segment>) -> Result<Self, LogError> {
        let (jobs, inbox) = channel();
        let (outbox, made) = channel();
        let length = maker.length;
        let body = move || {
            for job in inbox {
                let result = match job {
                    Job::Make(sequence, length) => maker.make(sequence, length, true).map(Some),
                    Job::Retire(sequence) => maker.retire(sequence).map(|()| None),
                };
                let failed = result.is_err();
                let unheard = result.transpose().is_some_and(|result| outbox.send(result).is_err());
                if unheard || failed {
                    return;
                }
            }
        };
        let thread =
            std::thread::Builder::new().name("kvd-log-segments".into()).spawn(body).map_err(|source| {
                LogError::Io { file: "thread kvd-log-segments".into(), source: Arc::new(source) }
            })?;
        Ok(Self { jobs: Some(jobs), made, ready, ordered: None, length, thread: Some(thread) })
    }

    fn send(&mut self, job: Job) -> Result<(), LogError> {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if sent { Ok(()) } else { self.failure() }
    }

    /// The error the thread ended with.
    fn failure(&mut self) -> Result<(), LogError> {
        loop {
            match self.made.recv() {
                Ok(Ok(segment)) => self.ready = Some(segment),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(LogError::Closed),
            }
        }
    }
}

impl Supply for ThreadSupply {
    fn order(&mut self, sequence: u64) {
        let there = self.ready.as_ref().is_some_and(|ready| ready.header.sequence == sequence);
        if !there && self.ordered != Some(sequence) && self.send(Job::Make(sequence, self.length)).is_ok() {
            self.ordered = Some(sequence);
        }
    }

    fn take(&mut self, sequence: u64, length: u64) -> Result<Segment, LogError> {
        if self.ready.is_none() && self.ordered == Some(sequence) {
            self.ready = Some(self.made.recv().map_err(|_| LogError::Closed)??);
            self.ordered = None;
        }
        match self.ready.take() {
            Some(ready) if ready.header.sequence == sequence && ready.length >= length => Ok(ready),
            _ => {
                self.send(Job::Make(sequence, length.max(self.length)))?;
                self.made.recv().map_err(|_| LogError::Closed)?
            }
        }
    }

    fn retire(&mut self, sequence: u64) -> Result<(), LogError> {
        self.send(Job::Retire(sequence))
    }
}

impl Drop for ThreadSupply {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported by the runtime; nothing is left to do about it here.
            let _ = thread.join();
        }
    }
}
