//! What is wrong with a configuration, where, and what was probably meant.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, io};

/// What is shown instead of a secret.
pub(super) const MASK: &str = "********";

/// The system's message without Rust's "(os error 2)".
pub fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_string()
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// kvd does not start.
    Error,
    /// kvd starts and says this once.
    Warning,
}

/// A place in a file, with the line itself so that it can be shown after the file has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlace {
    /// The file.
    pub path: Arc<PathBuf>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters are meant; at least 1.
    pub width: usize,
    /// The line's text; of a long line the part around the mark.
    pub text: String,
    /// How many characters of `text` stand before the mark.
    pub lead: usize,
}

/// The place at which a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File(FilePlace),
    /// As a flag, here as it was written.
    Flag(String),
    /// In the environment, as `NAME=value`; the value is left out for secrets.
    Variable(String),
    /// The file itself, not a line of it.
    Path(Arc<PathBuf>),
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in etcd's words if etcd has some.
    pub message: String,
    /// The option it is about, by its flag name.
    pub option: Option<&'static str>,
    /// Where; none for what several values together make wrong.
    pub place: Option<Place>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error.
    pub fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), option: None, place: None, help: None }
    }

    /// A warning.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// About this option.
    pub fn about(mut self, option: &'static str) -> Self {
        self.option = Some(option);
        self
    }

    /// Found there.
    pub fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// With this advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With this advice, when there is any.
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// True for an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The finding as a JSON object, for `kvd check --json`.
    pub fn to_json(&self) -> serde_json::Value {
        let source = self.place.as_ref().map(|place| match place {
            Place::File(at) => serde_json::json!({
                "kind": "file", "path": at.path.to_string_lossy(), "line": at.line, "column": at.column, "text": at.text,
            }),
            Place::Flag(text) => serde_json::json!({ "kind": "flag", "text": text }),
            Place::Variable(text) => serde_json::json!({ "kind": "variable", "text": text }),
            Place::Path(path) => serde_json::json!({ "kind": "file", "path": path.to_string_lossy() }),
        });
        serde_json::json!({
            "severity": match self.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "message": self.message,
            "option": self.option,
            "source": source,
            "help": self.help,
        })
    }
}

/// What a terminal may be given: nobody's file or flag moves the cursor.
fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
    } else {
        text.into()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{severity}: {}", printable(&self.message))?;
        let mut margin = 1;
        match &self.place {
            Some(Place::File(place)) => {
                margin = place.line.to_string().len();
                write_file_place(f, place, margin)?;
            }
            Some(Place::Flag(text)) => writeln!(f, "  --> flag {}", printable(text))?,
            Some(Place::Variable(text)) => writeln!(f, "  --> environment {}", printable(text))?,
            Some(Place::Path(path)) => writeln!(f, "  --> {}", printable(&path.to_string_lossy()))?,
            None => {}
        }
        if let Some(help) = &self.help {
            writeln!(f, "{:margin$} = help: {}", "", printable(help))?;
        }
        Ok(())
    }
}

fn write_file_place(f: &mut fmt::Formatter<'_>, place: &FilePlace, margin: usize) -> fmt::Result {
    writeln!(f, "{:margin$}--> {}:{}:{}", "", place.path.display(), place.line, place.column)?;
    writeln!(f, "{:margin$} |", "")?;
    writeln!(f, "{:margin$} | {}", place.line, printable(&place.text))?;
    // Tabs before the mark are kept, so that it is below its text.
    let lead: String =
        place.text.chars().take(place.lead).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    writeln!(f, "{:margin$} | {lead}{}", "", "^".repeat(place.width.max(1)))
}

