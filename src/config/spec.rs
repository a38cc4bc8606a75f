//! The description of an option: its names, its values, its default, and its effect. The rows are in `sections/`.

/// The groups in which options are shown; each is a file of `sections/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// This member: its name and directories.
    Member,
    /// The addresses it listens on, and those at which others reach it.
    Addresses,
    /// How a cluster begins.
    Clustering,
    /// How the first members find each other.
    Discovery,
    /// The one-step join.
    Join,
    /// Elections, membership and the log.
    Raft,
    /// The state on disk.
    Storage,
    /// Scheduled backups.
    Backup,
    /// Limits of requests and connections.
    Limits,
    /// TLS towards clients.
    ClientTls,
    /// Credentials of members for each other.
    PeerTls,
    /// HTTP and JSON.
    Http,
    /// Users' tokens and passwords.
    Auth,
    /// Logs and warnings.
    Logging,
    /// Who did what.
    Audit,
    /// Feature gates.
    Features,
    /// For emergencies.
    Emergency,
    /// The program itself.
    Program,
    /// Names of older etcds.
    Retired,
}

impl Section {
    /// All sections, in the order in which they are shown.
    pub const ALL: [Self; 19] = [
        Self::Member,
        Self::Addresses,
        Self::Clustering,
        Self::Discovery,
        Self::Join,
        Self::Raft,
        Self::Storage,
        Self::Backup,
        Self::Limits,
        Self::ClientTls,
        Self::PeerTls,
        Self::Http,
        Self::Auth,
        Self::Logging,
        Self::Audit,
        Self::Features,
        Self::Emergency,
        Self::Program,
        Self::Retired,
    ];

    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Member => "Member",
            Self::Addresses => "Addresses",
            Self::Clustering => "Clustering",
            Self::Discovery => "Discovery",
            Self::Join => "Joining",
            Self::Raft => "Consensus and membership",
            Self::Storage => "Storage",
            Self::Backup => "Backups",
            Self::Limits => "Limits",
            Self::ClientTls => "TLS with clients",
            Self::PeerTls => "TLS between members",
            Self::Http => "HTTP",
            Self::Auth => "Auth",
            Self::Logging => "Logging",
            Self::Audit => "Audit",
            Self::Features => "Feature gates",
            Self::Emergency => "Emergencies",
            Self::Program => "Program",
            Self::Retired => "Names of older etcd versions",
        }
    }
}

/// The values that an option accepts, and the type they become.
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
    /// A Go duration; in the file also whole nanoseconds, as in etcd's file.
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
    /// An obsolete flag with any value or none.
    Anything,
}

impl Kind {
    /// The placeholder for a value in help texts.
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

    /// True if Go's flag syntax allows the flag without a value, so that it does not take the next argument.
    pub fn is_switch(self) -> bool {
        matches!(self, Self::Bool | Self::Anything)
    }
}

/// The effect of setting the option.
#[derive(Clone, Copy, Debug)]
pub enum Effect {
    /// It is used.
    Acts,
    /// It is accepted, with one warning that gives this reason.
    Ignored(&'static str),
    /// Any value except the harmless ones is an error with this text, because ignoring it would do something other than
    /// requested.
    Refused {
        /// Values that change nothing.
        harmless: &'static [&'static str],
        /// Why the value is refused, and what to use.
        reason: fn(&str) -> String,
    },
    /// A previous name of the named option.
    Alias(&'static str),
    /// A previous name of the named feature gate.
    GateAlias(&'static str),
}

/// The owner of an option; decides the variable's prefix.
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
    /// The key in cluster.toml, with dots for tables; empty if the file has none.
    pub key: &'static str,
    /// What it accepts.
    pub kind: Kind,
    /// The default, in the flag's syntax; empty for none.
    pub default: &'static str,
    /// The section in which it is shown.
    pub section: Section,
    /// Its owner.
    pub owner: Owner,
    /// The etcd versions that have it, or `kvd`.
    pub since: &'static str,
    /// Its effect.
    pub effect: Effect,
    /// A reload applies it to a running member.
    pub reloads: bool,
    /// The meaning of zero, in the flag's syntax; empty if zero is an ordinary value.
    pub zero_means: &'static str,
    /// In the file, a number is accepted in place of its text.
    pub takes_numbers: bool,
    /// It names a file that must exist.
    pub names_file: bool,
    /// etcd's text for a value that is not among the choices.
    pub words: Option<fn(&str) -> String>,
    /// Never shown in clear.
    pub secret: bool,
    /// Only used while the data directory is empty.
    pub bootstrap: bool,
    /// An empty text means the default, as in etcd. For other options it is an empty text or list, or an error if their
    /// kind has no such value.
    pub empty_is_default: bool,
    /// Its description.
    pub help: &'static str,
}

impl OptionSpec {
    /// An option of etcd that is used, and whose key is its name.
    pub(super) const fn etcd(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            name,
            key: name,
            kind,
            default,
            section: Section::Member,
            owner: Owner::Etcd,
            since: "3.4",
            effect: Effect::Acts,
            reloads: false,
            zero_means: "",
            takes_numbers: false,
            names_file: false,
            words: None,
            secret: false,
            bootstrap: false,
            empty_is_default: false,
            help,
        }
    }

    /// An option of kvd's own.
    pub(super) const fn own(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        let mut spec = Self::etcd(name, kind, default, help);
        spec.owner = Owner::Kvd;
        spec.since = "kvd";
        spec
    }

    pub(super) const fn section(mut self, section: Section) -> Self {
        self.section = section;
        self
    }

    pub(super) const fn key(mut self, key: &'static str) -> Self {
        self.key = key;
        self
    }

    pub(super) const fn since(mut self, since: &'static str) -> Self {
        self.since = since;
        self
    }

    pub(super) const fn ignored(mut self, reason: &'static str) -> Self {
        self.effect = Effect::Ignored(reason);
        self
    }

    pub(super) const fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    pub(super) const fn reloads(mut self) -> Self {
        self.reloads = true;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(super) const fn zero_means(mut self, text: &'static str) -> Self {
        self.zero_means = text;
        self
    }

    pub(super) const fn takes_numbers(mut self) -> Self {
        self.takes_numbers = true;
        self
    }

    pub(super) const fn names_file(mut self) -> Self {
        self.names_file = true;
        self
    }

    pub(super) const fn words(mut self, words: fn(&str) -> String) -> Self {
        self.words = Some(words);
        self
    }

    pub(super) const fn bootstrap(mut self) -> Self {
        self.bootstrap = true;
        self
    }

    pub(super) const fn empty_is_default(mut self) -> Self {
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

    /// The description, with the meaning of zero.
    pub fn description(&self) -> String {
        match self.zero_means {
            "" => self.help.to_string(),
            zero => format!("{} 0 means {zero}.", self.help),
        }
    }

    /// Notes on the option in addition to its description.
    pub fn marks(&self) -> String {
        let marks = [(self.reloads, " [reload]"), (self.bootstrap, " [first start]")];
        marks.iter().filter(|(holds, _)| *holds).map(|(_, mark)| *mark).collect()
    }

    /// True if the option is used, so that it belongs in `config show` and the sample file.
    pub fn acts(&self) -> bool {
        matches!(self.effect, Effect::Acts) && !self.key.is_empty()
    }
}
