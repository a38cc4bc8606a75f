//! The first messages on a connection: who talks to whom, and whether the caller is admitted.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::transport::Rejection;
use super::tuning::PROTOCOL;
use crate::model::{ClusterId, MemberId, Progress};

/// The purpose of a stream: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Greeting = 0,
    Control = 1,
    Append = 2,
    Forward = 3,
    Snapshot = 4,
    Question = 5,
    Service = 6,
}

impl Kind {
    pub(super) fn read(byte: u8) -> Option<Self> {
        let kinds = [
            Self::Greeting,
            Self::Control,
            Self::Append,
            Self::Forward,
            Self::Snapshot,
            Self::Question,
            Self::Service,
        ];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Reads the first byte of a stream.
    ///
    /// # Errors
    /// [`Rejection::Malformed`].
    pub(super) async fn of(recv: &mut quinn::RecvStream) -> Result<Self, Rejection> {
        let mut byte = [0];
        recv.read_exact(&mut byte).await.map_err(|error| Rejection::Malformed(error.to_string()))?;
        let [byte] = byte;
        Self::read(byte).ok_or_else(|| Rejection::Malformed(format!("a stream of the unknown kind {byte}")))
    }

    /// The priority among streams with data to send (quinn: higher first). A snapshot never delays a heartbeat.
    pub(super) fn priority(self) -> i32 {
        match self {
            Self::Greeting | Self::Control => 3,
            Self::Append => 2,
            Self::Forward | Self::Question | Self::Service => 1,
            Self::Snapshot => 0,
        }
    }
}

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// As a member.
    Member,
    /// To ask one question; it need not be a member.
    Ask,
}

/// The first message of the dialling side. The protocol's version stays the first field for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Greeting {
    pub protocol: u16,
    pub purpose: Purpose,
    /// Zero if it has none yet; likewise `from`.
    pub cluster: ClusterId,
    /// Which life of the cluster this is. All that travels on a connection belongs to its greeting, so no other frame says
    /// so again.
    pub epoch: u64,
    pub from: MemberId,
    /// The member it wants to reach; zero for any.
    pub to: MemberId,
    /// A number that differs for each run of a process.
    pub incarnation: u64,
    /// The end of its log.
    pub progress: Progress,
    /// What the called side has acknowledged to it.
    pub acknowledged: Option<Progress>,
    /// Its wall clock, ms since the epoch.
    pub clock_ms: i64,
    /// The version of its kvd.
    pub version: String,
}

/// The answer to a greeting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    Welcome(Welcome),
    Refused(Rejection),
}

/// The member that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Welcome {
    pub cluster: ClusterId,
    pub member: MemberId,
    /// Which run of a process it is.
    pub incarnation: u64,
    /// Its wall clock, ms since the epoch.
    pub clock_ms: i64,
    /// The version of its kvd.
    pub version: String,
}

/// Compares clocks, at intervals, on the stream of the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Probe {
    /// The dialling side's clock.
    pub clock_ms: i64,
    /// How far the other clock was ahead of it at the last measurement, and the round trip; both in ms.
    pub measured: Option<(i64, u32)>,
}

/// The other side's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Echo {
    pub clock_ms: i64,
}

impl Greeting {
    /// Parses a greeting.
    ///
    /// # Errors
    /// [`Rejection::Protocol`] and [`Rejection::Malformed`], to be sent to the caller.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Rejection> {
        let malformed = |error: postcard::Error| Rejection::Malformed(format!("greeting: {error}"));
        let (protocol, _) = postcard::take_from_bytes::<u16>(bytes).map_err(malformed)?;
        if protocol != PROTOCOL {
            return Err(Rejection::Protocol(format!("this member speaks {PROTOCOL}, not {protocol}")));
        }
        postcard::from_bytes(bytes).map_err(malformed)
    }
}

/// Closes a connection and sends the reason to the other side.
pub(super) fn close(connection: &quinn::Connection, reason: &Rejection) {
    connection.close(reason.code().into(), reason.to_string().as_bytes());
}

/// Encodes any message of this room.
pub(super) fn encode<T: Serialize>(message: &T) -> Bytes {
    // An empty frame is refused by the other side as malformed; no type here is known to cause one.
    postcard::to_stdvec(message).unwrap_or_default().into()
}

/// Decodes a message of this room.
///
/// # Errors
/// [`Rejection::Malformed`].
pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Rejection> {
    postcard::from_bytes(bytes).map_err(|error| Rejection::Malformed(error.to_string()))
}

/// The first byte of an answer.
pub(super) const ANSWERED: u8 = 0;
pub(super) const REJECTED: u8 = 1;
/// On channels: more frames of the same answer follow; the last one has the kind of the answer.
pub(super) const PART: u8 = 2;

/// The head and payload of an answer, for [`super::frames::FrameWriter::push`].
pub(super) fn answer(result: Result<Bytes, Rejection>) -> (u8, Bytes) {
    match result {
        Ok(bytes) => (ANSWERED, bytes),
        Err(rejection) => (REJECTED, encode(&rejection)),
    }
}

/// Splits an answer into its kind and payload.
pub(super) fn read_answer(mut frame: Bytes) -> Result<Bytes, Rejection> {
    if frame.is_empty() {
        return Err(Rejection::Malformed("an empty answer".into()));
    }
    match frame.split_to(1).first() {
        Some(&ANSWERED) => Ok(frame),
        Some(&REJECTED) => Err(decode::<Rejection>(&frame).unwrap_or_else(|unread| unread)),
        _ => Err(Rejection::Malformed("an answer of no known kind".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_and_answers_are_read_back_and_nothing_else() {
        let greeting = Greeting {
            protocol: PROTOCOL,
            purpose: Purpose::Member,
            cluster: ClusterId(7),
            epoch: 300,
            from: MemberId(8),
            to: MemberId(9),
            incarnation: 10,
            progress: Progress::default(),
            acknowledged: Some(Progress::default()),
            clock_ms: -5,
            version: "0.1.0".into(),
        };
        let bytes = encode(&greeting);
        assert_eq!(Greeting::read(&bytes), Ok(greeting.clone()));
        for cut in 0..bytes.len() {
            assert!(matches!(Greeting::read(&bytes[..cut]), Err(Rejection::Malformed(_))));
        }
        let other = encode(&Greeting { protocol: 1, ..greeting });
        let text = Greeting::read(&other).expect_err("another version").to_string();
        assert_eq!(text, "protocol version mismatch: this member speaks 3, not 1");

        let rejection = Rejection::OtherCluster { here: ClusterId(1), there: ClusterId(2) };
        for result in [Ok(Bytes::from_static(b"fine")), Ok(Bytes::new()), Err(rejection)] {
            let (head, payload) = answer(result.clone());
            assert_eq!(read_answer([&[head][..], &payload].concat().into()), result);
        }
        for garbage in [&b""[..], b"\x01", b"\x01\xff", b"\x02abc"] {
            let read = read_answer(Bytes::copy_from_slice(garbage));
            assert!(matches!(read, Err(Rejection::Malformed(_))), "{garbage:?}");
        }
    }

    #[test]
    fn every_kind_of_stream_has_its_own_byte() {
        let known: Vec<u8> = (0..=u8::MAX).filter(|byte| Kind::read(*byte).is_some()).collect();
        assert_eq!(known, [0, 1, 2, 3, 4, 5, 6]);
        assert!(Kind::Control.priority() > Kind::Append.priority());
        assert!(Kind::Append.priority() > Kind::Forward.priority());
        assert!(Kind::Forward.priority() > Kind::Snapshot.priority());
    }
}
