//! The environment: `ETCD_*` for etcd's options, `KVD_*` for kvd's own.

use super::super::diagnostic::{Diagnostic, Place};
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
    let mut ours: Vec<&(String, String)> =
        variables.iter().filter(|(name, _)| name.starts_with("ETCD_") || name.starts_with("KVD_")).collect();
    ours.sort();
    for (name, text) in ours {
        if text.is_empty() || NO_OPTIONS.contains(&name.as_str()) {
            continue;
        }
        if name == "ETCD_VERSION" {
            reading.diagnostics.push(
                Diagnostic::warning("cannot set special environment variable")
                    .at(Some(Place::Variable(format!("{name}={text}")))),
            );
            continue;
        }
        match options::find_variable(name).filter(|spec| spec.section != Section::Program) {
            Some(spec) => {
                let shown = if spec.secret { MASK } else { text };
                let place = Place::Variable(format!("{name}={shown}"));
                match Value::given(spec, text) {
                    Ok(value) => reading.given.push(Given { spec, value, place }),
                    Err(reason) => {
                        let error = Diagnostic::error(refusal(spec, name, text, shown, &reason));
                        let error =
                            error.about(spec.name).at(Some(place)).maybe_help(expectation(spec, &reason));
                        reading.diagnostics.push(error);
                    }
                }
            }
            None => reading.diagnostics.push(unknown(name)),
        }
    }
    reading
}

/// The value is not shown: nobody knows what it is.
fn unknown(name: &str) -> Diagnostic {
    let help = other_prefix(name).or_else(|| {
        // Compared without the prefix, which would make everything alike.
        let (prefix, rest) = name.split_once('_')?;
        let owner = if prefix == "KVD" { Owner::Kvd } else { Owner::Etcd };
        let ours = options::all().filter(|spec| spec.owner == owner && spec.section != Section::Program);
        let meant = did_you_mean(&rest.to_ascii_lowercase().replace('_', "-"), ours.map(|spec| spec.name))?;
        options::find(meant).map(|spec| format!("did you mean {}?", spec.variable()))
    });
    Diagnostic::warning(format!("unrecognized environment variable {name}"))
        .at(Some(Place::Variable(name.to_string())))
        .maybe_help(help)
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
