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
use super::super::value::{PARSE_ERROR, Value, cluster_urls, describe, gate_name};
use super::misplaced::{belongs, first_line_of};
use super::{Reading, expectation};

/// More findings than this are counted only: nobody reads them, and a file of another kind has one a line.
const MAX_FINDINGS: usize = 100;

/// Reads a file's text. A pure function of its input, whatever that is; it never panics.
pub fn read_toml(path: PathBuf, text: &str) -> Reading {
    let mut reader = Reader { path: Arc::new(path), text, reading: Reading::default(), unsaid: 0 };
    let (table, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    for error in errors.iter().take(MAX_FINDINGS) {
        let place = error.span().map(|span| Place::File(reader.locate(span)));
        let place = place.or_else(|| Some(Place::Path(Arc::clone(&reader.path))));
        let first = error.span().filter(|_| error.message() == "duplicate key");
        let first = first.and_then(|span| first_line_of(text, table.get_ref(), &span));
        let help = first.map(|line| format!("it stands in line {line} already"));
        let finding = Diagnostic::error(format!("TOML: {}", error.message())).at(place);
        reader.reading.diagnostics.push(finding.maybe_help(help));
    }
    reader.unsaid += errors.len().saturating_sub(MAX_FINDINGS);
    // What is left of a file with syntax errors may be read wrongly: its values are not complained about as well.
    if errors.is_empty() {
        reader.table(table.get_ref(), "");
    }
    if reader.unsaid > 0 {
        let message = format!("{} more findings in this file are not shown", reader.unsaid);
        let place = Some(Place::Path(Arc::clone(&reader.path)));
        reader.reading.diagnostics.push(Diagnostic::error(message).at(place));
    }
    reader.reading
}

struct Reader<'t> {
    path: Arc<PathBuf>,
    text: &'t str,
    reading: Reading,
    /// How many findings are counted only.
    unsaid: usize,
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
            // A heading with nothing below it, as in the sample, gives nothing.
            if spec.kind == Kind::Cluster
                && matches!(entry.value.get_ref(), DeValue::Table(table) if table.is_empty())
            {
                return;
            }
            match self.value(spec, entry.value) {
                Ok(value) => self.given(spec, value, entry),
                Err(problems) => {
                    for problem in problems {
                        self.refuse(spec, problem, entry);
                    }
                }
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
        if let (Kind::Cluster, DeValue::Table(members)) = (spec.kind, entry.value.get_ref()) {
            self.warn_of_options_among(members, &entry.key);
        }
        let place = Place::File(self.locate(entry.key_span.clone()));
        self.reading.given.push(Given { spec, value, place });
    }

    /// A member may have any name; one that is called as an option is none, as a rule.
    fn warn_of_options_among(&mut self, members: &DeTable<'_>, table: &str) {
        for (name, _) in members {
            if let Some(help) = belongs(self.text, table, name.get_ref())
                && !self.is_full()
            {
                let message = format!("`{}` is read as a member's name", name.get_ref());
                let warning = Diagnostic::warning(message).about("initial-cluster").help(help);
                self.report(warning, name.span());
            }
        }
    }

    fn refuse(&mut self, spec: &'static OptionSpec, problem: Problem, entry: &Entry<'_, '_>) {
        if self.is_full() {
            return;
        }
        let help = problem.help.or_else(|| expectation(spec, ""));
        let given = entry.value.get_ref().as_str();
        let etcds = given.and_then(|text| spec.words.map(|words| words(text)));
        let message = match (etcds, problem.message.as_str()) {
            (Some(etcds), _) => etcds,
            // Go's two words say less than the file's reader knows.
            (None, PARSE_ERROR) => format!("`{}`: expected {}", entry.key, describe(spec.kind)),
            (None, message) => format!("`{}`: {message}", entry.key),
        };
        let part = problem.span.unwrap_or_else(|| entry.value.span());
        let span = if spec.secret { entry.key_span.clone() } else { part };
        self.report(Diagnostic::error(message).about(spec.name).maybe_help(help), span);
    }

    fn unknown(&mut self, entry: &Entry<'_, '_>) {
        if self.is_full() {
            return;
        }
        let misplaced = entry.key.rsplit_once('.').and_then(|(table, key)| belongs(self.text, table, key));
        let help = misplaced.or_else(|| match options::find(&entry.key) {
            Some(spec) if !spec.key.is_empty() => Some(format!("in the file it is called `{}`", spec.key)),
            Some(spec) => Some(format!("--{} has no key in the file", spec.name)),
            None => suggest(&entry.key).map(|key| format!("did you mean `{key}`?")),
        });
        let message = format!("unknown key `{}`", entry.key);
        self.report(Diagnostic::error(message).maybe_help(help), entry.key_span.clone());
    }

    /// True when no more findings are shown; counts the one that is not.
    fn is_full(&mut self) -> bool {
        let full = self.reading.diagnostics.len() >= MAX_FINDINGS;
        self.unsaid += usize::from(full);
        full
    }

    fn report(&mut self, diagnostic: Diagnostic, span: Range<usize>) {
        let place = Place::File(self.locate(span));
        self.reading.diagnostics.push(diagnostic.at(Some(place)));
    }

    fn locate(&self, span: Range<usize>) -> FilePlace {
        locate(&self.path, self.text, span)
    }

    fn value(&self, spec: &'static OptionSpec, value: &Spanned<DeValue<'_>>) -> Result<Value, Vec<Problem>> {
        let kind = spec.kind;
        let one = |result: Result<Value, String>| result.map_err(|message| vec![Problem::new(message)]);
        match value.get_ref() {
            DeValue::String(text) => one(Value::given(spec, text)),
            DeValue::Boolean(on) if kind == Kind::Bool => Ok(Value::Bool(*on)),
            DeValue::Integer(number) => one(match i64::from_str_radix(number.as_str(), number.radix()) {
                // A count of hours or revisions, though a text to etcd.
                Ok(number) if spec.takes_numbers => Ok(Value::Text(number.to_string())),
                Ok(number) => Value::from_integer(kind, number).unwrap_or_else(|| Err(expected(kind, value))),
                Err(_) => Err("value out of range".to_string()),
            }),
            DeValue::Array(array) => array_value(kind, array.iter()),
            DeValue::Table(table) if kind == Kind::Cluster => cluster_value(table, self.text),
            DeValue::Table(table) if kind == Kind::Gates => gates_value(table, self.text),
            _ => one(Err(expected(kind, value))),
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
) -> Result<Value, Vec<Problem>> {
    let (mut texts, mut problems) = (Vec::new(), Vec::new());
    for element in elements {
        match element.get_ref() {
            // Each element on its own first, so that each wrong one gets its mark.
            DeValue::String(text) => match Value::parse_array(kind, &[text]) {
                Ok(_) => texts.push(text.as_ref()),
                Err(reason) => problems.push(Problem::at(reason, element.span())),
            },
            other => {
                problems.push(Problem::at(
                    format!("expected a string, found {}", name_of(other)),
                    element.span(),
                ));
            }
        }
    }
    finish(problems, || Value::parse_array(kind, &texts))
}

/// The value, unless there are problems.
fn finish(
    problems: Vec<Problem>,
    value: impl FnOnce() -> Result<Value, String>,
) -> Result<Value, Vec<Problem>> {
    if problems.is_empty() { value().map_err(|message| vec![Problem::new(message)]) } else { Err(problems) }
}

fn cluster_value(table: &DeTable<'_>, text: &str) -> Result<Value, Vec<Problem>> {
    let (mut members, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, urls) in table {
        let help = belongs(text, "initial-cluster", name.get_ref());
        let texts: Option<Vec<&str>> = match urls.get_ref() {
            DeValue::String(text) => Some(text.split(',').collect()),
            DeValue::Array(array) => array.iter().map(|element| element.get_ref().as_str()).collect(),
            _ => None,
        };
        match texts.map(|texts| cluster_urls(&texts)) {
            Some(Ok(urls)) => {
                members.insert(name.get_ref().to_string(), urls);
            }
            Some(Err(reason)) => problems.push(Problem { help, ..Problem::at(reason, urls.span()) }),
            None => {
                let message =
                    format!("expected {}, found {}", describe(Kind::PeerUrls), name_of(urls.get_ref()));
                problems.push(Problem { help, ..Problem::at(message, urls.span()) });
            }
        }
    }
    finish(problems, || Ok(Value::Cluster(members)))
}

fn gates_value(table: &DeTable<'_>, text: &str) -> Result<Value, Vec<Problem>> {
    let (mut gates, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, on) in table {
        match (gate_name(name.get_ref()), on.get_ref()) {
            (Ok(name), DeValue::Boolean(on)) => {
                gates.insert(name, *on);
            }
            (Ok(_), other) => {
                let message = format!("expected true or false, found {}", name_of(other));
                problems.push(Problem::at(message, on.span()));
            }
            (Err(reason), _) => {
                let names = options::GATES.iter().map(|gate| gate.name);
                let is_shown = problems.len() < MAX_FINDINGS;
                let meant = if is_shown { did_you_mean(name.get_ref(), names) } else { None };
                let help = belongs(text, "feature-gates", name.get_ref());
                let help = help.or_else(|| meant.map(|name| format!("did you mean {name}?")));
                problems.push(Problem { help, ..Problem::at(reason, name.span()) });
            }
        }
    }
    finish(problems, || Ok(Value::Gates(gates)))
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
