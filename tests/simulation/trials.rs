//! Tests with a machine's disks before its member is restarted: none of them changes the disks.

use std::path::PathBuf;
use std::sync::Arc;

use kvd::log::format::{FIRST_FRAME, FrameHeader, SegmentHeader};
use kvd::log::{Disk, Entry, Log, LogError, SimDisk, Vote};
use kvd::model::LogPosition;
use kvd::peer::NoTransport;

use super::dice::Dice;
use super::machine::{Boot, Ears, copy_all, log_options};

/// The relevant content of a log.
type Held = (kvd::log::Bounds, Option<Vote>, Vec<Entry>);

/// The log on a disk.
pub fn open(disk: SimDisk) -> Result<Log, LogError> {
    Log::open(Arc::new(disk), log_options(Dice::new(7), 64 << 10))
}

fn held(log: &Log) -> Result<Held, LogError> {
    let bounds = log.bounds();
    Ok((bounds, log.vote(), log.read(bounds.first..bounds.next, usize::MAX)?))
}

/// True if a log holds a position, or has held it and purged it.
pub fn is_held(log: &Log, at: LogPosition) -> bool {
    if log.bounds().purged.is_some_and(|purged| purged.index >= at.index) {
        return true;
    }
    let found = log.read(at.index..at.index + 1, usize::MAX);
    found.is_ok_and(|found| found.iter().all(|entry| entry.position == at))
}

/// What a log held after a start is still there after a power failure.
pub fn lost(boot: &Boot, kept: LogPosition) -> Option<String> {
    let log = open(boot.log.after_kill()).ok()?;
    let bounds = log.bounds();
    (!is_held(&log, kept)).then(|| format!("its log had {kept:?} after a start and has {bounds:?} now"))
}

/// A frame of a segment: the file, its offset, and how many of its bytes are in use.
type Frame = (String, usize, usize);

fn frames(disk: &SimDisk) -> Vec<Frame> {
    let mut frames = Vec::new();
    let names = disk.list().unwrap_or_default();
    for name in names.into_iter().filter(|name| name.ends_with(".seg")) {
        disk.with_file(&name, |bytes| {
            let Ok(header) = SegmentHeader::decode(bytes) else { return };
            let (seed, mut at) = (header.seed(), FIRST_FRAME as usize);
            while let Some(frame) =
                bytes.get(at..).and_then(|rest| FrameHeader::decode(rest, seed, at as u64))
            {
                frames.push((name.clone(), at, kvd::log::format::FRAME_HEADER + frame.length as usize));
                at += frame.span() as usize;
            }
        });
    }
    frames
}

/// One bit flips anywhere before the last frame: the log is refused, or complete.
pub fn flipped(boot: &Boot, dice: &mut Dice) -> Option<String> {
    let whole = open(boot.log.after_kill()).and_then(|log| held(&log)).ok()?;
    for _ in 0..3 {
        let copy = boot.log.after_kill();
        let mut frames = frames(&copy);
        // A damaged last write cannot be told apart from one that a crash cut off.
        frames.pop();
        let newest = frames.iter().rposition(|(_, at, _)| *at == FIRST_FRAME as usize)?;
        let (name, at, length) = match dice.below(3) {
            0 => frames.swap_remove(newest),
            1 => frames.swap_remove(dice.below(frames.len())),
            _ => (frames.swap_remove(dice.below(frames.len())).0, 0, 36),
        };
        let (at, bit) = (at + dice.below(length), dice.below(8));
        copy.with_file(&name, |bytes| bytes[at] ^= 1 << bit);
        if let Ok(found) = open(copy).and_then(|log| held(&log))
            && found != whole
        {
            let (before, after) = (whole.0, found.0);
            return Some(format!(
                "bit {bit} of byte {at} of {name} turned over, and instead of {before:?} there is {after:?}"
            ));
        }
    }
    None
}

/// An empty log next to a store with data is refused: the log's disk is missing.
pub async fn without_log(boot: &Boot, identity: PathBuf, store: PathBuf) -> Option<String> {
    copy_all(&boot.store, &store);
    copy_all(&boot.identity, &identity);
    let trial = Boot {
        id: boot.id,
        log: SimDisk::new(1),
        store,
        store_disk: Arc::default(),
        identity,
        founders: boot.founders.clone(),
        settings: boot.settings.clone(),
        clock: boot.clock.clone(),
        transport: Arc::new(NoTransport),
        dice: Dice::new(1),
        quota: None,
        altered: false,
    };
    let ears = Ears { observer: Box::new(|_| Arc::new(Deaf)), on_fatal: Arc::new(|_, _| {}) };
    match trial.start(ears).await {
        Ok(process) if process.store.applied().is_none() => {
            process.stop();
            process.ended().await;
            None
        }
        Ok(process) => {
            process.stop();
            process.ended().await;
            Some("it starts with an empty log beside its store".to_string())
        }
        Err(_) => None,
    }
}

/// An observer that does nothing.
struct Deaf;

impl kvd::model::Observer for Deaf {
    fn on_restored(&self, _: i64) {}
}
