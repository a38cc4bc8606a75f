//! Brings the sources together: flag over environment over files over default, option by option.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::{Config, derive};
use super::diagnostic::{Diagnostic, Place, Severity, system_text};
use super::options;
use super::settings::{Given, Origin, Settings};
use super::source::{
    EnvironmentFile, Reading, read_environment, read_environment_file, read_flags, read_toml,
};
use super::spec::{Effect, Kind, OptionSpec};
use super::surroundings::Surroundings;
use super::value::Value;

/// The configuration file if none is named.
pub const DEFAULT_FILE: &str = "/etc/kv/cluster.toml";

/// The variables that systemd gives the service (`EnvironmentFile=` of kvd.service).
pub const ENVIRONMENT_FILE: &str = "/etc/kv/kvd.env";

/// The result of reading a configuration.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The configuration; none when there are errors.
    pub config: Option<Config>,
    /// The configuration as far as it can be read, with defaults for values that cannot be; none if it is not known what
    /// was meant: a source has errors of syntax, or names that no option has.
    pub(super) draft: Option<Config>,
    /// Everything found, errors first, each kind in the order file, environment, flag.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
}

impl Outcome {
    /// The configuration with its warnings, or all findings.
    ///
    /// # Errors
    /// When there is an error among the findings.
    pub fn into_result(self) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
        match self.config {
            Some(config) => Ok((config, self.diagnostics)),
            None => Err(self.diagnostics),
        }
    }
}

/// Reads, merges and checks a configuration. Every error of every source is reported at once, and with them what the
/// rules say about options whose values could be read.
pub fn read(surroundings: &Surroundings<'_>) -> Outcome {
    let flags = read_flags(&surroundings.arguments);
    read_layers(flags, EnvironmentFile::default(), Vec::new(), surroundings)
}

