//! Reading the log back when it is opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codec::{Item, ItemFault, Start};
use super::format::{
    FIRST_FRAME, FRAME_HEADER, FrameHeader, HeaderFault, SegmentHeader, VERSION, segment_name, sequence_of,
};
use super::frames::{frame_at, named_at, stranger};
use super::segment::{Segment, io_error};
use super::state::{Place, State};
use super::writer::{Held, Resume};
use super::{Disk, LogError, Vote};

/// The result of the recovery.
pub struct Recovered {
    /// The range and entries of the log.
    pub state: State,
    /// The segments in use.
    pub segments: BTreeMap<u64, Held>,
    /// Where to continue; `None` if there was no log.
    pub resume: Option<Resume>,
    /// An empty segment that is prepared.
    pub ready: Option<Segment>,
    /// Files that can be reused.
    pub spares: Vec<String>,
    /// File and offset of the write that a crash cut off, if there was one.
    pub torn: Option<(String, u64)>,
}

/// Reads the whole log. For what is a torn write and what is damage see [`super::format`].
///
/// # Errors
/// Everything but an incomplete end: see [`LogError`].
pub fn recover(disk: &Arc<dyn Disk>, cache_bytes: usize) -> Result<Recovered, LogError> {
    let (sequences, spares) = list(disk)?;
    // A name that a killed process gave may exist in memory only.
    disk.sync().map_err(io_error(&**disk, ""))?;
    let mut replay = Replay { chain: (sequences.first() == Some(&1)).then_some(0), ..Replay::default() };
    let mut scans = Vec::new();
    for sequence in sequences {
        let segment = open_segment(disk, sequence)?;
        let scan = replay.segment(disk, &segment, cache_bytes)?;
        scans.push((segment, scan));
    }
    let mut found = Recovered {
        state: State::default(),
        segments: BTreeMap::new(),
        resume: None,
        ready: None,
        spares,
        torn: None,
    };
    // If the write that was cut off had begun a segment, the log continues in that segment and not before it: the rest
    // of that write refers to the present end, and would look like damage after the end has moved.
    let current = scans.iter().rposition(|(_, scan)| scan.begun).unwrap_or(0);
    if let Some((segment, _)) = scans.first().filter(|(oldest, _)| oldest.header.sequence > 1)
        && replay.last.is_none()
    {
        return Err(damaged(disk, segment, FIRST_FRAME, "no valid frame".into()));
    }
    if let Some((segment, scan)) = scans.get(current) {
        found.torn = scan.torn.then(|| (disk.describe(&segment.name()), scan.end));
        replay.prove_last(disk)?;
        found.resume = Some(Resume {
            current: segment.clone(),
            offset: scan.end,
            chain: replay.chain.unwrap_or_default(),
            written: replay.written(),
        });
    }
    for (at, (segment, scan)) in scans.into_iter().enumerate() {
        if at <= current {
            found.segments.insert(segment.header.sequence, Held { segment, last: scan.last });
        } else if at == current + 1 {
            found.ready = Some(segment);
        }
    }
    replay.check_complete(disk)?;
    found.state = replay.state;
    Ok(found)
}

/// The segments' sequence numbers, ascending and without gap, and the names of spare files.
fn list(disk: &Arc<dyn Disk>) -> Result<(Vec<u64>, Vec<String>), LogError> {
    let error = io_error(&**disk, "");
    let mut sequences = Vec::new();
    let mut spares = Vec::new();
    for name in disk.list().map_err(&error)? {
        if let Some(sequence) = sequence_of(&name) {
            sequences.push(sequence);
        } else if name.ends_with(".old") {
            spares.push(name);
        } else if name.ends_with(".tmp") {
            disk.remove(&name).map_err(&error)?;
        }
    }
    sequences.sort_unstable();
    spares.sort_unstable();
    for pair in sequences.windows(2) {
        if pair[0] + 1 != pair[1] {
            let missing = segment_name(pair[0] + 1);
            return Err(LogError::Damaged {
                file: disk.describe(&missing),
                offset: 0,
                what: format!("the segment is missing, while {} exists", segment_name(pair[1])),
            });
        }
    }
    Ok((sequences, spares))
}

