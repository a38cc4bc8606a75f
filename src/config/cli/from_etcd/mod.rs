//! `kvd config from-etcd`: etcd's own configuration becomes a cluster.toml.
//!
//! Everything that configures an etcd is accepted: its YAML file, the same in JSON (which is YAML), the shell-like file
//! of variables that service units read, the units themselves, and manifests that run it in a container or set it up in
//! CoreOS. A setting without a counterpart in kvd becomes a comment; a value that etcd would refuse, too, is an error,
//! and so is a file without any setting of etcd; kvd's findings in the result are printed as warnings.

mod command;
mod manifest;
mod shell;
mod unit;
mod yaml;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use unit::service_settings;

use super::{Answer, text_of};
use crate::config::diagnostic::{Diagnostic, FilePlace, Place, Severity, system_text};
use crate::config::options::{self, Effect, Kind, OptionSpec};
use crate::config::read::read;
use crate::config::render::Document;
use crate::config::surroundings::{Files, Surroundings};
use crate::config::value::{PARSE_ERROR, Value, describe};

/// One key with its text, as found in etcd's file.
struct Item {
    /// The key in the file: dotted for YAML, the variable's name for a shell file.
    key: String,
    /// The option, if one has that key.
    spec: Option<&'static OptionSpec>,
    /// The text of a scalar, or the elements of an array.
    content: Content,
    /// Its place in the file.
    place: FilePlace,
}

enum Content {
    Scalar(String),
    Array(Vec<String>),
    /// A YAML null or an empty variable: as if the key were not there.
    Nothing,
    /// A value that is only known where the container runs.
    Elsewhere,
}

/// Turns a file into a cluster.toml.
pub(super) fn from_etcd(file: &str, surroundings: &Surroundings<'_>) -> Answer {
    let bytes = match surroundings.files.read(Path::new(file)) {
        Ok(bytes) => bytes,
        Err(error) => {
            let words = system_text(&error);
            return Answer::findings(&[Diagnostic::error(format!("cannot read {file}: {words}"))]);
        }
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return Answer::findings(&[Diagnostic::error(format!("{file} is not UTF-8"))]);
    };
    match convert(Path::new(file), &text, surroundings.files) {
        Ok((toml, warnings)) => Answer { out: toml, err: text_of(&warnings), code: 0 },
        Err(findings) => Answer::findings(&findings),
    }
}

/// The text of a cluster.toml that means the same as etcd's file, and what was left out. `files` is used to read files
/// that a unit refers to. It never panics.
///
/// # Errors
/// All syntax errors and all values that etcd would refuse, too.
pub fn convert(
    path: &Path,
    text: &str,
    files: &dyn Files,
) -> Result<(String, Vec<Diagnostic>), Vec<Diagnostic>> {
    let path = Arc::new(path.to_path_buf());
    let is_shell = shell::looks_like_shell(text);
    let items = if is_shell {
        shell::read(&path, text)
    } else if unit::looks_like_unit(text) {
        unit::read(&path, text, files)
    } else if let Some(words) = command::looks_like_command(&path, text) {
        command::read(&words, &Default::default())
    } else {
        yaml::read(&path, text)
    }?;
    let mut conversion = Conversion::new(&path);
    for item in &items {
        conversion.item(item);
    }
    // A file with nothing but comments is also a file of variables: Debian's is like that when installed.
    if is_shell || items.is_empty() {
        conversion.units_name(files);
    }
    conversion.etcds_defaults();
    let (toml, mut warnings) = conversion.finish()?;
    warnings.extend(what_kvd_says(&toml));
    Ok((toml, warnings))
}

