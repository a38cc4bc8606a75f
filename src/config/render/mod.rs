//! Texts generated from the table of options: a configuration as TOML, the sample file, the man pages; and
//! the table of limits.

mod limits;
mod man;
mod sample;
mod toml;

pub use limits::{LIMITS, Limit};
pub use man::{Page, escape, man_kvd, man_toml};
pub use sample::sample;
pub use toml::{Document, Shown, show};

/// Breaks a text into lines of at most this many characters; longer words stay whole.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}
