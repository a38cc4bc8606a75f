//! The way between members: QUIC on the peer port, always with TLS on both sides.
//!
//! - [`transport`] is the seam: [`Transport`] goes out, [`Service`] answers what comes in. Tests and simulations put a
//!   network of their own in its place.
//! - [`Quic`] is the real one (`quic`, `options`): it owns the sockets (`sockets`, `datagrams`), the thread
//!   `kvd-peer`, and one record a member (`registry`, `status`)
//! - going out: `link` keeps the one connection to a member (`dial`, `address`, `names`), `lane` puts requests on its streams,
//!   `snapshot` sends snapshots, `ask` asks one question before a member has an identity
//! - coming in: `accept` lets callers in or refuses them, `serve` answers their lanes, `snapshot` takes snapshots
//! - on the wire: `greeting`, `frames`, `clock` (how far clocks differ), `tuning` (every limit and time), `journal`
//!   (what is logged of refusals)
//!
//! ## The wire
//!
//! ALPN `kvd/1`. One connection a pair and direction; the one who dials opens all streams, each two-way, and says with
//! its first byte what it is for:
//!
//! | byte | stream | frames there | frames back |
//! |---|---|---|---|
//! | 0 | greeting, the first one | [`greeting::Greeting`], then clock probes | [`greeting::Reply`], then echoes |
//! | 1, 2, 3, 6 | the lanes control, append, forward, desk; one each | requests, each behind its number | answers as they are ready, behind the number of their request |
//! | 4 | a snapshot | the request, the body in pieces, an empty frame, the body's length | one answer |
//! | 5 | a question | one | one answer |
//!
//! A frame is its length (four bytes, little-endian) and so many bytes; a number is four bytes, too. An answer begins with 0
//! and is what was asked for, or with 1 and is a [`Rejection`] in postcard. On a lane, a frame that begins with 2 is a part
//! of an answer whose next part follows at once. A connection that is refused ends with a close code
//! ([`Rejection::code`]) and its reason as text.
//!
//! Rules: quinn stays in this room. Nothing a peer sends makes this side panic or keep more than `tuning` allows. No
//! stream a message; what is sent takes its place when the call is made. A call that fails says whether it can have
//! arrived.

mod accept;
mod address;
mod ask;
mod clock;
mod datagrams;
mod dial;
mod frames;
mod greeting;
mod journal;
mod lane;
mod link;
mod names;
mod options;
mod quic;
mod registry;
mod serve;
mod snapshot;
mod sockets;
mod status;
mod transport;
mod tuning;

#[cfg(test)]
mod tests;

pub use ask::AskError;
pub use names::{Names, Resolver};
pub use options::Options;
pub use quic::Quic;
pub use status::{PeerStatus, RoundTrips, Transfers};
pub use transport::{
    Caller, Lane, MAX_MESSAGE, NoTransport, Pending, Pieces, Rejection, Service, Transport, TransportError,
};
