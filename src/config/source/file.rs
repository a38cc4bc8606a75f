//! cluster.toml and its drop-ins.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::diagnostic::{Diagnostic, FilePlace, Place, locate};
use super::super::options::{self, Kind, OptionSpec, did_you_mean};
use super::super::settings::Given;
use super::super::value::{Value, cluster_urls, describe, gate_name};
use super::flags::choices;
use super::{MASK, Reading};

/// Reads a file's text. A pure function of its input, whatever that is; it never panics.
pub fn read_toml(path: PathBuf, text: &str) -> Reading {
    let mut reader = Reader { path: Arc::new(path), text, reading: Reading::default() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let place = error.span().map(|span| Place::File(reader.locate(span)));
        let place = place.or_else(|| Some(Place::Path(Arc::clone(&reader.path))));
        reader.reading.diagnostics.push(Diagnostic::error(format!("TOML: {}", error.message())).at(place));
    }
    // What is left of a file with syntax errors may be read wrongly: its values are not complained about as well.
    if errors.is_empty() {
        reader.table(table.get_ref(), "");
    }
    reader.reading
}

struct Reader<'t> {
    path: Arc<PathBuf>,
    text: &'t str,
    reading: Reading,
}

/// A value with the key that leads to it.
struct Entry<'a, 'i> {
    key: String,
    key_span: Range<usize>,
    value: &'a Spanned<DeValue<'i>>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, prefix: &str) {
        let mut entries: Vec<Entry<'_, '_>> = table
            .iter()
            .map(|(key, value)| Entry {
                key: format!("{prefix}{}", key.get_ref()),
                key_span: key.span(),
                value,
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_span.start);
        for entry in entries {
            self.entry(&entry);
        }
    }

    fn entry(&mut self, entry: &Entry<'_, '_>) {
        if let Some(spec) = options::find_key(&entry.key) {
            match self.value(spec, entry.value) {
                Ok(value) => self.given(spec, value, entry),
                Err(problem) => self.refuse(spec, problem, entry),
            }
            return;
        }
        let prefix = format!("{}.", entry.key);
        if !options::all().any(|spec| spec.key.starts_with(&prefix)) {
            return self.unknown(entry);
        }
        match entry.value.get_ref() {
            DeValue::Table(table) => self.table(table, &prefix),
            other => {
                let message = format!("`{}` is a table, found {}", entry.key, name_of(other));
                self.report(Diagnostic::error(message), entry.value.span());
            }
        }
    }

    fn given(&mut self, spec: &'static OptionSpec, value: Value, entry: &Entry<'_, '_>) {
        if let (Value::Duration(duration), DeValue::Integer(_)) = (&value, entry.value.get_ref())
            && spec.kind == Kind::Duration
            && !duration.is_zero()
            && duration.as_micros() < 1_000
        {
            let message = format!("`{}` is {} nanoseconds", entry.key, duration.as_nanos());
            let warning = Diagnostic::warning(message).about(spec.name).help(
                "a number without a unit counts nanoseconds, as in etcd's file; write \"5s\" for seconds",
            );
            self.report(warning, entry.value.span());
        }
        let place = Place::File(self.locate(entry.key_span.clone()));
        self.reading.given.push(Given { spec, value, place });
    }

    fn refuse(&mut self, spec: &'static OptionSpec, problem: Problem, entry: &Entry<'_, '_>) {
        let help = problem.help.or_else(|| choices(spec));
        let message = format!("`{}`: {}", entry.key, problem.message);
        let span = problem.span.unwrap_or_else(|| entry.value.span());
        self.report(Diagnostic::error(message).about(spec.name).maybe_help(help), span);
    }

    fn unknown(&mut self, entry: &Entry<'_, '_>) {
        let help = match options::find(&entry.key) {
            Some(spec) if !spec.key.is_empty() => Some(format!("in the file it is called `{}`", spec.key)),
            Some(spec) => Some(format!("--{} has no key in the file", spec.name)),
            None => suggest(&entry.key).map(|key| format!("did you mean `{key}`?")),
        };
        let message = format!("unknown key `{}`", entry.key);
        self.report(Diagnostic::error(message).maybe_help(help), entry.key_span.clone());
    }

    fn report(&mut self, diagnostic: Diagnostic, span: Range<usize>) {
        let place = Place::File(self.locate(span));
        self.reading.diagnostics.push(diagnostic.at(Some(place)));
    }

    /// The place of a span; a secret's line is not shown.
    fn locate(&self, span: Range<usize>) -> FilePlace {
        let mut place = locate(&self.path, self.text, span);
        if let Some((key, _)) = place.text.split_once('=')
            && options::all()
                .any(|spec| spec.secret && key.contains(spec.key.rsplit('.').next().unwrap_or(spec.key)))
        {
            place.text = format!("{key}= {MASK}");
            place.width =
                place.width.min((place.text.chars().count() + 1).saturating_sub(place.column).max(1));
        }
        place
    }

    fn value(&self, spec: &'static OptionSpec, value: &Spanned<DeValue<'_>>) -> Result<Value, Problem> {
        let kind = spec.kind;
        match value.get_ref() {
            DeValue::String(text) => Value::parse(kind, text).map_err(Problem::new),
            DeValue::Boolean(on) if kind == Kind::Bool => Ok(Value::Bool(*on)),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::from_integer(kind, number).unwrap_or_else(|| Err(expected(kind, value))),
                Err(_) => Err("value out of range".to_string()),
            }
            .map_err(Problem::new),
            DeValue::Array(array) => array_value(kind, array.iter()),
            DeValue::Table(table) if kind == Kind::Cluster => cluster_value(table),
            DeValue::Table(table) if kind == Kind::Gates => gates_value(table),
            _ => Err(Problem::new(expected(kind, value))),
        }
    }
}