/// The same as the installed service is going to read it, unless a file is named that is not the service's: with the
/// variables that systemd takes from [`ENVIRONMENT_FILE`].
pub(super) fn read_as_service(surroundings: &Surroundings<'_>) -> Outcome {
    let flags = read_flags(&surroundings.arguments);
    let path = Path::new(ENVIRONMENT_FILE);
    if !names_no_other_file(surroundings) {
        return read(surroundings);
    }
    match surroundings.files.read(path).map(String::from_utf8) {
        Ok(Ok(text)) => {
            read_layers(flags, read_environment_file(path, &text), vec![path.to_path_buf()], surroundings)
        }
        Ok(Err(_)) => {
            let mut outcome = read(surroundings);
            let place = Some(Place::Path(Arc::new(path.to_path_buf())));
            outcome.diagnostics.insert(0, Diagnostic::error("the file is not UTF-8").at(place));
            Outcome { config: None, ..outcome }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => read(surroundings),
        // systemd can read the file nevertheless.
        Err(error) => {
            let mut outcome = read(surroundings);
            let unread = Diagnostic { severity: Severity::Warning, ..unreadable(path, &error, None) };
            outcome.diagnostics.push(unread);
            outcome
        }
    }
}

/// True if neither a flag nor a variable names a configuration file.
pub(super) fn names_no_other_file(surroundings: &Surroundings<'_>) -> bool {
    config_file(&read_flags(&surroundings.arguments), &[], surroundings).is_none()
}

fn read_layers(
    flags: Reading,
    file: EnvironmentFile,
    also_read: Vec<PathBuf>,
    surroundings: &Surroundings<'_>,
) -> Outcome {
    let environment = read_environment(&surroundings.variables);
    let mut layers = Layers::default();
    layers.files(config_file(&flags, &file.variables, surroundings), surroundings);
    layers.files.extend(also_read);
    layers.add(file.reading);
    layers.add(environment);
    layers.add(flags);
    layers.finish(surroundings)
}

/// The file to read, and the place that names it; `variables` are those of a file of variables.
fn config_file(
    flags: &Reading,
    variables: &[(String, String)],
    surroundings: &Surroundings<'_>,
) -> Option<(PathBuf, Place)> {
    let flag = flags.given.iter().rev().find(|given| given.spec.name == "config-file");
    let named = flag.and_then(|given| match &given.value {
        Value::Text(path) => Some((path.clone(), given.place.clone())),
        _ => None,
    });
    let variable = |name: &str| {
        let filed = variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let path = surroundings.variable(name).or(filed)?;
        Some((path.to_string(), Place::Variable(format!("{name}={path}"))))
    };
    let (path, place) =
        named.or_else(|| variable("KVD_CONFIG_FILE")).or_else(|| variable("ETCD_CONFIG_FILE"))?;
    (!path.is_empty()).then(|| (PathBuf::from(path), place))
}

/// The merged values of all sources.
#[derive(Default)]
struct Layers {
    settings: Option<Settings>,
    gates: BTreeMap<String, bool>,
    diagnostics: Vec<Diagnostic>,
    /// One warning for each option that does nothing or has another name now; the last place counts.
    notes: BTreeMap<&'static str, Diagnostic>,
    /// Options whose value kvd cannot honour; a harmless value of a higher source takes it back.
    refusals: BTreeMap<&'static str, Diagnostic>,
    files: Vec<PathBuf>,
}

impl Layers {
    fn files(&mut self, named: Option<(PathBuf, Place)>, surroundings: &Surroundings<'_>) {
        let (path, place) = match named {
            Some((path, place)) => (path, Some(place)),
            None => (PathBuf::from(DEFAULT_FILE), None),
        };
        self.file(&path, place, surroundings);
        let mut directory = path.into_os_string();
        directory.push(".d");
        let directory = PathBuf::from(directory);
        match surroundings.files.list(&directory) {
            Ok(mut drop_ins) => {
                drop_ins.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
                drop_ins.sort();
                for path in drop_ins {
                    let place = Some(Place::Path(Arc::new(directory.clone())));
                    self.file(&path, place, surroundings);
                }
            }
            Err(error) => self.diagnostics.push(unreadable(&directory, &error, None)),
        }
    }

    /// Reads one file; only a file that nobody named may be missing.
    fn file(&mut self, path: &Path, named: Option<Place>, surroundings: &Surroundings<'_>) {
        let bytes = match surroundings.files.read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => return,
            Err(error) => {
                self.diagnostics.push(unreadable(path, &error, named));
                return;
            }
        };
        self.files.push(path.to_path_buf());
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
                    .iter()
                    .filter(|b| **b == b'\n')
                    .count();
                let place = Some(Place::Path(Arc::new(path.to_path_buf())));
                self.diagnostics.push(Diagnostic::error(format!("line {line} is not UTF-8")).at(place));
                return;
            }
        };
        let mut reading = read_toml(path.to_path_buf(), &text);
        if reading.diagnostics.iter().any(Diagnostic::is_error) && looks_like_etcds(path, &text) {
            let help = format!(
                "this looks like etcd's file; turn it into kvd's with: kvd config from-etcd {}",
                path.display()
            );
            let place = Some(Place::Path(Arc::new(path.to_path_buf())));
            reading = Reading {
                diagnostics: vec![
                    Diagnostic::error("the configuration file is no TOML").at(place).help(help),
                ],
                ..Reading::default()
            };
        }
        self.add(reading);
    }

    fn add(&mut self, reading: Reading) {
        let refused = reading.diagnostics.iter().filter(|finding| finding.is_error());
        let refused: Vec<(&'static str, Place)> = refused
            .filter_map(|finding| Some((present_name(finding.option?)?, finding.place.clone()?)))
            .collect();
        self.diagnostics.extend(reading.diagnostics);
        // A former name gives way to the present one within a source, whatever their order.
        let is_present =
            |given: &Given| !matches!(given.spec.effect, Effect::Alias(_) | Effect::GateAlias(_));
        let mut given = reading.given;
        given.sort_by_key(is_present);
        for given in given {
            self.lay(given);
        }
        for (option, place) in refused {
            self.settings().set_default(option, Origin::Refused(place));
        }
    }

    fn lay(&mut self, given: Given) {
        let Given { spec, value, place } = given;
        match spec.effect {
            Effect::Acts if spec.key.is_empty() => {}
            Effect::Acts => self.put(spec, value, place),
            Effect::Ignored(reason) => self.ignore(spec, reason, place),
            Effect::Refused { harmless, reason } => {
                let text = value.to_text(spec.kind);
                let refusal = (!harmless.contains(&text.as_str())).then(|| reason(&text));
                self.refuse(spec, refusal, place);
            }
            Effect::Alias(name) => self.rename(spec, name, value, place),
            Effect::GateAlias(gate) => {
                let now = format!("--feature-gates={gate}={}", value.to_text(spec.kind));
                self.deprecate(spec, &now, &place);
                if let Value::Bool(on) = value {
                    self.gates.insert(gate.to_string(), on);
                    self.put_gates(place);
                }
            }
        }
    }

    fn put(&mut self, spec: &'static OptionSpec, value: Value, place: Place) {
        match value {
            Value::Gates(gates) => {
                self.gates.extend(gates);
                self.put_gates(place);
            }
            value => self.settings().set(spec.name, value, Origin::Given(place)),
        }
    }

    fn put_gates(&mut self, place: Place) {
        let gates = Value::Gates(self.gates.clone());
        self.settings().set("feature-gates", gates, Origin::Given(place));
    }

    fn rename(&mut self, spec: &'static OptionSpec, name: &'static str, value: Value, place: Place) {
        let Some(now) = options::find(name) else { return };
        // 3.4's --debug is the one former name with another kind of value.
        let value = match (value, now.kind) {
            (Value::Bool(true), Kind::Choice(_)) => Value::Text("debug".to_string()),
            (Value::Bool(false), Kind::Choice(_)) => return,
            (value, _) => value,
        };
        self.deprecate(spec, &format!("--{name}"), &place);
        self.lay(Given { spec: now, value, place });
    }

    fn deprecate(&mut self, spec: &'static OptionSpec, now: &str, place: &Place) {
        let message = if spec.name.starts_with("experimental-") {
            format!(
                "--{} is deprecated in v3.6 and will be decommissioned in v3.7. Use '{now}' instead.",
                spec.name
            )
        } else {
            format!("--{} is deprecated. Use '{now}' instead.", spec.name)
        };
        let note = Diagnostic::warning(message).about(spec.name).at(Some(place.clone()));
        self.notes.insert(spec.name, note);
    }

    fn ignore(&mut self, spec: &'static OptionSpec, reason: &str, place: Place) {
        let note = Diagnostic::warning(format!("--{} has no effect: {reason}", spec.name));
        self.notes.insert(spec.name, note.about(spec.name).at(Some(place)));
    }

    fn refuse(&mut self, spec: &'static OptionSpec, reason: Option<String>, place: Place) {
        match reason {
            Some(reason) => {
                let refusal = Diagnostic::error(reason).about(spec.name).at(Some(place));
                self.refusals.insert(spec.name, refusal)
            }
            None => self.refusals.remove(spec.name),
        };
    }

    fn settings(&mut self) -> &mut Settings {
        self.settings.get_or_insert_with(defaults)
    }

    fn finish(mut self, surroundings: &Surroundings<'_>) -> Outcome {
        self.diagnostics.extend(std::mem::take(&mut self.refusals).into_values());
        self.diagnostics.extend(std::mem::take(&mut self.notes).into_values());
        let mut settings = self.settings.take().unwrap_or_else(defaults);
        let mut draft = None;
        // An error that is about no option says that it is not known what was meant.
        if !self.diagnostics.iter().any(|finding| finding.is_error() && finding.option.is_none()) {
            let installed = self.files.iter().any(|path| path == Path::new(DEFAULT_FILE));
            self.diagnostics.extend(derive(&mut settings, surroundings, installed));
            let (made, found) = Config::new(settings);
            self.diagnostics.extend(found);
            self.diagnostics.extend(made.check());
            draft = Some(made);
        }
        // Stable: the order of sources stays within errors and warnings.
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.severity);
        let config = draft.clone().filter(|_| !self.diagnostics.iter().any(Diagnostic::is_error));
        Outcome { config, draft, diagnostics: self.diagnostics, files: self.files }
    }
}

