//! kvctl: the client for people and scripts, with etcdctl's commands and output.
//!
//! | file | holds |
//! |---|---|
//! | `arguments/` | the command line: commands and flags, with clap |
//! | `target.rs` | where to connect and with which files: flags, variables, this machine's cluster.toml |
//! | `secret.rs` | passwords, tokens, prompts; who the caller is |
//! | `discovery.rs` | endpoints by DNS |
//! | `client.rs` | a connection with the caller's token; deadlines |
//! | `admin.rs` | the daemon on this machine |
//! | `watcher.rs` | a watch that outlives its connection |
//! | `survey.rs`, `metrics.rs`, `reach.rs` | what all members say about themselves; their metrics and clocks; their ports |
//! | `top/` | the cluster at work, on a terminal |
//! | `progress.rs` | how far a command is that lasts |
//! | `session.rs` | locks and elections |
//! | `signals.rs` | signals that end a command |
//! | `child.rs` | commands that kvctl runs |
//! | `failure.rs` | how a command ends: etcdctl's texts and exit codes |
//! | `command/` | what commands do, one file a service |
//! | `print/` | the formats of `--write-out` |
//! | `keys.rs`, `glob.rs`, `pages.rs` | ranges of keys; patterns; all keys of a range, page by page |
//! | `words.rs`, `output.rs` | typed lines; standard output |
//!
//! Rules: what goes to standard output is what etcdctl 3.7 prints, byte for byte; hints that only kvctl has go to
//! standard error. A command returns a [`Failure`](failure::Failure) and never ends the process.

mod admin;
mod arguments;
mod child;
mod client;
mod command;
mod discovery;
mod failure;
mod glob;
mod keys;
mod man;
mod metrics;
mod output;
mod pages;
mod print;
mod progress;
mod reach;
mod secret;
mod session;
mod signals;
mod survey;
mod target;
mod top;
mod watcher;
mod words;

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
    if let Asked::Daemon { request, socket } = &invocation.asked {
        return command::reload::run(*request, socket.as_deref());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failure::Failure::error(error.to_string()))?;
    let result = runtime.block_on(command::run(invocation));
    // A thread that waits for a line of standard input is not waited for.
    runtime.shutdown_background();
    result
}
