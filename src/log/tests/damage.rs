//! Opening a log whose disk tore the last write, or damaged its contents.

use std::ops::Range;

use super::super::format::{FRAME_HEADER, SegmentHeader};
use super::super::frames::frame_at;
use super::*;

/// Bytes of a segment's header that are in use.
const SEGMENT_HEADER: usize = 44;

fn small() -> Options {
    Options { segment_bytes: 8 << 10, first_segment_bytes: 8 << 10, ..options(Mode::Inline) }
}

fn open(disk: &SimDisk) -> Result<Log, LogError> {
    Log::open(Arc::new(disk.clone()), small())
}

/// The acknowledged state.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    entries: Vec<Entry>,
    purged: Option<LogPosition>,
    vote: Option<Vote>,
}

fn held(log: &Log) -> Held {
    Held { entries: all(log), purged: log.bounds().purged, vote: log.vote() }
}

/// A log over several segments, most of them reused, whose process was killed; and the state it must hold.
fn several_segments(recycled: bool) -> (SimDisk, Log, Held) {
    let (disk, _) = sim(3);
    let log = open(&disk).unwrap();
    vote(&log, Vote { term: 4, voted_for: 2, committed: true }).unwrap();
    let rounds = if recycled { 160 } else { 70 };
    for index in 0..rounds {
        append(&log, vec![entry(4, index, 100 + index as usize * 37 % 100)]).unwrap();
        if recycled && (index == 90 || index == 125) {
            purge(&log, at(4, index - 15)).unwrap();
        }
    }
    vote(&log, Vote { term: 5, voted_for: 3, committed: false }).unwrap();
    append(&log, vec![entry(5, rounds, 40)]).unwrap();
    let held = held(&log);
    (disk, log, held)
}

fn segments(disk: &SimDisk) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|name| name.ends_with(".seg")).collect()
}

fn bytes(disk: &SimDisk, name: &str) -> Vec<u8> {
    disk.with_file(name, |bytes| bytes.clone()).unwrap()
}

/// Offsets of the frames of a segment, and the end of the last one. All of them are complete.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let header = SegmentHeader::decode(bytes).unwrap();
    let mut places = vec![FIRST_FRAME as usize];
    let next = |at: usize| frame_at(bytes, header.seed(), at as u64);
    while let Some((frame, _)) = next(*places.last().unwrap()) {
        places.push(places.last().unwrap() + frame.span() as usize);
    }
    places
}

/// The last frame, and the seal behind it.
fn last_frame(bytes: &[u8]) -> Range<usize> {
    let frames = frames(bytes);
    frames[frames.len().saturating_sub(2)]..frames[frames.len() - 1] + FRAME_HEADER
}

/// All bits of a segment's header, its first frame and its last one, and a sample of the rest.
fn bits(bytes: &[u8]) -> Vec<usize> {
    let frames = frames(bytes);
    let first = frames[0]..*frames.get(1).unwrap_or(&frames[0]);
    let sample = (0..bytes.len()).step_by(31).map(|byte| byte * 8 + byte % 8);
    let whole =
        (0..SEGMENT_HEADER).chain(first).chain(last_frame(bytes)).flat_map(|byte| byte * 8..byte * 8 + 8);
    whole.chain(sample).filter(|bit| bit / 8 < bytes.len()).collect()
}

/// Flips bit after bit. `fewer` says whether the log may hold that instead of everything.
fn flip_all(
    disk: &SimDisk,
    names: &[String],
    expected: &Held,
    fewer: impl Fn(&str, usize, &Held) -> bool,
) -> [usize; 2] {
    let mut outcomes = [0; 2];
    for name in names {
        // A log that is refused is not changed by opening it.
        let mut spoiled = disk.after_kill();
        for bit in bits(&bytes(disk, name)) {
            let flip = |bytes: &mut Vec<u8>| bytes[bit / 8] ^= 1 << (bit % 8);
            spoiled.with_file(name, flip).unwrap();
            match open(&spoiled) {
                Ok(log) => {
                    let found = held(&log);
                    assert!(
                        found == *expected || fewer(name, bit, &found),
                        "bit {bit} of {name}: {:?}",
                        log.bounds()
                    );
                    outcomes[0] += 1;
                    drop(log);
                    spoiled = disk.after_kill();
                }
                Err(LogError::Damaged { file, offset, .. }) => {
                    // The error names the offset of the header or the frame that holds the bit.
                    assert_eq!(file, format!("sim:{name}"), "bit {bit}");
                    assert!(offset <= bit as u64 / 8, "bit {bit} of {name}: {offset}");
                    outcomes[1] += 1;
                    spoiled.with_file(name, flip).unwrap();
                }
                Err(other) => panic!("bit {bit} of {name}: {other}"),
            }
        }
    }
    outcomes
}

