//! Every option of every section. Flags, variables, the file's keys, the help text, both man pages and the sample file
//! are generated from these rows; nothing else in kvd knows an option's default or meaning.

use super::config::TABLES;

pub use super::gates::{GATES, Gate, GateStage, find_gate};
pub use super::spec::{Effect, Kind, OptionSpec, Owner, Section};

/// Every option.
pub fn all() -> impl Iterator<Item = &'static OptionSpec> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The option of that flag name.
pub fn find(name: &str) -> Option<&'static OptionSpec> {
    all().find(|spec| spec.name == name)
}

/// The option of that key in the file.
pub fn find_key(key: &str) -> Option<&'static OptionSpec> {
    all().find(|spec| !spec.key.is_empty() && spec.key == key)
}

/// The option of that environment variable.
pub fn find_variable(variable: &str) -> Option<&'static OptionSpec> {
    all().find(|spec| spec.variable() == variable)
}

/// The candidate that is most similar to `word`, if it is similar enough for a question: a few letters differ, or
/// `word` is a beginning of it.
pub fn did_you_mean<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let likeness = |candidate: &str| {
        let begun = word.len() >= 4 && candidate.starts_with(word);
        let apart = strsim::normalized_damerau_levenshtein(word, candidate);
        // Of several with the same beginning, the shortest is the most likely one.
        if begun { apart.max(0.9) - candidate.len() as f64 / 10_000.0 } else { apart }
    };
    candidates
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_keys_and_variables_are_unique() {
        let mut names = HashSet::new();
        let mut keys = HashSet::new();
        let mut variables = HashSet::new();
        for spec in all() {
            assert!(names.insert(spec.name), "two options are called {}", spec.name);
            assert!(spec.key.is_empty() || keys.insert(spec.key), "two options have the key {}", spec.key);
            assert!(variables.insert(spec.variable()), "two options have the variable {}", spec.variable());
            assert!(!spec.help.is_empty(), "{} has no help", spec.name);
        }
    }

    #[test]
    fn former_names_lead_somewhere() {
        for spec in all() {
            match spec.effect {
                Effect::Alias(name) => {
                    assert!(find(name).is_some_and(OptionSpec::acts_or_warns), "{}", spec.name)
                }
                Effect::GateAlias(gate) => assert!(find_gate(gate).is_some(), "{}", spec.name),
                _ => {}
            }
        }
    }

    impl OptionSpec {
        fn acts_or_warns(&self) -> bool {
            matches!(self.effect, Effect::Acts | Effect::Ignored(_))
        }
    }

    #[test]
    fn suggestions_are_close_or_absent() {
        let names = || all().map(|spec| spec.name);
        assert_eq!(did_you_mean("listen-client-url", names()), Some("listen-client-urls"));
        assert_eq!(did_you_mean("heartbeet-interval", names()), Some("heartbeat-interval"));
        assert_eq!(did_you_mean("listen-client", names()), Some("listen-client-urls"));
        assert_eq!(did_you_mean("nmae", names()), Some("name"));
        assert_eq!(did_you_mean("zzz", names()), None);
        assert_eq!(did_you_mean("service-host", names()), None);
    }
}
