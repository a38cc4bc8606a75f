//! The way between members.
//!
//! - [`transport`] is the seam: [`Transport`] goes out, [`Service`] answers what comes in. Tests and simulations put a
//!   network of their own in its place.

mod transport;

pub use transport::{Caller, Lane, NoTransport, Pending, Rejection, Service, Transport, TransportError};
