//! Reading the log back when it is opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codec::{Item, ItemFault, Start};
use super::format::{
    ALIGN, FIRST_FRAME, FRAME_HEADER, FrameHeader, HeaderFault, SegmentHeader, VERSION, segment_name,
    sequence_of,
};
use super::segment::{Segment, io_error};
use super::state::{Place, State};
use super::writer::{Held, Resume};
use super::{Disk, LogError};

/// What was found.
pub struct Recovered {
    /// What the log holds.
    pub state: State,
    /// The segments in use.
    pub segments: BTreeMap<u64, Held>,
    /// Where to go on; `None` where there was no log.
    pub resume: Option<Resume>,
    /// An empty segment that stands ready.
    pub ready: Option<Segment>,
    /// Files that can be used again.
    pub spares: Vec<String>,
    /// Bytes of a flush that a crash cut off, if there was one.
    pub torn: Option<(String, u64)>,
}

/// Reads all there is.
///
/// # Errors
/// Everything but a cut-off end: see [`LogError`].
pub fn recover(disk: &Arc<dyn Disk>, cache_bytes: usize) -> Result<Recovered, LogError> {
    let (sequences, spares) = list(disk)?;
    let mut replay = Replay::default();
    let mut scans = Vec::new();
    for sequence in sequences {
        let segment = open_segment(disk, sequence)?;
        let scan = scan(disk, &segment, &mut replay, cache_bytes)?;
        scans.push((segment, scan));
    }
    // The last segment with frames is where the log goes on; where none has any, the first is.
    let last = scans.iter().rposition(|(_, scan)| scan.frames > 0).unwrap_or(0);
    for (segment, scan) in scans.iter().take(last) {
        if let Some(at) = scan.beyond {
            return Err(damaged(
                disk,
                segment,
                scan.end,
                format!("no valid frame, but there is one at {at}"),
            ));
        }
    }
    let mut found = Recovered {
        state: State::default(),
        segments: BTreeMap::new(),
        resume: None,
        ready: None,
        spares,
        torn: None,
    };
    for (at, (segment, scan)) in scans.into_iter().enumerate() {
        if at < last {
            found.segments.insert(segment.header.sequence, Held { segment, last: scan.last });
        } else if at == last {
            if let Some(beyond) = scan.beyond {
                let what =
                    format!("no valid frame, but there is one at {beyond}: an acknowledged write is lost");
                return Err(damaged(disk, &segment, scan.end, what));
            }
            if scan.torn {
                found.torn = Some((disk.describe(&segment.name()), scan.end));
            }
            let error = io_error(&**disk, &segment.name());
            // What was read may come from memory that the disk has never seen: a process that was killed leaves it so.
            segment.file.sync().map_err(&error)?;
            found
                .segments
                .insert(segment.header.sequence, Held { segment: segment.clone(), last: scan.last });
            found.resume = Some(Resume {
                current: segment,
                offset: scan.end,
                chain: replay.chain,
                written: replay.written(),
            });
        } else if at == last + 1 {
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
        Ok(header) if header.sequence == sequence => Ok(Segment { header, file, length }),
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

/// What a segment turned out to hold.
struct Scan {
    /// Number of valid frames from the beginning.
    frames: usize,
    /// Where they end.
    end: u64,
    /// A valid frame behind the end.
    beyond: Option<u64>,
    /// A frame's header stands at the end, its payload is not there.
    torn: bool,
    /// The largest index of the entries in it.
    last: Option<u64>,
}

fn scan(
    disk: &Arc<dyn Disk>,
    segment: &Segment,
    replay: &mut Replay,
    cache_bytes: usize,
) -> Result<Scan, LogError> {
    let mut bytes = vec![0; segment.length as usize];
    segment.file.read_at(&mut bytes, 0).map_err(io_error(&**disk, &segment.name()))?;
    let seed = segment.header.seed();
    let mut scan = Scan { frames: 0, end: FIRST_FRAME, beyond: None, torn: false, last: None };
    let mut chain = 0;
    while let Some((header, payload)) = frame_at(&bytes, seed, scan.end) {
        if header.chain != chain {
            break;
        }
        let fault = replay.frame(segment, scan.end, scan.frames == 0, payload, &mut scan.last);
        if let Err((at, fault)) = fault {
            return Err(explain(disk, segment, at, fault));
        }
        replay.state.shrink_cache(cache_bytes);
        chain = header.checksum;
        replay.chain = chain;
        scan.frames += 1;
        scan.end += header.span();
    }
    scan.torn = header_at(&bytes, seed, scan.end).is_some();
    scan.beyond = find_frame(&bytes, seed, scan.end + ALIGN);
    Ok(scan)
}

fn header_at(bytes: &[u8], seed: u32, offset: u64) -> Option<FrameHeader> {
    FrameHeader::decode(bytes.get(offset as usize..)?, seed, offset)
}

/// The valid frame at `offset`, where there is one.
fn frame_at(bytes: &[u8], seed: u32, offset: u64) -> Option<(FrameHeader, &[u8])> {
    let header = header_at(bytes, seed, offset)?;
    let start = offset as usize + FRAME_HEADER;
    let payload = bytes.get(start..)?.get(..header.length as usize)?;
    header.fits(seed, payload).then_some((header, payload))
}

/// The first valid frame from `offset` on. A header that looks right is not enough: a segment used before is full of
/// bytes that could happen to look like one.
fn find_frame(bytes: &[u8], seed: u32, mut offset: u64) -> Option<u64> {
    // Most of a segment is still as it was made: where a header would begin with zeros there is none.
    const ZEROS: [u8; 4096] = [0; 4096];
    while offset + (FRAME_HEADER as u64) <= bytes.len() as u64 {
        let at = offset as usize;
        if bytes.get(at..at + ZEROS.len()).is_some_and(|bytes| *bytes == ZEROS) {
            offset += ZEROS.len() as u64;
            continue;
        }
        if frame_at(bytes, seed, offset).is_some() {
            return Some(offset);
        }
        offset += ALIGN;
    }
    None
}

/// Finds the valid frames at the beginning of a segment's bytes and reads what is in them; the number of items. Never
/// panics: for fuzzing.
pub fn read_segment(bytes: &[u8]) -> usize {
    let Ok(header) = SegmentHeader::decode(bytes) else { return 0 };
    let (mut items, mut offset) = (0, FIRST_FRAME);
    while let Some((frame, mut payload)) = frame_at(bytes, header.seed(), offset) {
        while let Ok((_, length)) = Item::decode(payload) {
            items += 1;
            payload = payload.get(length..).unwrap_or_default();
        }
        offset += frame.span();
    }
    items
}

fn damaged(disk: &Arc<dyn Disk>, segment: &Segment, offset: u64, what: String) -> LogError {
    LogError::Damaged { file: disk.describe(&segment.name()), offset, what }
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
    chain: u32,
}

impl Replay {
    fn frame(
        &mut self,
        segment: &Segment,
        offset: u64,
        first: bool,
        payload: &[u8],
        last: &mut Option<u64>,
    ) -> Result<(), (u64, ItemFault)> {
        let sequence = segment.header.sequence;
        let mut at = 0;
        while at < payload.len() {
            let place = offset + (FRAME_HEADER + at) as u64;
            let (item, length) = Item::decode(&payload[at..]).map_err(|fault| (place, fault))?;
            if first && at == 0 && sequence > 1 && !matches!(item, Item::Start(_)) {
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
            Item::Start(start) => self.start(start)?,
            Item::Entry(entry) => {
                self.state.append(entry, Some(place)).map_err(|error| error.to_string())?;
            }
            Item::Vote(vote) => self.state.vote = Some(vote),
            Item::Truncate(last) => self.state.truncate_after(last),
            Item::Purge(upto) => self.state.purge(upto),
            Item::Committed(upto) => self.state.committed = Some(upto),
        }
        Ok(())
    }

    fn start(&mut self, start: Start) -> Result<(), String> {
        if self.seen() && start.chain != self.chain {
            return Err("the end of the segment before is missing".into());
        }
        self.state.vote = start.vote;
        self.state.committed = start.committed;
        if let Some(purged) = start.purged {
            self.state.purge(purged);
        }
        Ok(())
    }

    /// True once anything was read.
    fn seen(&self) -> bool {
        self.chain != 0 || self.state.last().is_some() || self.state.vote.is_some()
    }

    fn written(&self) -> Start {
        Start { chain: 0, vote: self.state.vote, purged: self.state.purged, committed: self.state.committed }
    }

    /// Entries are purged from the beginning only; if the first one left does not follow what was purged, files are
    /// missing.
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
