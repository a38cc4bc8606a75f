//! kvctl: the client for people and scripts, with etcdctl's commands and output.
//!
//! | file | holds |
//! |---|---|
//! | `arguments.rs` | the command line: commands and flags, with clap |
//! | `target.rs` | where to connect and with which files: flags, variables, this machine's cluster.toml |
//! | `connection.rs` | a connection to one endpoint; its deadlines and errors |
//! | `tls.rs` | the TLS of a connection |
//! | `failure.rs` | how a command ends: etcdctl's texts and exit codes |
//! | `command/` | one file a command |
//! | `print/` | the formats of `--write-out`: simple, table, json, fields |
//!
//! Rules: what goes to standard output is what etcdctl 3.7 prints, byte for byte; hints that only kvctl has go to
//! standard error. A command returns a [`Failure`](failure::Failure) and never ends the process.

mod arguments;
mod command;
mod connection;
mod failure;
mod man;
mod print;
mod target;
mod tls;

use std::io::Write;
use std::process::ExitCode;

pub use arguments::command;
pub use man::page as man_page;

use arguments::{Asked, Invocation};

/// The whole of `kvctl`.
pub fn main() -> ExitCode {
    let invocation = match arguments::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(answer) => {
            // A reader that has closed the pipe (`kvctl help | head`) is not an error.
            let _ = std::io::stdout().write_all(answer.out.as_bytes());
            let _ = std::io::stderr().write_all(answer.err.as_bytes());
            return ExitCode::from(answer.code);
        }
    };
    match run(invocation) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run(invocation: Invocation) -> Result<(), failure::Failure> {
    if let Asked::Reload { socket } = &invocation.asked {
        return command::reload::run(socket.as_deref());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failure::Failure::error(error.to_string()))?;
    runtime.block_on(command::run(invocation))
}
