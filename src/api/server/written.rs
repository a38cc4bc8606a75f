//! Follows what the library writes to an HTTP/2 client, frame by frame: answers, which reset the count of pings (see
//! `pings`), and refusals, which are logged (see `complaints`). The library itself never reports why it resets a
//! stream.

use std::sync::Arc;

use super::complaints::Complaints;
use super::frames::{DATA, Expulsion, FRAME_HEADER, FrameHeader, GOAWAY, HEADERS, RST_STREAM};
use super::pings::Activity;
use crate::api::client::Peer;

/// Bytes of a refusal's payload that are read: the last stream and the code of a GOAWAY, and the beginning of its text.
const LOOKED_AT: usize = 8 + 64;

/// Codes that are not refusals: one side gave the stream up.
const NO_ERROR: u32 = 0;
const CANCEL: u32 = 8;

/// Follows the frames that are written to a client.
pub(super) struct Written {
    activity: Arc<Activity>,
    complaints: Arc<Complaints>,
    peer: Peer,
    /// The header of the present frame, as far as it has been written.
    head: Vec<u8>,
    /// The present frame, after its header is complete.
    frame: Option<FrameHeader>,
    /// Bytes of its payload that are still missing.
    left: usize,
    /// The part of its payload that is kept.
    payload: Vec<u8>,
}

impl Written {
    /// For a new connection.
    pub(super) fn new(activity: Arc<Activity>, complaints: Arc<Complaints>, peer: Peer) -> Self {
        Self { activity, complaints, peer, head: Vec::new(), frame: None, left: 0, payload: Vec::new() }
    }

    /// The client was expelled.
    pub(super) fn expelled(&self, expulsion: Expulsion) {
        self.complaints.ended(expulsion.text(), self.peer, expulsion.detail());
    }

    /// These bytes were written.
    pub(super) fn wrote(&mut self, mut bytes: &[u8]) {
        let mut answered = false;
        while !bytes.is_empty() {
            let Some(frame) = self.frame else {
                let count = bytes.len().min(FRAME_HEADER - self.head.len());
                self.head.extend_from_slice(&bytes[..count]);
                bytes = &bytes[count..];
                if let Some(frame) = FrameHeader::read(&self.head) {
                    self.head.clear();
                    answered |= matches!(frame.kind, DATA | HEADERS);
                    if frame.kind == DATA {
                        self.activity.sent_frame();
                    }
                    (self.frame, self.left) = (Some(frame), frame.length);
                    self.end_if_whole(frame);
                }
                continue;
            };
            let count = bytes.len().min(self.left);
            // Also the middle of a frame: on a slow link a frame takes long.
            answered |= matches!(frame.kind, DATA | HEADERS);
            if matches!(frame.kind, RST_STREAM | GOAWAY) {
                let kept = count.min(LOOKED_AT - self.payload.len());
                self.payload.extend_from_slice(&bytes[..kept]);
            }
            self.left -= count;
            bytes = &bytes[count..];
            self.end_if_whole(frame);
        }
        if answered {
            self.activity.answered();
        }
    }

    fn end_if_whole(&mut self, frame: FrameHeader) {
        if self.left > 0 {
            return;
        }
        self.frame = None;
        let payload = std::mem::take(&mut self.payload);
        let code = |at: usize| payload.get(at..)?.first_chunk().map(|code| u32::from_be_bytes(*code));
        match frame.kind {
            RST_STREAM => {
                if let Some(code) = code(0).filter(|code| !matches!(*code, NO_ERROR | CANCEL)) {
                    self.complaints.reset(name(code), self.peer, frame.stream);
                }
            }
            GOAWAY => {
                if let Some(code) = code(4).filter(|code| *code != NO_ERROR) {
                    let text = String::from_utf8_lossy(payload.get(8..).unwrap_or_default());
                    self.complaints.ended(name(code), self.peer, text);
                }
            }
            _ => {}
        }
    }
}

/// The names of error codes (RFC 9113 section 7).
fn name(code: u32) -> &'static str {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    usize::try_from(code).ok().and_then(|code| NAMES.get(code).copied()).unwrap_or("unknown code")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::pings::{Open, Policy};
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, 0, 0, 0, 0, 1]);
        frame.extend_from_slice(payload);
        frame
    }

    /// Which of the writes reset the count of pings.
    fn forgiving(pieces: &[&[u8]]) -> Vec<bool> {
        let activity = Arc::<Activity>::default();
        let _open = Open::new(&activity);
        let mut written = Written::new(activity.clone(), Arc::default(), Peer::Unknown);
        let now = Instant::now();
        let is_forgiving = |piece: &&[u8]| {
            let minute = std::time::Duration::from_secs(60);
            let mut policy = Policy::new(minute, activity.clone());
            // Three early pings: the next one is too many, unless something is written before it.
            (0..3).for_each(|_| assert!(!policy.is_exceeded_by_ping(now)));
            written.wrote(piece);
            !policy.is_exceeded_by_ping(now)
        };
        pieces.iter().map(is_forgiving).collect()
    }

    #[test]
    fn every_part_of_an_answer_forgives_and_nothing_else_does() {
        let settings = frame(4, &[0; 6]);
        let ack = frame(6, &[0; 8]);
        let data = frame(DATA, &[7; 100]);
        let (beginning, rest) = data.split_at(4);
        let (header, body) = rest.split_at(5);
        let (one, two) = body.split_at(50);
        let headers = frame(HEADERS, b"\x88");
        let both = [ack.as_slice(), &headers, &ack].concat();
        let empty = frame(DATA, &[]);
        let pieces: &[&[u8]] = &[&settings, &ack, beginning, header, one, two, &ack, &both, &ack, &empty];
        let expected = [false, false, false, true, true, true, false, true, false, true];
        assert_eq!(forgiving(pieces), expected);
    }

    #[test]
    fn however_the_bytes_are_cut_refusals_are_seen() {
        let reset = frame(RST_STREAM, &[0, 0, 0, 1]);
        let goaway = frame(GOAWAY, &[&[0, 0, 0, 3, 0, 0, 0, 0xb], [b'x'; 300].as_slice()].concat());
        let harmless = [frame(RST_STREAM, &[0, 0, 0, 8]), frame(GOAWAY, &[0; 8])].concat();
        let all = [frame(DATA, b"data"), harmless, reset, frame(6, &[0; 8]), goaway].concat();
        for size in 1..all.len() {
            let complaints = Arc::<Complaints>::default();
            let mut written = Written::new(Arc::default(), complaints.clone(), Peer::Unknown);
            all.chunks(size).for_each(|piece| written.wrote(piece));
            assert_eq!(complaints.reasons(), ["ENHANCE_YOUR_CALM", "PROTOCOL_ERROR"], "in pieces of {size}");
        }
    }
}