/// The findings of `kvd check` in the new file; they are not errors here, because the user is going to review the file.
fn what_kvd_says(toml: &str) -> Vec<Diagnostic> {
    struct OneFile<'t>(&'t str);
    impl Files for OneFile<'_> {
        fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> {
            Ok(self.0.as_bytes().to_vec())
        }
        fn list(&self, _: &Path) -> std::io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }
        fn exists(&self, _: &Path) -> bool {
            true
        }
    }
    let arguments = vec!["--config-file=cluster.toml".to_string()];
    let files = OneFile(toml);
    let outcome =
        read(&Surroundings { arguments, variables: Vec::new(), files: &files, default_host: || None });
    let later = outcome.config.iter().flat_map(|config| config.bootstrap_problems().to_vec());
    let findings = outcome.diagnostics.iter().cloned().chain(later);
    findings.map(|finding| Diagnostic { severity: Severity::Warning, ..finding }).collect()
}

struct Conversion {
    document: Document,
    dropped: Vec<String>,
    warnings: Vec<Diagnostic>,
    errors: Vec<Diagnostic>,
    path: Arc<PathBuf>,
    done: Vec<&'static str>,
}

impl Conversion {
    fn new(path: &Arc<PathBuf>) -> Self {
        Self {
            document: Document::default(),
            dropped: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
            path: Arc::clone(path),
            done: Vec::new(),
        }
    }

    fn item(&mut self, item: &Item) {
        let Some(spec) = item.spec else {
            return match (item.key.as_str(), &item.content) {
                (_, Content::Nothing) => {}
                ("ETCD_UNSUPPORTED_ARCH", _) => {
                    self.drop(item, "kvd asks for no leave to run on a processor")
                }
                _ => self.drop(item, "etcd ignores it, too: there is no such option"),
            };
        };
        if let Content::Scalar(file) = &item.content
            && let Some(help) = command::leads_elsewhere(spec, file)
        {
            let error = Diagnostic::error(format!("`{}` names the file to convert", item.key)).help(help);
            self.errors.push(error.about(spec.name).at(Some(Place::File(item.place.clone()))));
            return;
        }
        if matches!(item.content, Content::Elsewhere) {
            return self.drop(item, "only what runs the container knows its value; write it here");
        }
        if matches!(spec.name, "data-dir" | "wal-dir") {
            return self
                .drop(item, "etcd's data are there, which kvd cannot read; its own are in /var/lib/kv");
        }
        let value = match value_of(spec, &item.content) {
            None => return,
            Some(Ok(value)) => value,
            Some(Err(reason)) => {
                let reason =
                    if reason == PARSE_ERROR { format!("expected {}", describe(spec.kind)) } else { reason };
                let error = Diagnostic::error(format!("`{}`: {reason}", item.key)).about(spec.name);
                self.errors.push(error.at(Some(Place::File(item.place.clone()))));
                return;
            }
        };
        match spec.effect {
            Effect::Acts if spec.key.is_empty() => self.drop(item, "it has no place in the file"),
            Effect::Acts => self.put(spec, &value, &[]),
            Effect::Ignored(reason) => self.drop(item, reason),
            Effect::Refused { harmless, .. } if harmless.contains(&value.to_text(spec.kind).as_str()) => {}
            Effect::Refused { reason, .. } => {
                let error = Diagnostic::error(reason(&value.to_text(spec.kind))).about(spec.name);
                self.errors.push(error.at(Some(Place::File(item.place.clone()))));
            }
            Effect::Alias(now) => self.renamed(spec, now, value),
            Effect::GateAlias(gate) => {
                if let Value::Bool(on) = value
                    && let Some(gates) = options::find("feature-gates")
                {
                    let gates_value = Value::Gates([(gate.to_string(), on)].into());
                    let above = [format!("was: {}", spec.name)];
                    self.document.put_clear(gates, &gates_value, &above);
                }
            }
        }
    }

    fn renamed(&mut self, spec: &'static OptionSpec, now: &'static str, value: Value) {
        let Some(now) = options::find(now) else { return };
        let value = match (value, now.kind) {
            (Value::Bool(true), Kind::Choice(_)) => Value::Text("debug".to_string()),
            (Value::Bool(false), Kind::Choice(_)) => return,
            (value, _) => value,
        };
        match now.effect {
            Effect::Ignored(reason) => self.dropped.push(format!("{}: {reason}", spec.name)),
            _ => self.put(now, &value, &[format!("was: {}", spec.name)]),
        }
    }

