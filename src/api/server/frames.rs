//! Reads a client's HTTP/2 frames where the library has no option for it: to limit how often the client pings (see
//! `pings`), how many control frames it sends (see `floods`) and how many requests at a time, and to replace invalid
//! authorities (see `authority`).
//! All other bytes pass unchanged, and so do connections that are not HTTP/2.

use std::time::Instant;

use super::authority::{Block, Headers};
use super::floods::Floods;
use super::pings::Policy;

/// The first bytes of an HTTP/2 client (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's header: length, type, flags, stream (RFC 9113 section 4.1).
pub(super) const FRAME_HEADER: usize = 9;
/// The largest frame that the library accepts; it refuses longer ones by their header.
pub(super) const MAX_FRAME: usize = 16_384;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
/// So many requests pass at a time. The library keeps the room for all requests and answers that it has ever had between
/// two turns of a connection, so a client that sends hundreds at once would cost it for as long as it stays.
const REQUESTS_IN_TURN: u32 = 16;
/// So many as long as none has ended: a client that opens very many streams for ever costs less, and everybody else's
/// requests come between its own.
const FIRST_IN_TURN: u32 = 3;
/// `ENHANCE_YOUR_CALM`.
const CALM: u32 = 0xb;

/// Why a client's bytes are no longer read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expulsion {
    /// It pings too often.
    Pings,
    /// It sends frames that bring nothing.
    ControlFrames,
}

impl Expulsion {
    /// What the client receives; gRPC clients expect this text for pings.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Pings => "too_many_pings",
            Self::ControlFrames => "too_many_control_frames",
        }
    }

    /// What the log says.
    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::Pings => "pings more often than grpc-keepalive-min-time allows",
            Self::ControlFrames => {
                "settings, priorities, window updates or requests taken back at once, without end"
            }
        }
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHeader {
    /// Bytes of payload.
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl FrameHeader {
    /// The header at the start of `bytes`, if it is complete.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes.first_chunk::<FRAME_HEADER>()?;
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        })
    }
}

/// Follows the frames that a client sends.
pub(super) struct Frames {
    place: Place,
    policy: Option<Policy>,
    floods: Floods,
    headers: Headers,
    last_stream: u32,
    expelled: Option<Expulsion>,
    /// The beginning of a frame that must be complete before any of it may pass, or whatever comes after a full turn.
    held: Vec<u8>,
    /// Requests that have passed in this turn.
    in_turn: u32,
    /// The most of them.
    most_in_turn: u32,
    /// The first streams that this turn and the one before it may open.
    turns: (u32, u32),
    /// Streams that were opened and not reset, as far as each is reset once.
    unreset: u32,
}

/// The position within the client's bytes.
enum Place {
    /// Inside the preface, after this many bytes.
    Preface(usize),
    /// Before a frame's header.
    Between,
    /// In a frame's payload, this many bytes before its end.
    Inside(usize),
    /// Unknown: this is not HTTP/2.
    Opaque,
}

/// What to do with the rest of bytes of which a part has passed.
enum Then {
    /// The rest may pass.
    Done,
    /// Hold the rest until there is more.
    Hold,
    /// Replace the next frames, of this length, by these bytes.
    Replace(usize, Vec<u8>),
}

impl Frames {
    /// For a new connection. Without a policy pings are not counted.
    pub(super) fn new(policy: Option<Policy>, floods: Floods) -> Self {
        Self {
            place: Place::Preface(0),
            policy,
            floods,
            headers: Headers::default(),
            last_stream: 0,
            expelled: None,
            held: Vec::new(),
            in_turn: 0,
            most_in_turn: FIRST_IN_TURN,
            turns: (1, 1),
            unreset: 0,
        }
    }

    /// True if no more may pass in this turn.
    pub(super) fn is_full_turn(&self) -> bool {
        self.in_turn >= self.most_in_turn && !self.held.is_empty()
    }

    /// Another turn has begun: what was held because the last one was full is added to `changed`, as far as it may pass.
    pub(super) fn next_turn(&mut self, changed: &mut Vec<u8>) {
        let was_full = self.is_full_turn();
        self.in_turn = 0;
        let has_ended_one = self.floods.activity().has_ended_one();
        self.most_in_turn = if has_ended_one { REQUESTS_IN_TURN } else { FIRST_IN_TURN };
        self.turns = (self.last_stream + 1, self.turns.0);
        if was_full {
            self.sort_held(changed);
        }
    }

