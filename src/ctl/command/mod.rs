//! The commands, one file each.

mod endpoint;
mod member;
pub(super) mod reload;

use super::arguments::{Asked, Globals, Invocation};
use super::failure::Failure;
use super::target::Target;

/// Runs a command.
pub(super) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { globals, asked } = invocation;
    let target = Target::of(&globals)?;
    match asked {
        Asked::Reload { socket } => reload::run(socket.as_deref()),
        Asked::EndpointHealth(endpoints) => endpoint::health(&target, &globals, endpoints).await,
        Asked::EndpointStatus(endpoints) => endpoint::status(&target, &globals, endpoints).await,
        Asked::MemberList { serializable } => member::list(&target, &globals, serializable).await,
    }
}

/// Prints to standard output; a reader that has closed the pipe is not an error.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A line for standard error.
fn complain(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The error for a format that the command does not have.
fn no_such_format(globals: &Globals) -> Failure {
    Failure::format(format!("{} not supported as output format", globals.format.name()))
}
