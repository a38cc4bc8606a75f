//! Commands that kvctl runs for its user.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

/// How a command failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// In the words of Go's programs.
    pub(super) text: String,
    /// Its exit code, if it was run; 255 if a signal ended it.
    pub(super) code: Option<u8>,
}

/// Runs a command with these variables and without standard input, and waits for its end.
///
/// # Errors
/// If it cannot be run or fails.
pub(super) async fn run(
    command: &[OsString],
    variables: Vec<(&'static str, OsString)>,
) -> Result<(), Failed> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut child = Command::new(program);
    child.args(arguments).envs(variables).stdin(Stdio::null());
    let status = tokio::task::spawn_blocking(move || child.status()).await;
    match status.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failed { text: words(status), code: Some(code(status)) }),
        Err(error) => {
            let missing = error.kind() == io::ErrorKind::NotFound;
            let reason =
                if missing { "executable file not found in $PATH".to_string() } else { error.to_string() };
            Err(Failed { text: format!("exec: {program:?}: {reason}"), code: None })
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failures_are_told_as_go_tells_them() {
        let run = async |words: &[&str]| {
            let command: Vec<OsString> = words.iter().map(OsString::from).collect();
            run(&command, vec![("KVCTL_TEST", "7".into())]).await
        };
        assert_eq!(run(&["sh", "-c", "exit $((KVCTL_TEST - 7))"]).await, Ok(()));
        let failed = Failed { text: "exit status 7".to_string(), code: Some(7) };
        assert_eq!(run(&["sh", "-c", "exit $KVCTL_TEST"]).await, Err(failed));
        let missing = run(&["/nowhere/nothing"]).await.expect_err("there is nothing");
        assert!(missing.text.contains("executable file not found"), "{missing:?}");
    }
}
