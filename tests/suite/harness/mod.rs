//! Shared by all tests of processes: servers that end with their test, clients, dice, and the reference programs. All
//! waiting is for a condition; the deadlines are generous because they only end a failing test.

mod api;
mod browser;
mod dice;
mod heavy;
mod ports;
mod program;
mod reference;
mod server;
mod three;
mod wait;

pub use api::Api;
pub use browser::Browser;
pub use dice::Dice;
pub use heavy::heavy;
pub use ports::free_port;
pub use program::{Program, skip, subject, tool};
pub use reference::{reference, seed, strace};
pub use server::{Server, Setup, orderly};
pub use three::{Three, answers, members, page, status};
pub use wait::{PATIENCE, PATIENT, until};
