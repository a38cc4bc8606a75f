//! Standard output and standard error. A reader that has closed the pipe is not an error.

use std::io::Write;

/// Prints to standard output, at once.
pub(super) fn print(text: &str) {
    print_bytes(text.as_bytes());
}

/// Prints what may not be text.
pub(super) fn print_bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// A line for standard error.
pub(super) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