    /// A file of variables may leave the name to the unit that reads it: Debian's unit uses the host's name.
    fn units_name(&mut self, files: &dyn Files) {
        if self.done.contains(&"name") {
            return;
        }
        let (name, reason) = match unit::variable_of_unit("ETCD_NAME", files) {
            Some(name) => (name, "etcd's unit sets it"),
            None => (
                unit::host_name(files),
                "the host's name, which Debian's unit sets; without a unit it is \"default\"",
            ),
        };
        if let (Some(name), Some(spec)) = (name, options::find("name")) {
            let warning =
                Diagnostic::warning(format!("the file has no ETCD_NAME; `name` is {name}: {reason}"));
            self.warnings.push(warning.about(spec.name).at(Some(Place::Path(Arc::clone(&self.path)))));
            self.put(spec, &Value::Text(name), &[format!("not in the file: {reason}")]);
        }
    }

    /// A default of etcd's file that kvd does not have: in the file, clients may be listened to without an advertised
    /// URL.
    fn etcds_defaults(&mut self) {
        if self.done.contains(&"listen-client-urls")
            && !self.done.contains(&"advertise-client-urls")
            && let Some(spec) = options::find("advertise-client-urls")
            && let Ok(value) = Value::parse(spec.kind, spec.default)
        {
            self.put(spec, &value, &["etcd's default; clients elsewhere need another".to_string()]);
        }
    }

    /// A key that comes twice, under two names, counts once: TOML refuses duplicates.
    fn put(&mut self, spec: &'static OptionSpec, value: &Value, above: &[String]) {
        if value.is_empty() && spec.default.is_empty() {
            return;
        }
        if self.done.contains(&spec.name) {
            self.dropped.push(format!("{}: it is set already", spec.key));
            return;
        }
        self.done.push(spec.name);
        self.document.put_clear(spec, value, above);
    }

    fn drop(&mut self, item: &Item, reason: &str) {
        self.dropped.push(format!("{}: {reason}", item.key));
        let warning = Diagnostic::warning(format!("`{}` is left out: {reason}", item.key));
        self.warnings.push(warning.at(Some(Place::File(item.place.clone()))));
    }

    fn finish(self) -> Result<(String, Vec<Diagnostic>), Vec<Diagnostic>> {
        if !self.errors.is_empty() {
            let mut findings = self.errors;
            findings.extend(self.warnings);
            return Err(findings);
        }
        let mut text =
            format!("# Made by `kvd config from-etcd` from {}.\n", printable(&self.path.to_string_lossy()));
        if !self.dropped.is_empty() {
            text.push_str("# Left out:\n");
            for dropped in &self.dropped {
                text.push_str(&format!("#   {}\n", printable(dropped)));
            }
        }
        text.push('\n');
        text.push_str(&self.document.text());
        Ok((text, self.warnings))
    }
}

/// One line for a comment, whatever a key or path contains.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The option's value; `None` if the key sets nothing.
fn value_of(spec: &'static OptionSpec, content: &Content) -> Option<Result<Value, String>> {
    match content {
        Content::Nothing | Content::Elsewhere => None,
        Content::Array(elements) => {
            let elements: Vec<&str> = elements.iter().map(String::as_str).collect();
            Some(Value::parse_array(spec.kind, &elements))
        }
        Content::Scalar(text) => {
            // etcd's file counts durations in nanoseconds, and YAML has more words for a boolean than Go.
            if spec.kind == Kind::Duration
                && let Ok(nanos) = text.parse::<i64>()
            {
                return Value::from_integer(spec.kind, nanos);
            }
            let text = match (spec.kind, text.as_str()) {
                (Kind::Bool, "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y") => "true",
                (Kind::Bool, "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N") => "false",
                (_, text) => text,
            };
            // An empty text in etcd's file means the default, whatever the type.
            let is_text = matches!(spec.kind, Kind::Text | Kind::Path);
            if text.is_empty() && (spec.empty_is_default || !is_text) {
                return None;
            }
            Some(Value::parse(spec.kind, text))
        }
    }
}