fn open_segment(disk: &Arc<dyn Disk>, sequence: u64) -> Result<Segment, LogError> {
    let name = segment_name(sequence);
    let error = io_error(&**disk, &name);
    let file = disk.open(&name).map_err(&error)?;
    let length = file.len().map_err(&error)?;
    let mut bytes = vec![0; length.min(64) as usize];
    file.read_at(&mut bytes, 0).map_err(&error)?;
    let file_name = disk.describe(&name);
    match SegmentHeader::decode(&bytes) {
        Ok(header) if header.sequence == sequence && header.length <= length => {
            Ok(Segment { header, file, length })
        }
        Ok(header) if header.sequence == sequence => Err(LogError::Damaged {
            file: file_name,
            offset: length,
            what: format!("the file ends here; it was made with {} bytes", header.length),
        }),
        Ok(header) => Err(LogError::Damaged {
            file: file_name,
            offset: 16,
            what: format!("the file says it is segment {}", segment_name(header.sequence)),
        }),
        Err(HeaderFault::Version(found)) => {
            Err(LogError::Version { file: file_name, found, supported: VERSION })
        }
        Err(HeaderFault::Damaged(what)) => {
            Err(LogError::Damaged { file: file_name, offset: 0, what: what.into() })
        }
    }
}

/// The result of scanning a segment.
struct Scan {
    /// Where its valid frames end.
    end: u64,
    /// It was written to, if only in part.
    begun: bool,
    /// The valid frames are followed by a part of a frame that refers to the last one.
    torn: bool,
    /// The largest index of the entries in it.
    last: Option<u64>,
}

/// The last valid frame of the log.
struct LastFrame {
    segment: Segment,
    offset: u64,
    bytes: Vec<u8>,
    /// The offset at which it ends.
    end: u64,
    sealed: bool,
}

fn damaged(disk: &Arc<dyn Disk>, segment: &Segment, offset: u64, what: String) -> LogError {
    LogError::Damaged { file: disk.describe(&segment.name()), offset, what }
}

/// The error for a flushed frame at `offset` of `segment` that is not valid, although something at `at` of `follower`
/// comes after it.
fn lost(disk: &Arc<dyn Disk>, segment: &Segment, offset: u64, follower: &Segment, at: u64) -> LogError {
    let place = match follower.header.sequence == segment.header.sequence {
        true => format!("at {at}"),
        false => format!("in {} at {at}", follower.name()),
    };
    damaged(disk, segment, offset, format!("a write that was flushed is lost: what follows it is {place}"))
}

fn explain(disk: &Arc<dyn Disk>, segment: &Segment, offset: u64, fault: ItemFault) -> LogError {
    match fault {
        ItemFault::Damaged(what) => damaged(disk, segment, offset, what),
        ItemFault::Unknown(found) => {
            LogError::Version { file: disk.describe(&segment.name()), found, supported: VERSION }
        }
    }
}

/// The state while it is read back.
#[derive(Default)]
struct Replay {
    state: State,
    /// Checksum of the last valid frame, 0 before the log's first; unknown if the oldest segments were removed.
    chain: Option<u32>,
    last: Option<LastFrame>,
}

impl Replay {
    /// Reads the next segment.
    fn segment(
        &mut self,
        disk: &Arc<dyn Disk>,
        segment: &Segment,
        cache_bytes: usize,
    ) -> Result<Scan, LogError> {
        let mut bytes = vec![0; segment.length as usize];
        segment.file.read_at(&mut bytes, 0).map_err(io_error(&**disk, &segment.name()))?;
        let seed = segment.header.seed();
        let first = named_at(&bytes, seed, FIRST_FRAME);
        if let Some(header) = first
            && header.chain != *self.chain.get_or_insert(header.chain)
        {
            let (before, end) = match &self.last {
                Some(last) => (&last.segment, last.end),
                None => (segment, FIRST_FRAME),
            };
            return Err(lost(disk, before, end, segment, FIRST_FRAME));
        }
        let mut scan = Scan { end: FIRST_FRAME, begun: first.is_some(), torn: false, last: None };
        let mut frame = frame_at(&bytes, seed, scan.end);
        while let Some((header, payload)) = frame.filter(|(header, _)| Some(header.chain) == self.chain) {
            let fault = self.frame(segment, scan.end, payload, &mut scan.last);
            fault.map_err(|(at, fault)| explain(disk, segment, at, fault))?;
            self.state.shrink_cache(cache_bytes);
            self.chain = Some(header.checksum);
            let offset = scan.end;
            scan.end += header.span();
            frame = frame_at(&bytes, seed, scan.end);
            if frame.is_none() {
                self.last = Some(LastFrame {
                    segment: segment.clone(),
                    offset,
                    bytes: bytes[offset as usize..][..FRAME_HEADER + payload.len()].to_vec(),
                    end: scan.end,
                    sealed: named_at(&bytes, seed, scan.end).is_some_and(|next| next.is_seal()),
                });
            }
        }
        if let Some(at) = stranger(&bytes, seed, scan.end, self.chain.unwrap_or_default()) {
            return Err(lost(disk, segment, scan.end, segment, at));
        }
        scan.torn = named_at(&bytes, seed, scan.end).is_some_and(|next| !next.is_seal());
        Ok(scan)
    }