#[test]
fn no_flipped_bit_costs_an_acknowledged_entry() {
    let (disk, log, expected) = several_segments(true);
    let killed = disk.after_kill();
    let names = segments(&killed);
    assert!(names.len() > 2);
    let newest = names.last().unwrap();
    let end = last_frame(&bytes(&killed, newest)).end;
    assert!(bytes(&killed, newest)[end..].iter().any(|byte| *byte != 0), "a segment that was used before");
    let [whole, refused] = flip_all(&killed, &names, &expected, |_, _, _| false);
    assert!(whole > 200 && refused > 3000, "{whole} {refused}");
    log.close();
    // After the log was quiet, the same holds after a power failure.
    flip_all(&disk.after_power_failure(), &names[names.len() - 1..], &expected, |_, _, _| false);
}

/// If power fails before the last seal is on disk, damage to the last frame cannot be told apart from a torn write.
/// Only the last group is lost, and only by damage to its own frame.
#[test]
fn damage_to_a_last_frame_without_a_seal_costs_that_frame_only() {
    let (disk, _log, expected) = several_segments(true);
    let disk = disk.after_kill();
    let name = segments(&disk).pop().unwrap();
    let last = last_frame(&bytes(&disk, &name));
    disk.with_file(&name, |bytes| bytes[last.end - FRAME_HEADER..last.end].fill(0)).unwrap();
    let mut without = expected.clone();
    without.entries.pop();
    let fewer = |_: &str, bit: usize, found: &Held| last.contains(&(bit / 8)) && *found == without;
    flip_all(&disk, &[name], &expected, fewer);
}

/// The log accepts writes after the recovered state.
fn goes_on(disk: &SimDisk, log: Log, mut expected: Held) {
    for size in [5, 1500, 3000] {
        let next = log.bounds().next;
        let new = entry(6, next, size);
        append(&log, vec![new.clone()]).unwrap();
        expected.entries.push(new);
    }
    drop(log);
    for disk in [disk.after_kill(), disk.after_power_failure()] {
        assert_eq!(held(&open(&disk).unwrap()), expected);
    }
}

/// The last write, which may begin a segment, is cut at every byte, and any of its sectors are left out.
#[test]
fn a_torn_write_is_cut_wherever_it_is_torn() {
    for (recycled, size) in [(false, 150), (true, 150), (true, 3500)] {
        let (disk, log, before) = several_segments(recycled);
        let older = disk.after_kill();
        append(&log, vec![entry(5, before.entries.last().unwrap().position.index + 1, size)]).unwrap();
        let after = held(&log);
        let disk = disk.after_kill();
        let name = segments(&disk).pop().unwrap();
        let whole = bytes(&disk, &name);
        let places = frames(&whole);
        let [from, to] = [places[places.len() - 2], places[places.len() - 1]];
        assert!(size < 3500 || from == FIRST_FRAME as usize, "the large one begins a segment");
        let old = old_bytes(&older, &name, &whole, to + FRAME_HEADER);
        let tear = |kept: &dyn Fn(usize) -> bool| {
            let torn = disk.after_kill();
            let write = |bytes: &mut Vec<u8>| {
                bytes[to..to + FRAME_HEADER].copy_from_slice(&old[to..to + FRAME_HEADER]);
                for at in (from..to).filter(|at| !kept(*at)) {
                    bytes[at] = old[at];
                }
            };
            torn.with_file(&name, write).unwrap();
            let complete = frames(&bytes(&torn, &name)).iter().rev().skip(1).any(|frame| *frame == from);
            let log = open(&torn).unwrap_or_else(|error| panic!("refused: {error}"));
            let found = held(&log);
            assert_eq!(found, if complete { after.clone() } else { before.clone() });
            (torn, log, found)
        };
        for cut in from..=to {
            let (torn, log, found) = tear(&|at| at < cut);
            if cut % 37 == 0 {
                goes_on(&torn, log, found);
            }
        }
        let random = Numbers(Mutex::new(11));
        for _ in 0..60 {
            let pattern = random.next();
            let (torn, log, found) = tear(&|at| pattern >> ((at / 512) % 32) & 1 == 0);
            goes_on(&torn, log, found);
        }
    }
}