/// The place of a byte range in a file's text; the mark ends with its line.
pub(super) fn locate(path: &Arc<PathBuf>, text: &str, span: std::ops::Range<usize>) -> FilePlace {
    let start = floor_char(text, span.start.min(text.len()));
    let end = floor_char(text, span.end.clamp(start, text.len()));
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let line = text[line_start..line_end].trim_end_matches('\r');
    let marked = &text[start..end.min(line_end)];
    let column = text[line_start..start].chars().count() + 1;
    let width = marked.trim_end().chars().count().max(1);
    let (line_number, before) = (text[..start].matches('\n').count() + 1, &text[..line_start]);
    let (text, lead) = match without_secret(line, before) {
        Some(masked) => {
            let end = masked.chars().count();
            (masked, (column - 1).min(end))
        }
        None => around(line, column - 1),
    };
    let width = width.min(text.chars().count().saturating_sub(lead)).max(1);
    FilePlace { path: Arc::clone(path), line: line_number, column, width, text, lead }
}

/// The most characters of a line that are shown.
const SHOWN: usize = 160;

/// The part of a long line around a mark, and the position of the mark in it.
fn around(line: &str, mark: usize) -> (String, usize) {
    if line.chars().nth(SHOWN).is_none() {
        return (line.to_string(), mark);
    }
    let first = mark.saturating_sub(SHOWN / 2);
    let part: String = line.chars().skip(first).take(SHOWN).collect();
    if first == 0 {
        return (format!("{part}..."), mark);
    }
    (format!("...{part}..."), mark - first + 3)
}

/// Words in a name that mark its value as a secret.
const TELLING: [&str; 4] = ["secret", "password", "username", "discovery-user"];

/// How similar a name must be to one that marks a secret: a misspelt name marks it too.
const ALIKE: f64 = 0.8;

/// The line without possible secrets: everything after a name that indicates one, or the whole line if a string over
/// several lines may have begun after such a name.
fn without_secret(line: &str, before: &str) -> Option<String> {
    if let Some(end) = telling_name(line) {
        let is_closed = line[end..].trim().trim_matches([']', ' ']).is_empty();
        return (!is_closed).then(|| format!("{} = {MASK}", &line[..end]));
    }
    let is_assignment = line.split_once('=').is_some_and(|(key, _)| {
        let key = key.trim();
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    });
    if is_assignment || line.trim_start().starts_with('[') {
        return None;
    }
    before.lines().rev().take(20).any(|line| telling_name(line).is_some()).then(|| MASK.to_string())
}

/// The end of the first name in a line that indicates a secret: a key, a flag or a variable, or the line's first word.
fn telling_name(line: &str) -> Option<usize> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut at = 0;
    while let Some(start) = line[at..].find(is_part).map(|found| at + found) {
        let end = line[start..].find(|c| !is_part(c)).map_or(line.len(), |found| start + found);
        let (name, rest) = (&line[start..end], line[end..].trim_start_matches(['"', '\'', ' ', '\t']));
        let is_name =
            rest.starts_with(['=', ':']) || name.starts_with('-') || line[..start].trim().is_empty();
        if is_name && tells(&name.to_ascii_lowercase().replace('_', "-"), rest) {
            return Some(end);
        }
        at = end;
    }
    None
}

/// Whether what follows a name may be a secret. A file's name is none.
fn tells(name: &str, value: &str) -> bool {
    if name.ends_with("-file") && value.contains('/') {
        return false;
    }
    let alike = |word: &str, telling: &str| strsim::normalized_damerau_levenshtein(word, telling) >= ALIKE;
    TELLING.iter().any(|telling| name.contains(telling) || name.split('-').any(|word| alike(word, telling)))
        || alike(name, "cluster-secret")
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// How many of each, in words: `2 errors, 1 warning`.
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    let count = |n: usize, word: &str| match n {
        0 => None,
        1 => Some(format!("1 {word}")),
        n => Some(format!("{n} {word}s")),
    };
    let parts: Vec<String> = [count(errors, "error"), count(diagnostics.len() - errors, "warning")]
        .into_iter()
        .flatten()
        .collect();
    if parts.is_empty() { "no errors, no warnings".to_string() } else { parts.join(", ") }
}