    /// Ensures that the last frame is on disk, and not only in the page cache.
    fn prove_last(&self, disk: &Arc<dyn Disk>) -> Result<(), LogError> {
        let Some(last) = self.last.as_ref().filter(|last| !last.sealed) else { return Ok(()) };
        let error = io_error(&**disk, &last.segment.name());
        last.segment.file.write_at(&last.bytes, last.offset).map_err(&error)?;
        last.segment.file.sync().map_err(&error)?;
        let seal = FrameHeader::seal(self.chain.unwrap_or_default());
        last.segment
            .file
            .write_at(&seal.encode(last.segment.header.seed(), last.end), last.end)
            .map_err(&error)
    }

    fn frame(
        &mut self,
        segment: &Segment,
        offset: u64,
        payload: &[u8],
        last: &mut Option<u64>,
    ) -> Result<(), (u64, ItemFault)> {
        let sequence = segment.header.sequence;
        let mut at = 0;
        while at < payload.len() {
            let place = offset + (FRAME_HEADER + at) as u64;
            let (item, length) = Item::decode(&payload[at..]).map_err(|fault| (place, fault))?;
            if offset == FIRST_FRAME && at == 0 && !matches!(item, Item::Start(_)) {
                return Err((
                    place,
                    ItemFault::Damaged("the segment does not begin with a start item".into()),
                ));
            }
            if let Item::Entry(entry) = &item {
                *last = (*last).max(Some(entry.position.index));
            }
            let place_on_disk = Place { segment: sequence, offset: place, length: length as u32 };
            self.item(item, place_on_disk).map_err(|what| (place, ItemFault::Damaged(what)))?;
            at += length;
        }
        Ok(())
    }

    fn item(&mut self, item: Item, place: Place) -> Result<(), String> {
        match item {
            Item::Start(start) => self.start(start),
            // It was purged while it waited for room.
            Item::Entry(entry) if self.is_purged(entry.position.index) => {}
            Item::Entry(entry) => {
                self.state.append(entry, Some(place)).map_err(|error| error.to_string())?;
            }
            Item::Vote(vote) => self.vote(vote),
            Item::Truncate(last) => self.state.truncate_after(last),
            Item::Purge(upto) => self.state.purge(upto),
            Item::Committed(upto) => self.state.committed = Some(upto),
        }
        Ok(())
    }

    fn start(&mut self, start: Start) {
        if let Some(vote) = start.vote {
            self.vote(vote);
        }
        self.state.committed = start.committed;
        if let Some(purged) = start.purged {
            self.state.purge(purged);
        }
    }

    /// Votes only increase; a lower vote behind a higher one waited for room while the higher one did not.
    fn vote(&mut self, vote: Vote) {
        if self.state.vote.is_none_or(|held| (held.term, held.committed) <= (vote.term, vote.committed)) {
            self.state.vote = Some(vote);
        }
    }

    fn is_purged(&self, index: u64) -> bool {
        self.state.purged.is_some_and(|purged| purged.index >= index)
    }

    fn written(&self) -> Start {
        Start { vote: self.state.vote, purged: self.state.purged, committed: self.state.committed }
    }

    /// Entries are purged from the beginning only. If the first remaining entry does not follow the last purged one,
    /// files are missing.
    fn check_complete(&self, disk: &Arc<dyn Disk>) -> Result<(), LogError> {
        let expected = self.state.purged.map_or(0, |purged| purged.index + 1);
        let first = self.state.first();
        if first == expected {
            return Ok(());
        }
        Err(LogError::Damaged {
            file: disk.describe(""),
            offset: 0,
            what: format!("entries {expected} to {} are missing: were segments removed?", first - 1),
        })
    }
}
