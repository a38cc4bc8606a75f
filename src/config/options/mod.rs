//! One definition of every option. Flags, variables, the file's keys, the help text, both man pages and the sample
//! file are all made from this table; nothing else in kvd knows an option's name, default or meaning.
//!
//! Rules: an option stands in the table of its section; its help says what kvd does with it, in one or two sentences;
//! an option that changes nothing here says why (`Effect::Ignored`), one whose silent loss would be dangerous is
//! refused (`Effect::Refused`), a former name leads to its successor (`Effect::Alias`, `Effect::GateAlias`), and what
//! the daemon does not act on yet is marked `pending()` until it does.

mod clustering;
mod features;
mod gates;
mod member;
mod monitoring;
mod own;
mod retired;
mod security;

pub use gates::{GATES, Gate, GateStage, find_gate};

/// The groups under which options are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// This member: name, directories, listeners, limits.
    Member,
    /// How clusters come about.
    Clustering,
    /// The cluster's secret and the one-step join: kvd's own.
    Identity,
    /// TLS and who may speak.
    Security,
    /// Users' tokens and passwords.
    Auth,
    /// Logs, metrics and warnings.
    Monitoring,
    /// Background work.
    Features,
    /// For emergencies.
    Unsafe,
    /// The program itself.
    Program,
    /// Names of older etcds.
    Retired,
}

impl Section {
    /// All sections, in the order in which they are shown.
    pub const ALL: [Self; 10] = [
        Self::Member,
        Self::Clustering,
        Self::Identity,
        Self::Security,
        Self::Auth,
        Self::Monitoring,
        Self::Features,
        Self::Unsafe,
        Self::Program,
        Self::Retired,
    ];

    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Member => "Member",
            Self::Clustering => "Clustering",
            Self::Identity => "Identity and joining",
            Self::Security => "Security",
            Self::Auth => "Auth",
            Self::Monitoring => "Monitoring and logging",
            Self::Features => "Background work",
            Self::Unsafe => "Emergencies",
            Self::Program => "Program",
            Self::Retired => "Names of older etcd versions",
        }
    }
}

/// What texts an option accepts and what value they become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A file or directory; empty for none.
    Path,
    /// Go's booleans: 1, 0, t, f, T, F, true, false, TRUE, FALSE, True, False.
    Bool,
    /// A whole number from 0 to the maximum.
    Number(u64),
    /// A whole number that may be negative.
    Signed,
    /// A Go duration; in the file also whole nanoseconds, as in etcd's.
    Duration,
    /// Whole milliseconds, or a Go duration.
    Millis,
    /// Whole seconds, or a Go duration.
    Seconds,
    /// URLs that clients use, comma-separated or as an array.
    ClientUrls,
    /// URLs that members use.
    PeerUrls,
    /// Texts, comma-separated or as an array.
    List,
    /// Origins for CORS: URLs or `*`.
    Origins,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// `name=URL` pairs, or a table of them.
    Cluster,
    /// `Gate=bool` pairs, or a table of them.
    Gates,
    /// A flag of old that takes any value or none.
    Anything,
}

impl Kind {
    /// What stands for a value in help texts.
    pub fn placeholder(self) -> String {
        match self {
            Self::Text => "TEXT".to_string(),
            Self::Path => "PATH".to_string(),
            Self::Bool => "BOOL".to_string(),
            Self::Number(_) | Self::Signed => "NUMBER".to_string(),
            Self::Duration => "DURATION".to_string(),
            Self::Millis => "MILLISECONDS".to_string(),
            Self::Seconds => "SECONDS".to_string(),
            Self::ClientUrls | Self::PeerUrls => "URLS".to_string(),
            Self::List => "LIST".to_string(),
            Self::Origins => "ORIGINS".to_string(),
            Self::Choice(choices) => choices.join("|"),
            Self::Cluster => "NAME=URL,...".to_string(),
            Self::Gates => "GATE=BOOL,...".to_string(),
            Self::Anything => "ANY".to_string(),
        }
    }

    /// True when Go's flag syntax lets the flag stand alone, so that it does not take the next argument.
    pub fn is_switch(self) -> bool {
        matches!(self, Self::Bool | Self::Anything)
    }
}

