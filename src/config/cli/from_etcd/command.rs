//! Command lines of etcd: of a container, of a unit, or in a shell's syntax.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Content, Item};
use crate::config::diagnostic::{Diagnostic, FilePlace, Place, locate};
use crate::config::options::{self, OptionSpec, Section};
use crate::config::source::is_flag;

/// The most words in a command line that starts etcd.
const MAX_WORDS: usize = 2000;

/// One word and its place.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub text: String,
    pub place: FilePlace,
}

/// The flags after etcd's own name, if these words run it. The one word of `sh -c` is a command line itself.
///
/// # Errors
/// If a quote is not closed.
pub(super) fn flags_of_etcd(words: &[Word]) -> Result<Option<Vec<Word>>, Box<Diagnostic>> {
    let is_etcd = |word: &Word| word.text.rsplit('/').next() == Some("etcd");
    if let Some(at) = words.iter().position(is_etcd) {
        return Ok(Some(words[at + 1..].to_vec()));
    }
    for word in words.iter().filter(|word| word.text.contains(char::is_whitespace)) {
        let inner = split(&word.text, &word.place)?;
        if let Some(at) = inner.iter().position(is_etcd) {
            return Ok(Some(inner[at + 1..].to_vec()));
        }
    }
    Ok(None)
}

/// The flags of a text that is a command line itself (`etcd --name a`, or a `docker run` that ends in one).
pub(super) fn looks_like_command(path: &Arc<PathBuf>, text: &str) -> Option<Vec<Word>> {
    let is_said = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let first = text.lines().find(is_said)?;
    let start = text.find(first)?;
    let place = locate(path, text, start..start + first.len());
    let words = split(&text[start..], &place).ok()?;
    // In a YAML document the first word is followed by a colon.
    let is_yaml =
        words.first().is_none_or(|word| word.text.ends_with(':') || word.text.starts_with(['{', '[', '-']));
    if is_yaml { None } else { flags_of_etcd(&words).ok()? }
}

/// The words of a line, with quotes and line continuations resolved as in a shell. References stay as they are.
///
/// # Errors
/// If a quote is not closed.
pub(super) fn split(line: &str, place: &FilePlace) -> Result<Vec<Word>, Box<Diagnostic>> {
    let refuse = |message: &str| Box::new(Diagnostic::error(message).at(Some(Place::File(place.clone()))));
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '"' | '\'') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => match chars.next() {
                Some('\n') => {}
                Some(next) => word.get_or_insert_default().push(next),
                None => word.get_or_insert_default().push('\\'),
            },
            (None, c) if c.is_whitespace() => {
                words.extend(word.take().map(|text| Word { text, place: place.clone() }));
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
        if words.len() > MAX_WORDS {
            return Err(refuse("this is longer than a command line can be"));
        }
    }
    if quote.is_some() {
        return Err(refuse("a quote is not closed"));
    }
    words.extend(word.map(|text| Word { text, place: place.clone() }));
    Ok(words)
}