    /// True after the client's first bytes were those of HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self.place, Place::Between | Place::Inside(_))
    }

    /// True once it is known which protocol the client speaks.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.place, Place::Preface(_))
    }

    /// Why the client's bytes are no longer read, if that is so.
    pub(super) fn expelled(&self) -> Option<Expulsion> {
        self.expelled
    }

    /// The frame that tells the client why.
    pub(super) fn farewell(&self, expulsion: Expulsion) -> Vec<u8> {
        let text = expulsion.text().as_bytes();
        let mut frame = vec![0, 0, 8 + text.len() as u8, GOAWAY, 0, 0, 0, 0, 0];
        frame.extend_from_slice(&self.last_stream.to_be_bytes());
        frame.extend_from_slice(&CALM.to_be_bytes());
        frame.extend_from_slice(text);
        frame
    }

    /// Takes bytes that have arrived. Returns how many of them may pass unchanged; the rest is taken over, and its part
    /// that may pass after them is added to `changed`.
    pub(super) fn arrived(&mut self, bytes: &[u8], changed: &mut Vec<u8>) -> usize {
        if self.held.is_empty() {
            let (passed, then) = self.look(bytes);
            match then {
                Then::Done => return bytes.len(),
                Then::Hold => self.held.extend_from_slice(&bytes[passed..]),
                Then::Replace(frame, with) => {
                    changed.extend_from_slice(&with);
                    self.held.extend_from_slice(&bytes[passed + frame..]);
                    self.sort_held(changed);
                }
            }
            return passed;
        }
        self.held.extend_from_slice(bytes);
        self.sort_held(changed);
        0
    }

    /// The held bytes, when the client has ended: they pass unchanged.
    pub(super) fn ended(&mut self, changed: &mut Vec<u8>) {
        changed.append(&mut self.held);
        self.place = Place::Opaque;
    }

    fn sort_held(&mut self, changed: &mut Vec<u8>) {
        let mut held = std::mem::take(&mut self.held);
        loop {
            let (passed, then) = self.look(&held);
            changed.extend_from_slice(&held[..passed]);
            let out = match then {
                Then::Done => return,
                Then::Hold => {
                    held.drain(..passed);
                    self.held = held;
                    return;
                }
                Then::Replace(frame, with) => {
                    changed.extend_from_slice(&with);
                    passed + frame
                }
            };
            held.drain(..out);
        }
    }

    /// Goes through the bytes as far as they may pass.
    fn look(&mut self, bytes: &[u8]) -> (usize, Then) {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            if rest.is_empty() {
                return (at, Then::Done);
            }
            match self.place {
                Place::Opaque => return (bytes.len(), Then::Done),
                Place::Preface(seen) => {
                    let expected = &PREFACE[seen..];
                    let count = rest.len().min(expected.len());
                    if rest[..count] != expected[..count] {
                        self.place = Place::Opaque;
                        continue;
                    }
                    at += count;
                    let whole = count == expected.len();
                    self.place = if whole { Place::Between } else { Place::Preface(seen + count) };
                }
                Place::Inside(left) => {
                    let count = left.min(rest.len());
                    at += count;
                    self.place = if count == left { Place::Between } else { Place::Inside(left - count) };
                }
                Place::Between => {
                    let Some(header) = FrameHeader::read(rest) else { return (at, Then::Hold) };
                    if header.kind == HEADERS {
                        if self.in_turn >= self.most_in_turn {
                            return (at, Then::Hold);
                        }
                        let block = self.headers.take(rest);
                        if matches!(block, Block::Partial) {
                            return (at, Then::Hold);
                        }
                        self.in_turn += 1;
                        if header.stream > self.last_stream {
                            self.last_stream = header.stream;
                            self.unreset = self.unreset.saturating_add(1);
                        }
                        match block {
                            Block::Whole(length, Some(with)) => return (at, Then::Replace(length, with)),
                            Block::Whole(length, None) => {
                                at += length;
                                continue;
                            }
                            Block::Partial | Block::None => {}
                        }
                    }
                    self.count(header);
                    at += FRAME_HEADER;
                    self.place = Place::Inside(header.length);
                }
            }
        }
    }

    fn count(&mut self, header: FrameHeader) {
        match header.kind {
            PING if header.flags & ACK == 0 && self.policy.is_some() => {
                if self.policy.as_mut().is_some_and(|policy| policy.is_exceeded_by_ping(Instant::now())) {
                    self.expelled.get_or_insert(Expulsion::Pings);
                }
            }
            // The library limits what belongs to headers. It also counts the requests that are taken back before it has
            // seen them, but never sees more than those of one turn.
            RST_STREAM if header.stream < self.turns.1 && self.unreset > 0 => self.unreset -= 1,
            HEADERS | PUSH_PROMISE | CONTINUATION => {}
            DATA if header.length > 0 || header.flags & END_STREAM != 0 => {}
            _ => {
                if self.floods.is_exceeded_by_frame(Instant::now) {
                    self.expelled.get_or_insert(Expulsion::ControlFrames);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::pings::{Activity, Open};
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream];
        frame.extend_from_slice(payload);
        frame
    }

    /// Two header blocks with the authority: first in full, then as a reference to the table.
    fn conversation(authority: &[u8], again: &[u8]) -> Vec<u8> {
        [
            PREFACE.to_vec(),
            frame(4, 0, 0, &[]),
            frame(HEADERS, 4, 1, &[b"\x83", authority].concat()),
            frame(0, 1, 1, b"message"),
            frame(PING, ACK, 0, &[0; 8]),
            frame(HEADERS, 4, 3, &[b"\x83", again].concat()),
            frame(0, 1, 3, &[]),
        ]
        .concat()
    }

    /// The bytes that pass, if they arrive in these pieces.
    fn through(pieces: &[&[u8]]) -> Vec<u8> {
        let mut frames = Frames::new(None, Floods::new(Arc::default()));
        let mut out = Vec::new();
        for piece in pieces {
            let mut changed = Vec::new();
            let passed = frames.arrived(piece, &mut changed);
            out.extend_from_slice(&piece[..passed]);
            out.append(&mut changed);
        }
        frames.ended(&mut out);
        out
    }

    #[test]
    fn however_the_bytes_are_cut_the_same_comes_through() {
        let given = conversation(b"\x41\x0bhttp://a:24", b"\xbe");
        let expected = conversation(b"\x01\x04a:24", b"\x01\x04a:24");
        assert_eq!(through(&[&given]), expected);
        for size in 1..given.len() {
            let pieces: Vec<&[u8]> = given.chunks(size).collect();
            assert_eq!(through(&pieces), expected, "in pieces of {size}");
        }
        for at in 0..given.len() {
            let (one, two) = given.split_at(at);
            assert_eq!(through(&[one, two]), expected, "cut at {at}");
        }
    }

    #[test]
    fn what_needs_no_change_passes_at_once() {
        let given = conversation(b"\x41\x04a:24", b"\xbe");
        let mut frames = Frames::new(None, Floods::new(Arc::default()));
        let mut changed = Vec::new();
        assert_eq!(frames.arrived(&given, &mut changed), given.len());
        assert!(changed.is_empty());
        let http1 = b"GET / HTTP/1.1\r\nhost: http://a\r\n\r\n";
        assert_eq!(through(&[http1]), http1);
        assert_eq!(through(&[&http1[..1], &http1[1..]]), http1);
    }

    #[test]
    fn a_frame_that_is_too_long_is_not_held() {
        let long = [PREFACE, &[1, 0, 0, HEADERS, 0, 0, 0, 0, 1, 7, 7]].concat();
        let mut frames = Frames::new(None, Floods::new(Arc::default()));
        assert_eq!(frames.arrived(&long, &mut Vec::new()), long.len());
    }

    /// Asserts that all requests pass in three turns of so many, and one more.
    fn pass_by_turns(frames: &mut Frames, most: u32) {
        let request = [frame(HEADERS, 4, 1, b"\x83"), frame(DATA, END_STREAM, 1, b"x")].concat();
        let all = request.repeat(3 * most as usize + 1);
        let mut out = Vec::new();
        let passed = frames.arrived(&all, &mut out);
        out.extend_from_slice(&all[..passed]);
        for turn in 1..=3 {
            assert!(frames.is_full_turn());
            assert_eq!(out.len(), turn * most as usize * request.len());
            frames.next_turn(&mut out);
        }
        assert!(!frames.is_full_turn());
        assert_eq!(out, all);
    }

    #[test]
    fn so_many_requests_pass_in_one_turn() {
        let activity = Arc::<Activity>::default();
        let mut frames = Frames::new(None, Floods::new(activity.clone()));
        frames.arrived(PREFACE, &mut Vec::new());
        let open = Open::new(&activity);
        pass_by_turns(&mut frames, FIRST_IN_TURN);
        drop(open);
        frames.next_turn(&mut Vec::new());
        pass_by_turns(&mut frames, REQUESTS_IN_TURN);
    }

    #[test]
    fn what_waits_for_a_turn_passes_in_the_next_one_if_a_stream_ends_meanwhile() {
        let activity = Arc::<Activity>::default();
        let mut frames = Frames::new(None, Floods::new(activity.clone()));
        frames.arrived(PREFACE, &mut Vec::new());
        let request = frame(HEADERS, 4, 1, b"\x83");
        let all = request.repeat(FIRST_IN_TURN as usize + 1);
        assert_eq!(frames.arrived(&all, &mut Vec::new()), all.len() - request.len());
        drop(Open::new(&activity));
        assert!(frames.is_full_turn());
        let mut out = Vec::new();
        frames.next_turn(&mut out);
        assert_eq!(out, request);
    }

    #[test]
    fn requests_that_are_taken_back_at_once_count_and_later_ones_do_not() {
        let request = |stream: u8| frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x83");
        let back = |stream: u8| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        for (turns, is_expelled) in [(0, true), (1, true), (2, false)] {
            let mut frames = Frames::new(None, Floods::new(Arc::default()));
            frames.arrived(PREFACE, &mut Vec::new());
            frames.arrived(&request(7), &mut Vec::new());
            (0..turns).for_each(|_| frames.next_turn(&mut Vec::new()));
            frames.arrived(&back(7), &mut Vec::new());
            frames.arrived(&frame(8, 0, 0, &[0, 0, 0, 1]).repeat(200), &mut Vec::new());
            let expelled = is_expelled.then_some(Expulsion::ControlFrames);
            assert_eq!(frames.expelled(), expelled, "after {turns} turns");
        }
    }

    #[test]
    fn a_stream_can_be_reset_once() {
        let request = |stream: u8| frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x83");
        let back = |stream: u8| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        let mut frames = Frames::new(None, Floods::new(Arc::default()));
        frames.arrived(PREFACE, &mut Vec::new());
        for stream in (1..=99).step_by(2) {
            frames.arrived(&request(stream), &mut Vec::new());
            frames.next_turn(&mut Vec::new());
        }
        frames.next_turn(&mut Vec::new());
        (1..=99).step_by(2).for_each(|stream| _ = frames.arrived(&back(stream), &mut Vec::new()));
        frames.arrived(&back(1).repeat(200), &mut Vec::new());
        assert_eq!(frames.expelled(), None, "the first ones are free");
        frames.arrived(&back(1).repeat(2000), &mut Vec::new());
        assert_eq!(frames.expelled(), Some(Expulsion::ControlFrames));
    }

    #[test]
    fn a_flood_of_control_frames_ends_and_requests_do_not_count() {
        let (settings, priority, update) =
            (frame(4, 0, 0, &[]), frame(2, 0, 1, &[0; 5]), frame(8, 0, 0, &[0, 0, 0, 1]));
        let empty = frame(DATA, 0, 1, &[]);
        let goaway = frame(GOAWAY, 0, 0, &[0; 8]);
        for flood in [settings, priority, update, empty, goaway, frame(0xee, 0, 0, &[])] {
            let mut frames = Frames::new(None, Floods::new(Arc::default()));
            frames.arrived(PREFACE, &mut Vec::new());
            frames.arrived(&flood.repeat(200), &mut Vec::new());
            frames.arrived(&frame(DATA, END_STREAM, 1, b"x").repeat(5000), &mut Vec::new());
            assert_eq!(frames.expelled(), None);
            // A second may pass in between, but not several.
            frames.arrived(&flood.repeat(5000), &mut Vec::new());
            assert_eq!(frames.expelled(), Some(Expulsion::ControlFrames));
            assert!(frames.farewell(Expulsion::ControlFrames).ends_with(b"too_many_control_frames"));
        }
    }

    #[test]
    fn it_is_known_what_a_client_speaks_when_its_first_bytes_are_whole() {
        let mut frames = Frames::new(None, Floods::new(Arc::default()));
        frames.arrived(&PREFACE[..1], &mut Vec::new());
        assert!(!frames.has_begun());
        frames.arrived(&PREFACE[1..], &mut Vec::new());
        assert!(frames.has_begun());
        let mut frames = Frames::new(None, Floods::new(Arc::default()));
        frames.arrived(b"G", &mut Vec::new());
        assert!(frames.has_begun());
    }
}