/// Why a value is refused, and which part of it is meant.
struct Problem {
    message: String,
    span: Option<Range<usize>>,
    help: Option<String>,
}

impl Problem {
    fn new(message: String) -> Self {
        Self { message, span: None, help: None }
    }

    fn at(message: String, span: Range<usize>) -> Self {
        Self { message, span: Some(span), help: None }
    }
}

fn expected(kind: Kind, value: &Spanned<DeValue<'_>>) -> String {
    format!("expected {}, found {}", describe(kind), name_of(value.get_ref()))
}

fn name_of(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "a string".to_string(),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(on) => on.to_string(),
        DeValue::Datetime(_) => "a date".to_string(),
        DeValue::Array(_) => "an array".to_string(),
        DeValue::Table(_) => "a table".to_string(),
    }
}

fn array_value<'a, 'i: 'a>(
    kind: Kind,
    elements: impl Iterator<Item = &'a Spanned<DeValue<'i>>>,
) -> Result<Value, Problem> {
    let mut texts = Vec::new();
    for element in elements {
        match element.get_ref() {
            DeValue::String(text) => {
                // Each element on its own first, so that the mark stands below the one that is wrong.
                if let Err(reason) = Value::parse_array(kind, &[text]) {
                    return Err(Problem::at(reason, element.span()));
                }
                texts.push(text.as_ref());
            }
            other => {
                return Err(Problem::at(
                    format!("expected a string, found {}", name_of(other)),
                    element.span(),
                ));
            }
        }
    }
    Value::parse_array(kind, &texts).map_err(Problem::new)
}

fn cluster_value(table: &DeTable<'_>) -> Result<Value, Problem> {
    let mut members = BTreeMap::new();
    for (name, urls) in table {
        let texts: Vec<&str> = match urls.get_ref() {
            DeValue::String(text) => text.split(',').collect(),
            DeValue::Array(array) => array.iter().filter_map(|element| element.get_ref().as_str()).collect(),
            _ => Vec::new(),
        };
        let strings_only = match urls.get_ref() {
            DeValue::Array(array) => array.iter().all(|element| element.get_ref().as_str().is_some()),
            other => other.as_str().is_some(),
        };
        if !strings_only {
            let message = format!("expected {}, found {}", describe(Kind::PeerUrls), name_of(urls.get_ref()));
            return Err(Problem::at(message, urls.span()));
        }
        let urls = cluster_urls(&texts).map_err(|reason| Problem::at(reason, urls.span()))?;
        members.insert(name.get_ref().to_string(), urls);
    }
    Ok(Value::Cluster(members))
}

fn gates_value(table: &DeTable<'_>) -> Result<Value, Problem> {
    let mut gates = BTreeMap::new();
    for (name, on) in table {
        let known = gate_name(name.get_ref()).map_err(|reason| Problem {
            help: did_you_mean(name.get_ref(), options::GATES.iter().map(|gate| gate.name))
                .map(|name| format!("did you mean {name}?")),
            ..Problem::at(reason, name.span())
        })?;
        match on.get_ref() {
            DeValue::Boolean(on) => gates.insert(known, *on),
            other => {
                let message = format!("expected true or false, found {}", name_of(other));
                return Err(Problem::at(message, on.span()));
            }
        };
    }
    Ok(Value::Gates(gates))
}

/// The key most like an unknown one: of the same table first, then of any.
fn suggest(key: &str) -> Option<&'static str> {
    let keys = || options::all().map(|spec| spec.key).filter(|key| !key.is_empty());
    let (table, last) = key.rsplit_once('.').unwrap_or(("", key));
    let siblings: Vec<&'static str> =
        keys().filter(|key| key.rsplit_once('.').map_or("", |(table, _)| table) == table).collect();
    let lasts = siblings.iter().map(|key| key.rsplit('.').next().unwrap_or(key));
    let last = last.replace('_', "-").to_ascii_lowercase();
    if let Some(found) = did_you_mean(&last, lasts) {
        return siblings.into_iter().find(|key| key.rsplit('.').next() == Some(found));
    }
    let tables: Vec<&'static str> =
        keys().filter_map(|key| key.rsplit_once('.').map(|(table, _)| table)).collect();
    did_you_mean(key, tables.into_iter()).or_else(|| did_you_mean(key, keys()))
}
