//! Real QUIC between members on 127.0.0.1, with real certificates.
//!
//! Times are generous, as the machine may be busy: nothing here waits for a clock where it can wait for a condition.

mod calls;
mod garbage;
mod lab;
mod membership;
mod refusals;
mod snapshots;
