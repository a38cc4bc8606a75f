//! The daemon: the order of start and stop, and what systemd and the log are told.
//!
//! Nothing but this room starts threads that live as long as the process, and nothing else ends it.

mod compactor;
mod logging;
mod outside;
mod systemd;
