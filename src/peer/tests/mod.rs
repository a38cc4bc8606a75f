//! Real QUIC between members on 127.0.0.1, with real certificates.
//!
//! Deadlines are generous, as the machine may be busy: no test waits for a time if it can wait for a condition.

mod calls;
mod copies;
mod floods;
mod garbage;
mod lab;
mod membership;
mod refusals;
mod snapshots;