/// The contents of a segment's file before the last write. If that write began the segment, the file was a spare one,
/// or is new.
fn old_bytes(older: &SimDisk, name: &str, whole: &[u8], end: usize) -> Vec<u8> {
    if let Some(old) = older.with_file(name, |bytes| bytes.clone()) {
        return old;
    }
    let names = older.list().unwrap();
    let spares = names.iter().filter(|name| name.ends_with(".old")).map(|name| bytes(older, name));
    spares.into_iter().find(|old| old[end..] == whole[end..]).unwrap_or_else(|| vec![0; whole.len()])
}

#[test]
fn files_that_lost_their_end_or_changed_places_are_refused() {
    let (disk, _log, _) = several_segments(false);
    let names = segments(&disk);
    let refusal = |spoil: &dyn Fn(&SimDisk)| {
        let copy = disk.after_kill();
        spoil(&copy);
        open(&copy).map(|_| ()).unwrap_err().to_string()
    };
    let last = names.last().unwrap().clone();
    let cut = refusal(&|disk| disk.with_file(&last, |bytes| bytes.truncate(5000)).unwrap());
    assert!(cut.contains(&format!("{last}: damaged at offset 5000: the file ends here")), "{cut}");
    let swapped = refusal(&|disk| {
        disk.rename(&names[0], "kept").unwrap();
        disk.rename(&names[1], &names[0]).unwrap();
        disk.rename("kept", &names[1]).unwrap();
    });
    assert!(swapped.contains("the file says it is segment 0000000000000002.seg"), "{swapped}");
    let emptied = refusal(&|disk| disk.with_file(&names[1], |bytes| bytes[4096..].fill(0)).unwrap());
    assert!(emptied.contains("what follows it is in 0000000000000003.seg at 4096"), "{emptied}");
}

/// A flush that fails drops its data, although they can be read as before. A restarted process must not rely on them.
#[test]
fn what_a_failed_flush_left_in_memory_is_written_again() {
    for seed in 0..60 {
        let disk = SimDisk::new(seed);
        let log = open(&disk).unwrap();
        append(&log, (0..3).map(|index| entry(1, index, 700)).collect()).unwrap();
        disk.fail_flush();
        assert!(append(&log, vec![entry(1, 3, 900)]).is_err());
        drop(log);
        let disk = disk.after_kill();
        let log = open(&disk).unwrap();
        let counted = all(&log);
        assert!(counted.len() >= 3);
        let again = disk.after_power_failure();
        assert_eq!(all(&open(&again).unwrap()), counted, "seed {seed}: what was counted is on disk");
        append(&log, vec![entry(1, counted.len() as u64, 10)]).unwrap();
        let expected = all(&log);
        drop(log);
        let after = open(&disk.after_power_failure()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(all(&after), expected, "seed {seed}");
    }
}

#[test]
fn a_frame_and_its_seal_end_where_the_segment_does() {
    let (disk, _) = sim(1);
    let log = open(&disk).unwrap();
    let room = (8 << 10) - FIRST_FRAME as usize;
    for size in (room - 260..room + 40).step_by(3) {
        let next = log.bounds().next;
        append(&log, vec![entry(1, next, size)]).unwrap();
    }
    let expected = held(&log);
    assert_eq!(held(&open(&disk.after_kill()).unwrap()), expected);
}