/// The option that a finding is about, by its present name; none for one that keeps no value.
fn present_name(name: &'static str) -> Option<&'static str> {
    let spec = options::find(name)?;
    match spec.effect {
        Effect::Alias(name) => present_name(name),
        Effect::GateAlias(_) => Some("feature-gates"),
        _ => spec.acts().then_some(name),
    }
}

fn defaults() -> Settings {
    Settings::defaults(options::all().filter(|spec| spec.acts()))
}

fn unreadable(path: &Path, error: &std::io::Error, named: Option<Place>) -> Diagnostic {
    let words = system_text(error);
    Diagnostic::error(format!("cannot read {}: {words}", path.display())).at(named)
}

/// By its name, or by its first line that says something: etcd's file may have any name, and a file with errors that begins
/// with `key: value`, `{` or `ETCD_NAME=` is no TOML that somebody mistyped.
fn looks_like_etcds(path: &Path, text: &str) -> bool {
    let is_named =
        ["yml", "yaml", "json"].iter().any(|known| path.extension().is_some_and(|it| it == *known));
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    is_named
        || first.is_some_and(|line| {
            let key = line.split(':').next().unwrap_or_default().trim_matches(['"', '\'']);
            let is_key = line.contains(':')
                && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            let line = line.strip_prefix("export ").unwrap_or(line);
            line.starts_with(['{']) || line == "---" || line.starts_with("ETCD_") || is_key
        })
}
