//! The supply of segments for the writer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::LogError;
use super::segment::{Filling, Maker, Segment};
use super::space::Gauge;

/// Interval at which a full disk is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Makes and retires segments for the writer.
pub trait Supply: Send {
    /// Orders the segment `sequence`, to be ready some time later. Flushes are `large` at the moment.
    fn order(&mut self, sequence: u64, large: bool);
    /// The segment `sequence`, with at least `length` bytes; waits if it is not ready. `None` if the disk is full: the
    /// order stays, and the caller must ask again later.
    ///
    /// # Errors
    /// [`LogError::Io`].
    fn take(&mut self, sequence: u64, length: u64) -> Result<Option<Segment>, LogError>;
    /// Retires a segment.
    ///
    /// # Errors
    /// [`LogError::Io`], perhaps from an earlier call.
    fn retire(&mut self, sequence: u64) -> Result<(), LogError>;
}

/// Makes segments when they are needed, on the caller's thread.
pub struct InlineSupply {
    maker: Maker,
    ready: Option<Segment>,
    gauge: Arc<Gauge>,
}

impl InlineSupply {
    /// `ready` is an empty segment that exists already.
    pub fn new(maker: Maker, ready: Option<Segment>, gauge: Arc<Gauge>) -> Self {
        Self { maker, ready, gauge }
    }
}

impl Supply for InlineSupply {
    fn order(&mut self, _sequence: u64, _large: bool) {}

    fn take(&mut self, sequence: u64, length: u64) -> Result<Option<Segment>, LogError> {
        if let Some(ready) = self.ready.take().filter(|ready| ready.suits(sequence, length)) {
            return Ok(Some(ready));
        }
        let length = length.max(self.maker.length());
        match self.maker.make(sequence, length, || Filling::AtOnce) {
            Err(error) if error.is_full() => {
                self.gauge.set_needed(length);
                Ok(None)
            }
            made => {
                self.gauge.set_needed(0);
                made.map(Some)
            }
        }
    }

    fn retire(&mut self, sequence: u64) -> Result<(), LogError> {
        self.maker.retire(sequence)
    }
}

/// State shared by the writer and the thread.
#[derive(Default)]
struct Orders {
    /// The segment to be made and its length.
    wanted: Option<(u64, u64)>,
    /// It is for large flushes.
    large: bool,
    /// The segment that is ready.
    made: Option<Segment>,
    /// Segments to retire.
    retired: VecDeque<u64>,
    /// There was no room for the wanted segment.
    full: bool,
    failed: Option<LogError>,
    closed: bool,
}

struct Shared {
    orders: Mutex<Orders>,
    changed: Condvar,
    /// The writer waits for the segment.
    awaited: AtomicBool,
    gauge: Arc<Gauge>,
}

/// Makes segments in advance on a thread of its own.
pub struct ThreadSupply {
    shared: Arc<Shared>,
    length: u64,
    thread: Option<JoinHandle<()>>,
}

impl ThreadSupply {
    /// Starts the thread. `ready` is an empty segment that exists already.
    ///
    /// # Errors
    /// [`LogError::Io`] if no thread can be started.
    pub fn start(mut maker: Maker, ready: Option<Segment>, gauge: Arc<Gauge>) -> Result<Self, LogError> {
        let length = maker.length();
        let orders = Mutex::new(Orders { made: ready, ..Orders::default() });
        let shared =
            Arc::new(Shared { orders, changed: Condvar::new(), awaited: AtomicBool::new(false), gauge });
        let own = shared.clone();
        let thread = std::thread::Builder::new()
            .name("kvd-log-segments".into())
            .spawn(move || own.run(&mut maker))
            .map_err(|source| LogError::Io {
                file: "thread kvd-log-segments".into(),
                source: Arc::new(source),
            })?;
        Ok(Self { shared, length, thread: Some(thread) })
    }

    /// Orders a segment, or a longer one than was ordered before.
    fn want(&self, orders: &mut Orders, sequence: u64, length: u64) {
        if orders.wanted.is_none_or(|(wanted, long)| wanted != sequence || long < length) {
            orders.wanted = Some((sequence, length));
            orders.full = false;
            self.shared.changed.notify_all();
        }
    }
}

impl Supply for ThreadSupply {
    fn order(&mut self, sequence: u64, large: bool) {
        let mut orders = self.shared.orders.lock();
        orders.large = large;
        if orders.made.as_ref().is_none_or(|made| made.header.sequence != sequence) {
            self.want(&mut orders, sequence, self.length);
        }
    }

    fn take(&mut self, sequence: u64, length: u64) -> Result<Option<Segment>, LogError> {
        let mut orders = self.shared.orders.lock();
        loop {
            if let Some(error) = &orders.failed {
                return Err(error.clone());
            }
            if orders.made.as_ref().is_some_and(|made| made.suits(sequence, length)) {
                return Ok(orders.made.take());
            }
            self.want(&mut orders, sequence, length.max(self.length));
            if orders.full {
                return Ok(None);
            }
            self.shared.awaited.store(true, Ordering::Relaxed);
            self.shared.changed.wait(&mut orders);
            self.shared.awaited.store(false, Ordering::Relaxed);
        }
    }

