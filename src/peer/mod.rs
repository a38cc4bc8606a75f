//! Communication between members: QUIC on the peer port, always with TLS on both sides.
//!
//! - [`transport`] is the interface: [`Transport`] sends, [`Service`] answers incoming requests. Tests and simulations
//!   use their own network in its place.
//! - [`Quic`] is the real implementation (`quic`, `options`) and owns the thread `kvd-peer`. The tasks there use
//!   `port`: the sockets (`sockets`, `datagrams`, `driver`, `tls`) and one record per member (`registry`, `link`, `status`);
//!   `deserted` asks a host whether a member's process has ended
//! - outgoing: `keep` maintains the one connection to a member (`dial`, `address`, `names`), `requests` sends requests
//!   on its streams, `snapshot` sends snapshots, `ask` asks one question before a member has an identity
//! - incoming: `accept` admits or refuses callers, `proof` distinguishes a member from a process on a copy of its data,
//!   `serve` answers their channels, `snapshot` receives snapshots
//! - on the wire: `greeting`, `frames`, `clock` (how far clocks differ), `tuning` (all limits and times), `journal`
//!   (log lines about refusals), `probe` (the decoders on any bytes, for fuzzing)
//!
//! ## The wire
//!
//! ALPN `kvd/1`. One connection per pair and direction. The dialling side opens all streams; each is bidirectional, and
//! its first byte says what it is for:
//!
//! | byte | stream | frames there | frames back |
//! |---|---|---|---|
//! | 0 | greeting, the first one | [`greeting::Greeting`], then clock probes | [`greeting::Reply`], then echoes |
//! | 1, 2, 3, 6 | the channels control, append, forward, service; one each | requests, each behind its number | answers as they are ready, behind the number of their request |
//! | 4 | a snapshot | the request, the body in pieces, an empty frame, the body's length | one answer |
//! | 5 | a question | one | one answer |
//!
//! A frame is its length (four bytes, little-endian) and that many bytes; a number is four bytes, too. An answer begins
//! with 0 and is the result, or with 1 and is a [`Rejection`] in postcard. On a channel, a frame that begins with 2 is
//! a part of an answer whose next part follows at once. A refused connection ends with a close code
//! ([`Rejection::code`]) and its reason as text. The greeting says who the caller is: member, cluster and its epoch,
//! the process, and how far its log has come. All that travels on a connection belongs to its greeting, so no frame
//! repeats any of it: whoever becomes another (a member in another life of the cluster, another process) does so by a
//! restart, and a restart makes new connections.
//!
//!
//! Rules: quinn stays in this room. Nothing that a peer sends makes this side panic or keep more than `tuning` allows.
//! There is no stream per message; a request gets its place in the queue when the call is made. A failed call says
//! whether the request may have arrived.

mod accept;
mod address;
mod ask;
mod clock;
mod datagrams;
mod deserted;
mod dial;
mod driver;
mod frames;
mod greeting;
mod journal;
mod keep;
mod link;
mod names;
mod options;
mod port;
mod probe;
mod proof;
mod quic;
mod registry;
mod requests;
mod serve;
mod snapshot;
mod sockets;
mod status;
mod tls;
mod transport;
mod tuning;

#[cfg(test)]
mod tests;

pub use ask::AskError;
pub use names::{Names, Resolver};
pub use options::Options;
pub use probe::probe;
pub use quic::Quic;
pub use status::{PeerStatus, RoundTrips, Transfers};
pub use transport::{
    Caller, Channel, MAX_MESSAGE, NoTransport, Pending, Pieces, Rejection, Service, Transport, TransportError,
};
