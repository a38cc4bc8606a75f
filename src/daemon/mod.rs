//! The daemon: the order of start and stop, and what systemd and the log are told.
//!
//! Nothing but this room starts threads that live as long as the process, and nothing else ends it.

mod command;
mod compactor;
mod logging;
mod outside;
mod systemd;

use std::process::ExitCode;

pub use command::main;

/// Runs a member with this configuration until it is told to stop; the warnings belong into its log.
pub fn run(config: crate::config::Config, warnings: Vec<crate::config::Diagnostic>) -> ExitCode {
    for warning in &warnings {
        eprintln!("{warning}");
    }
    eprintln!("kvd: member {} cannot be run by this build yet", config.name);
    ExitCode::FAILURE
}