    fn retire(&mut self, sequence: u64) -> Result<(), LogError> {
        let mut orders = self.shared.orders.lock();
        orders.retired.push_back(sequence);
        self.shared.changed.notify_all();
        orders.failed.clone().map_or(Ok(()), Err)
    }
}

impl Shared {
    fn run(&self, maker: &mut Maker) {
        let mut orders = self.orders.lock();
        loop {
            let done = if let Some(sequence) = orders.retired.pop_front() {
                // Its file may be reused at once.
                orders.full = false;
                MutexGuard::unlocked(&mut orders, || maker.retire(sequence))
            } else if let Some((sequence, length)) = orders.wanted.filter(|_| !orders.full && !orders.closed)
            {
                let large = orders.large;
                let filling = || match large || self.awaited.load(Ordering::Relaxed) {
                    true => Filling::Allocated,
                    false => Filling::Gently,
                };
                let made = MutexGuard::unlocked(&mut orders, || maker.make(sequence, length, filling));
                self.made(&mut orders, (sequence, length), made)
            } else if orders.closed {
                return;
            } else if orders.full {
                if self.changed.wait_for(&mut orders, TRY_AGAIN).timed_out() {
                    orders.full = false;
                }
                Ok(())
            } else {
                self.changed.wait(&mut orders);
                Ok(())
            };
            if let Err(error) = done {
                orders.failed = Some(error);
                self.changed.notify_all();
                return;
            }
        }
    }

    fn made(
        &self,
        orders: &mut MutexGuard<'_, Orders>,
        asked: (u64, u64),
        made: Result<Segment, LogError>,
    ) -> Result<(), LogError> {
        let needed = match made {
            Ok(segment) => {
                orders.made = Some(segment);
                orders.wanted = orders.wanted.filter(|wanted| *wanted != asked);
                0
            }
            Err(error) if error.is_full() => {
                orders.full = true;
                asked.1
            }
            Err(error) => return Err(error),
        };
        self.changed.notify_all();
        MutexGuard::unlocked(orders, || self.gauge.set_needed(needed));
        Ok(())
    }
}

impl Drop for ThreadSupply {
    fn drop(&mut self) {
        self.shared.orders.lock().closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // The runtime has reported a panic of that thread; there is nothing more to do here.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::SimDisk;
    use crate::model::Entropy;

    struct One;

    impl Entropy for One {
        fn next(&self) -> u64 {
            1
        }
    }

    /// A supply of segments of 16 MB.
    fn supply() -> (SimDisk, ThreadSupply) {
        let disk = SimDisk::new(1);
        let maker = Maker::new(Arc::new(disk.clone()), Arc::new(One), 16 << 20, Vec::new());
        let gauge = Gauge::new(String::new(), 16 << 20, Arc::new(|_| {}));
        (disk, ThreadSupply::start(maker, None, Arc::new(gauge)).unwrap())
    }

    #[test]
    fn a_segment_that_the_writer_waits_for_is_there_at_once() {
        let (disk, mut supply) = supply();
        assert!(supply.take(1, 16 << 20).unwrap().is_some());
        assert!(disk.flushes() < 8 && disk.written() < 8 << 20, "{}, {}", disk.flushes(), disk.written());
    }

    #[test]
    fn a_segment_for_large_flushes_is_not_written_twice() {
        for large in [false, true] {
            let (disk, mut supply) = supply();
            supply.order(1, large);
            while supply.shared.orders.lock().made.is_none() {
                std::thread::yield_now();
            }
            assert_eq!(disk.written() < 1 << 20, large, "{}", disk.written());
            let segment = supply.take(1, 16 << 20).unwrap().unwrap();
            assert_eq!(segment.file.len().unwrap(), 16 << 20);
        }
    }

    #[test]
    fn however_room_without_writing_is_refused_zeros_are_written() {
        for number in [libc::EOPNOTSUPP, libc::EINTR, libc::EINVAL, libc::EPERM] {
            let (disk, mut supply) = supply();
            disk.fail_allocations(number);
            let segment = supply.take(1, 16 << 20).unwrap().unwrap();
            assert_eq!(segment.file.len().unwrap(), 16 << 20);
            assert!(disk.written() >= 16 << 20, "{number}: {}", disk.written());
        }
    }

    #[test]
    fn without_room_for_a_segment_no_zeros_are_tried() {
        for number in [libc::ENOSPC, libc::EDQUOT] {
            let (disk, mut supply) = supply();
            disk.fail_allocations(number);
            assert!(supply.take(1, 16 << 20).unwrap().is_none());
            assert!(disk.names().is_empty(), "no part of it stays");
        }
    }
}