/// What giving the option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It acts.
    Acts,
    /// It is accepted with one warning that gives this reason.
    Ignored(&'static str),
    /// Any value but the harmless ones is an error with this text, since ignoring it would do something else than
    /// asked.
    Refused {
        /// Values that change nothing.
        harmless: &'static [&'static str],
        /// Why it is refused and what to use.
        reason: &'static str,
    },
    /// A former name of the named option.
    Alias(&'static str),
    /// A former name of the named feature gate.
    GateAlias(&'static str),
}

/// Whose option it is; decides the variable's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// etcd's: `ETCD_NAME`.
    Etcd,
    /// kvd's own: `KVD_NAME`.
    Kvd,
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// The flag's name, without dashes.
    pub name: &'static str,
    /// The key in cluster.toml, with dots for tables; empty when the file has none.
    pub key: &'static str,
    /// What it accepts.
    pub kind: Kind,
    /// The default, in the flag's spelling; empty for none.
    pub default: &'static str,
    /// Where it is shown.
    pub section: Section,
    /// Whose it is.
    pub owner: Owner,
    /// The etcd versions that have it, or `kvd`.
    pub since: &'static str,
    /// What giving it does.
    pub effect: Effect,
    /// Accepted and checked, but nothing in kvd acts on it yet: giving it another value than the default is a warning.
    pub pending: bool,
    /// A reload applies it to a running member.
    pub reloads: bool,
    /// Never shown in clear.
    pub secret: bool,
    /// Only read while the data directory is empty.
    pub bootstrap: bool,
    /// An empty text stands for the default, as in etcd. Of other options it is a text or list with nothing in it, or,
    /// if their kind has no such value, an error.
    pub empty_is_default: bool,
    /// What it is for.
    pub help: &'static str,
}

impl OptionSpec {
    /// An option of etcd's that acts, whose key is its name.
    const fn etcd(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Self {
        Self {
            name,
            key: name,
            kind,
            default,
            section: Section::Member,
            owner: Owner::Etcd,
            since: "3.4",
            effect: Effect::Acts,
            pending: false,
            reloads: false,
            secret: false,
            bootstrap: false,
            empty_is_default: false,
            help,
        }
    }

    /// An option of kvd's own.
    const fn own(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Self {
        let mut spec = Self::etcd(name, kind, default, help);
        spec.owner = Owner::Kvd;
        spec.since = "kvd";
        spec
    }

    const fn section(mut self, section: Section) -> Self {
        self.section = section;
        self
    }

    const fn key(mut self, key: &'static str) -> Self {
        self.key = key;
        self
    }

    const fn since(mut self, since: &'static str) -> Self {
        self.since = since;
        self
    }

    const fn ignored(mut self, reason: &'static str) -> Self {
        self.effect = Effect::Ignored(reason);
        self
    }

    const fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    const fn pending(mut self) -> Self {
        self.pending = true;
        self
    }

    const fn reloads(mut self) -> Self {
        self.reloads = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn bootstrap(mut self) -> Self {
        self.bootstrap = true;
        self
    }

    const fn empty_is_default(mut self) -> Self {
        self.empty_is_default = true;
        self
    }

    /// The environment variable's name.
    pub fn variable(&self) -> String {
        let prefix = match self.owner {
            Owner::Etcd => "ETCD_",
            Owner::Kvd => "KVD_",
        };
        format!("{prefix}{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// What is said of the option beside its help.
    pub fn marks(&self) -> String {
        let marks =
            [(self.pending, " [not yet]"), (self.reloads, " [reload]"), (self.bootstrap, " [first start]")];
        marks.iter().filter(|(holds, _)| *holds).map(|(_, mark)| *mark).collect()
    }

    /// True when the option does something here, so that it belongs into `config show` and the sample file.
    pub fn acts(&self) -> bool {
        matches!(self.effect, Effect::Acts) && !self.key.is_empty()
    }
}

/// All tables, in the order in which options are shown.
const TABLES: [&[OptionSpec]; 8] = [
    member::OPTIONS,
    clustering::OPTIONS,
    own::OPTIONS,
    security::OPTIONS,
    monitoring::OPTIONS,
    features::OPTIONS,
    own::PROGRAM,
    retired::OPTIONS,
];

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

/// The candidate most like `word`, when it is like enough to be worth a question: a few letters apart, or begun and
/// not finished.
pub fn did_you_mean<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let likeness = |candidate: &str| {
        let begun = word.len() >= 4 && candidate.starts_with(word);
        let apart = strsim::normalized_damerau_levenshtein(word, candidate);
        // The shortest of several that begin alike is the most likely one.
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
