//! Files of variables: /etc/default/etcd, /etc/sysconfig/etcd, /etc/etcd/etcd.conf of some distributions, systemd's
//! EnvironmentFile=, and the output of `etcdctl member add`.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Content, Item, command};
use crate::config::diagnostic::{Diagnostic, FilePlace, Place, locate};
use crate::config::options::{self, Section};

/// The most lines with content in a file of variables.
const MAX_LINES: usize = 2000;

/// True if the first line with content is an assignment.
pub(super) fn looks_like_shell(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    first.is_some_and(|line| assignment(line).is_some())
}

/// Reads the variables' settings for etcd. The flags in one of them (Debian's DAEMON_ARGS) come first and have
/// priority.
pub(super) fn read(path: &Arc<PathBuf>, text: &str) -> Result<Vec<Item>, Vec<Diagnostic>> {
    let all = assignments(path, text)?;
    let variables = command::variables(&all);
    let (mut items, mut errors, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for item in all {
        match &item.content {
            Content::Scalar(value) if item.spec.is_none() && value.starts_with('-') => {
                let words = command::split(value, &item.place).map_err(|error| vec![*error]);
                match words.and_then(|words| command::read(&words, &variables)) {
                    Ok(flags) => items.extend(flags),
                    Err(found) => errors.extend(found),
                }
            }
            _ if is_ours(&item.key) => others.push(item),
            _ => {}
        }
    }
    items.extend(others);
    if errors.is_empty() { Ok(items) } else { Err(errors) }
}

/// True for a variable of etcd or kvd; those of other programs do not concern etcd.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("ETCD_") || name.starts_with("KVD_")
}

/// A variable with its option.
pub(super) fn item(name: &str, value: String, place: FilePlace) -> Item {
    let spec = options::find_variable(name);
    let spec = spec.filter(|spec| spec.section != Section::Program || spec.name == "config-file");
    // etcd treats an empty variable as not set.
    let content = if value.is_empty() { Content::Nothing } else { Content::Scalar(value) };
    Item { key: name.to_string(), spec, content, place }
}

/// Reads all assignments; a later one of the same variable has priority.
pub(super) fn assignments(path: &Arc<PathBuf>, text: &str) -> Result<Vec<Item>, Vec<Diagnostic>> {
    let (mut items, mut errors) = (Vec::<Item>::new(), Vec::new());
    let mut offset = 0;
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let start = offset;
        offset += line.len();
        let mut whole = line.trim_end_matches(['\n', '\r']).to_string();
        // A backslash at the end joins the next line, in the shell and in systemd.
        while whole.ends_with('\\') && lines.peek().is_some() {
            whole.pop();
            if let Some(next) = lines.next() {
                offset += next.len();
                whole.push_str(next.trim_end_matches(['\n', '\r']));
            }
        }
        let trimmed = whole.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if items.len() + errors.len() >= MAX_LINES {
            let place = Some(Place::Path(Arc::clone(path)));
            return Err(vec![Diagnostic::error("this is larger than a file of variables can be").at(place)]);
        }
        let begin = start + (line.len() - line.trim_start().len());
        let place = locate(path, text, begin..start + line.trim_end().len());
        match assignment(trimmed).map(|(name, value)| (name, unquote(value))) {
            Some((name, Ok(value))) => {
                items.retain(|item| item.key != name);
                items.push(self::item(name, value, place));
            }
            Some((_, Err(reason))) => errors.push(Diagnostic::error(reason).at(Some(Place::File(place)))),
            None => errors.push(Diagnostic::error("expected NAME=value").at(Some(Place::File(place)))),
        }
    }
    if errors.is_empty() { Ok(items) } else { Err(errors) }
}

/// The name and the raw value of `NAME=value` or `export NAME=value`.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = line.split_once('=')?;
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then_some((name, value.trim()))
}

/// Removes quotes and backslashes as a shell does; references to other variables are not resolved.
fn unquote(raw: &str) -> Result<String, String> {
    let mut value = String::new();
    let mut chars = raw.chars().peekable();
    let mut quote: Option<char> = None;
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => value.push(c),
            (quote, '\\') => match chars.next() {
                // Within double quotes a backslash is only removed before these.
                Some(next) if quote.is_none() || "\"\\$`".contains(next) => value.push(next),
                Some(next) => value.extend(['\\', next]),
                None => value.push('\\'),
            },
            (_, '$' | '`') => return Err("a reference to another variable cannot be followed".to_string()),
            (None, c) if c.is_whitespace() => {
                let rest: String = chars.collect();
                let rest = rest.trim();
                if rest.is_empty() || rest.starts_with('#') {
                    return Ok(value);
                }
                return Err("a value with spaces needs quotes".to_string());
            }
            (_, c) => value.push(c),
        }
    }
    if quote.is_some() { Err("a quote is not closed".to_string()) } else { Ok(value) }
}
