//! A client of servers that speak etcd's protocol, for whoever needs one: kvctl, and a member that is looking for its
//! cluster.
//!
//! | file | holds |
//! |---|---|
//! | `connection.rs` | a connection to one endpoint; its errors |
//! | `tls.rs` | the TLS of a connection |
//! | `keys.rs` | keys behind several endpoints, for whoever is not a client of gRPC otherwise |
//! | `srv.rs` | services by name: SRV records of DNS |
//!
//! Rules: the DNS library stays in this room. An error is a text that names something its reader can act on.

mod connection;
mod keys;
mod srv;
mod tls;

pub use connection::{Connection, DEADLINE, Pings, Reach, connect, fetch, page, text, unnamed};
pub use keys::{CallError, Entry, Keys, User};
pub use srv::{Host, LookupError, endpoints, hosts};
pub use tls::TlsFiles;
