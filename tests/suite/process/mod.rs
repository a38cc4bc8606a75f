//! The daemon as a process: how it is told things, what it listens on, and how it ends.

mod first_answers;
mod listening;
mod metrics;
mod options;
mod pings;
mod settings;
mod signals;
mod tls;
