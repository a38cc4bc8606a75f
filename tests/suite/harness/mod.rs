//! What every test of a process uses: servers that end with their test, clients, dice, and the reference
//! programs. Waiting is always for a condition; the bounds are generous because they only end a failure.

mod api;
mod dice;
mod heavy;
mod ports;
mod program;
mod server;
mod wait;

pub use api::Api;
pub use dice::Dice;
pub use heavy::heavy;
pub use ports::free_port;
pub use program::{Program, reference, seed, skip, strace, subject, tool};
pub use server::{Server, Setup, orderly};
pub use wait::{PATIENCE, until};