/// Reads the flags in Go's syntax, with references to variables resolved.
///
/// # Errors
/// Every unknown flag, every flag without its value, and every reference to something unknown.
pub(super) fn read(
    words: &[Word],
    variables: &BTreeMap<String, String>,
) -> Result<Vec<Item>, Vec<Diagnostic>> {
    let (mut items, mut errors) = (Vec::new(), Vec::new());
    let words = expanded(words, variables, &mut errors);
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        let error = |message: String| Diagnostic::error(message).at(Some(Place::File(word.place.clone())));
        if !is_flag(&word.text) {
            // The text after `;`, `&&` or a pipe belongs to the shell, and so do redirections.
            if [";", "&&", "||", "|", "&"].contains(&word.text.as_str()) || word.text.contains('>') {
                break;
            }
            errors.push(error(format!("{:?} is not a valid flag", word.text)));
            continue;
        }
        let body = word.text.strip_prefix("--").or_else(|| word.text.strip_prefix('-')).unwrap_or_default();
        let (name, inline) = body.split_once('=').map_or((body, None), |(name, text)| (name, Some(text)));
        let Some(spec) = options::find(name) else {
            rest.next_if(|next| inline.is_none() && !is_flag(&next.text));
            errors.push(error(format!("flag provided but not defined: -{name}")));
            continue;
        };
        let text = match inline {
            Some(text) => text.to_string(),
            None if spec.kind.is_switch() => "true".to_string(),
            None => match rest.next() {
                Some(value) => value.text.clone(),
                None => {
                    errors.push(error(format!("flag needs an argument: -{name}")));
                    continue;
                }
            },
        };
        match leads_elsewhere(spec, &text) {
            Some(help) => errors.push(error(format!("--{name} names the file to convert")).help(help)),
            None if spec.section == Section::Program => {}
            None => {
                // If a flag comes twice, the last one counts.
                items.retain(|item: &Item| item.key != spec.name);
                let (key, content) = (spec.name.to_string(), Content::Scalar(text));
                items.push(Item { key, spec: Some(spec), content, place: word.place.clone() });
            }
        }
    }
    if errors.is_empty() { Ok(items) } else { Err(errors) }
}

/// If a configuration file is given, etcd reads nothing else.
pub(super) fn leads_elsewhere(spec: &OptionSpec, file: &str) -> Option<String> {
    let names_file = spec.name == "config-file" && !file.is_empty();
    names_file.then(|| format!("etcd reads nothing but that file then: kvd config from-etcd {file}"))
}

/// The words with their references resolved; a word that consists of one reference may become several words or none.
fn expanded(words: &[Word], variables: &BTreeMap<String, String>, errors: &mut Vec<Diagnostic>) -> Vec<Word> {
    let mut found = Vec::new();
    for word in words {
        let bare = word.text.strip_prefix('$').filter(|name| is_name(name));
        let outcome = match bare.and_then(|name| variables.get(name)) {
            Some(value) => split(value, &word.place).map_err(|error| *error),
            None => expand(&word.text, variables)
                .map(|text| vec![Word { text, place: word.place.clone() }])
                .map_err(|reason| Diagnostic::error(reason).at(Some(Place::File(word.place.clone())))),
        };
        match outcome {
            Ok(words) => found.extend(words),
            Err(error) => errors.push(error),
        }
    }
    found
}

/// The text with `$(NAME)`, `${NAME}` and `$NAME` replaced; `$$` is a dollar.
///
/// # Errors
/// A reference to an unknown variable.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let (name, after) = reference(rest);
        let value = variables.get(name);
        let shown = if name.is_empty() { "a command or variable" } else { name };
        out.push_str(
            value.ok_or_else(|| format!("a reference to {shown} cannot be followed: write its value"))?,
        );
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The name after a dollar sign and the text after it; an empty name if there is none.
fn reference(text: &str) -> (&str, &str) {
    for (open, close) in [('(', ')'), ('{', '}')] {
        if let Some(inner) = text.strip_prefix(open) {
            let (name, after) = inner.split_once(close).unwrap_or((inner, ""));
            return (if is_name(name) { name } else { "" }, after);
        }
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The variables with their own references resolved.
///
/// # Errors
/// A reference to an unknown variable.
pub(super) fn resolved(
    items: Vec<Item>,
    variables: &BTreeMap<String, String>,
) -> Result<Vec<Item>, Vec<Diagnostic>> {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for item in items {
        match &item.content {
            Content::Scalar(text) => match expand(text, variables) {
                Ok(text) => found.push(Item { content: Content::Scalar(text), ..item }),
                Err(reason) => {
                    let error = Diagnostic::error(format!("`{}`: {reason}", item.key));
                    errors.push(error.at(Some(Place::File(item.place))));
                }
            },
            _ => found.push(item),
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

/// The variables among these items, for references to them.
pub(super) fn variables(items: &[Item]) -> BTreeMap<String, String> {
    let text = |item: &Item| match &item.content {
        Content::Scalar(text) => Some((item.key.clone(), text.clone())),
        _ => None,
    };
    items.iter().filter_map(text).collect()
}
