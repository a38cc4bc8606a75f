//! The environment: `ETCD_*` for etcd's options, `KVD_*` for kvd's own.

use std::path::Path;
use std::sync::Arc;

use super::super::diagnostic::{Diagnostic, Place, locate};
use super::super::options::{self, Owner, Section, did_you_mean};
use super::super::settings::Given;
use super::super::value::Value;
use super::{MASK, Reading, expectation, refusal};

/// Variables with these prefixes that are no options: the file's name, which is read before all else, and etcd's
/// leave to run on other processors.
const NO_OPTIONS: [&str; 3] = ["ETCD_CONFIG_FILE", "KVD_CONFIG_FILE", "ETCD_UNSUPPORTED_ARCH"];

/// Reads the variables that are kvd's; one that nobody knows is a warning only, since service managers and Kubernetes
/// set such variables by themselves. An empty variable is as good as none.
pub fn read_environment(variables: &[(String, String)]) -> Reading {
    let mut reading = Reading::default();
    let mut sorted: Vec<&(String, String)> = variables.iter().collect();
    sorted.sort();
    for (name, text) in sorted {
        read_variable(name, text, &mut reading, Place::Variable);
    }
    reading
}

/// A file of variables, as systemd reads it for a service (systemd.exec(5), `EnvironmentFile=`).
#[derive(Clone, Debug, Default)]
pub struct EnvironmentFile {
    /// Names and values, a later one of the same name winning.
    pub variables: Vec<(String, String)>,
    /// What they say of options.
    pub reading: Reading,
}

/// Reads a file of variables. It never panics.
pub fn read_environment_file(path: &Path, text: &str) -> EnvironmentFile {
    let path = Arc::new(path.to_path_buf());
    let mut file = EnvironmentFile::default();
    let mut at = 0;
    let mut lines = text.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let start = at;
        at += line.len();
        let mut whole = line.trim_end_matches(['\n', '\r']).to_string();
        while whole.ends_with('\\') {
            whole.pop();
            let Some(next) = lines.next() else { break };
            at += next.len();
            whole.push_str(next.trim_end_matches(['\n', '\r']));
        }
        let trimmed = whole.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let place = Place::File(locate(&path, text, start + indent..start + line.trim_end().len()));
        match trimmed.split_once('=') {
            Some((name, value)) => {
                let (name, value) = (name.trim().to_string(), unquoted(value.trim()));
                read_variable(&name, &value, &mut file.reading, |_| place.clone());
                file.variables.retain(|(known, _)| *known != name);
                file.variables.push((name, value));
            }
            None => {
                let message = "this line is no NAME=value: systemd ignores it";
                file.reading.diagnostics.push(Diagnostic::warning(message).at(Some(place)));
            }
        }
    }
    file
}

/// A value without its quotes.
fn unquoted(text: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return if quote == '"' { inner.replace("\\\"", "\"") } else { inner.to_string() };
        }
    }
    text.to_string()
}

/// `place` makes the place of `NAME=value`, in which a secret is masked.
fn read_variable(name: &str, text: &str, reading: &mut Reading, place: impl Fn(String) -> Place) {
    let is_ours = name.starts_with("ETCD_") || name.starts_with("KVD_");
    if !is_ours || text.is_empty() || NO_OPTIONS.contains(&name) {
        return;
    }
    if name == "ETCD_VERSION" {
        let warning = Diagnostic::warning("cannot set special environment variable");
        reading.diagnostics.push(warning.at(Some(place(format!("{name}={text}")))));
        return;
    }
    let Some(spec) = options::find_variable(name).filter(|spec| spec.section != Section::Program) else {
        reading.diagnostics.push(unknown(name, place(name.to_string())));
        return;
    };
    let shown = if spec.secret { MASK } else { text };
    let place = place(format!("{name}={shown}"));
    match Value::given(spec, text) {
        Ok(value) => reading.given.push(Given { spec, value, place }),
        Err(reason) => {
            let error = Diagnostic::error(refusal(spec, name, text, shown, &reason)).about(spec.name);
            reading.diagnostics.push(error.at(Some(place)).maybe_help(expectation(spec, &reason)));
        }
    }
}

/// The value is not shown: nobody knows what it is.
fn unknown(name: &str, place: Place) -> Diagnostic {
    let help = other_prefix(name).or_else(|| {
        // Compared without the prefix, which would make everything alike.
        let (prefix, rest) = name.split_once('_')?;
        let owner = if prefix == "KVD" { Owner::Kvd } else { Owner::Etcd };
        let ours = options::all().filter(|spec| spec.owner == owner && spec.section != Section::Program);
        let meant = did_you_mean(&rest.to_ascii_lowercase().replace('_', "-"), ours.map(|spec| spec.name))?;
        options::find(meant).map(|spec| format!("did you mean {}?", spec.variable()))
    });
    Diagnostic::warning(format!("unrecognized environment variable {name}")).at(Some(place)).maybe_help(help)
}

/// `KVD_NAME` for `ETCD_NAME`, or the other way round.
fn other_prefix(name: &str) -> Option<String> {
    let (rest, owner) = match name.strip_prefix("KVD_") {
        Some(rest) => (rest, Owner::Etcd),
        None => (name.strip_prefix("ETCD_")?, Owner::Kvd),
    };
    let spec = options::find(&rest.to_ascii_lowercase().replace('_', "-"))?;
    (spec.owner == owner && spec.section != Section::Program)
        .then(|| format!("the variable is called {}", spec.variable()))
}
