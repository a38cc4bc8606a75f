//! `kvctl reload` and `kvctl log-level`: asks the daemon on this machine, waits for the result, and prints it.

use std::path::Path;

use crate::config::admin::Request;
use crate::ctl::admin;
use crate::ctl::failure::Failure;
use crate::ctl::output::{complain, print};

/// Asks through the socket that was named, or through the one of this machine.
pub(in crate::ctl) fn run(request: Request, socket: Option<&Path>) -> Result<(), Failure> {
    let answer = admin::ask(socket, request)?;
    for warning in &answer.warnings {
        complain(warning.trim_end());
    }
    for line in &answer.lines {
        print(&format!("{line}\n"));
    }
    match answer.error {
        None => Ok(()),
        Some(error) if request != Request::Reload => Err(Failure::error(error)),
        Some(error) => {
            complain(error.trim_end());
            Err(Failure::error("the new configuration is refused; kvd goes on with the old one"))
        }
    }
}
