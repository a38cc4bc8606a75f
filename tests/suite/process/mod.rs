//! The daemon as a process: how it is told things, what it listens on, and how it ends.

mod listening;
mod settings;
mod signals;
