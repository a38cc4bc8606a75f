//! The entry point of the process: it executes the command line, or passes it to [`run`](super::run).

use std::io::Write;
use std::process::ExitCode;

use super::sockets::Inherited;
use super::{dropin, journal, secret, startup, trial};
use crate::config::cli::{Answer, Invocation, parse_process};

/// The whole of `kvd`: reads arguments, environment and files, and runs or answers.
pub fn main() -> ExitCode {
    // With huge pages every arena of the allocator would take megabytes of memory at once; kvd's memory consists of
    // many small pieces.
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        let text = format!("kvd: transparent huge pages stay on: {error}\n");
        eprint!("{}", journal::for_stderr(&text, false));
    }
    // Before there is any secret: no core, and no other process of this user, shows the memory.
    startup::keep_io();
    let hidden = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    if let Err(error) = hidden {
        let text = format!("kvd: a core may hold secrets: {error}\n");
        eprint!("{}", journal::for_stderr(&text, false));
    }
    // Before anything is opened: a passed descriptor must not be confused with another one.
    let inherited = Inherited::of_process();
    match parse_process(std::env::args_os().skip(1)) {
        Invocation::Run(config, warnings) => {
            let inherited = inherited.unwrap_or_else(|error| {
                let text = format!("kvd: the sockets that were passed cannot be used: {error}\n");
                eprint!("{}", journal::for_stderr(&text, true));
                Inherited::default()
            });
            // They were parsed a moment ago, so all of them are text.
            let arguments = std::env::args_os().skip(1).filter_map(|argument| argument.into_string().ok());
            super::run(*config, warnings, inherited, arguments.collect())
        }
        Invocation::Check(request) => print(&trial::answer(*request)),
        Invocation::Answer(answer) => print(&answer),
        Invocation::NewSecret(file) => print(&secret::answer(file.as_deref())),
        Invocation::DropIn(config) => print(&dropin::answer(&config)),
    }
}

/// A reader that has closed the pipe (`kvd --help | head`) is not an error.
fn print(answer: &Answer) -> ExitCode {
    let _ = std::io::stdout().write_all(answer.out.as_bytes());
    let err = journal::for_stderr(&answer.err, answer.code != 0);
    let _ = std::io::stderr().write_all(err.as_bytes());
    ExitCode::from(answer.code)
}
