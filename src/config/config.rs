//! The configuration for the rest of kvd.

use super::diagnostic::Diagnostic;
use super::findings::Findings;
use super::sections::{
    Addresses, Audit, Auth, Backup, ClientTls, Clustering, Discovery, Emergency, Features, Http, Join,
    Limits, Logging, Member, PeerTls, Raft, Storage, program, retired,
};
use super::settings::{Origin, Settings};
use super::spec::OptionSpec;
use super::surroundings::Surroundings;

/// Declares the sections once: the fields of [`Config`], the tables of rows, and how values become sections.
macro_rules! sections {
    ($($(#[$doc:meta])* $field:ident: $section:ident,)*) => {
        /// A checked configuration: every value typed, every rule of etcd between options fulfilled. Only
        /// [`read`](super::read()) makes it. Two configurations are equal if they mean the same, regardless of where
        /// their values come from.
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(#[$doc])* pub $field: $section,)*
            settings: Settings,
        }

        /// All rows, in the order in which options are shown.
        pub(super) const TABLES: &[&[OptionSpec]] =
            &[$($section::OPTIONS,)* program::OPTIONS, retired::OPTIONS];

        impl Config {
            /// Makes the sections from settings, and reports values that are not valid for their option.
            pub(super) fn new(settings: Settings) -> (Self, Vec<Diagnostic>) {
                let mut found = Findings::of(&settings);
                $(let $field = $section::read(&mut found);)*
                let found = found.finish();
                (Self { $($field,)* settings }, found)
            }
        }
    };
}

sections! {
    /// This member.
    member: Member,
    /// The addresses it listens on, and the addresses it gives to others.
    addresses: Addresses,
    /// How a cluster begins.
    clustering: Clustering,
    /// How the first members find each other.
    discovery: Discovery,
    /// The one-step join.
    join: Join,
    /// Consensus.
    raft: Raft,
    /// The store.
    storage: Storage,
    /// Scheduled backups.
    backup: Backup,
    /// Limits.
    limits: Limits,
    /// TLS towards clients.
    client_tls: ClientTls,
    /// TLS between members.
    peer_tls: PeerTls,
    /// HTTP.
    http: Http,
    /// Users.
    auth: Auth,
    /// Logs.
    logging: Logging,
    /// Who did what.
    audit: Audit,
    /// Feature gates.
    features: Features,
    /// Options that no member uses for long.
    emergency: Emergency,
}

/// The sections are derived from the values.
impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl Config {
    /// The rules of all sections, in the order in which they are reported.
    pub(super) fn check(&self) -> Vec<Diagnostic> {
        let mut findings = Findings::of(&self.settings);
        let found = &mut findings;
        self.member.check(&self.addresses, found);
        self.addresses.check(found);
        self.clustering.check(&self.discovery, found);
        self.discovery.check(found);
        self.join.check(found);
        self.raft.check(found);
        self.storage.check(found);
        self.backup.check(&self.member, found);
        self.limits.check(found);
        self.client_tls.check(&self.addresses, found);
        self.peer_tls.check(&self.addresses, found);
        self.logging.check(found);
        self.audit.check(found);
        self.features.check(found);
        self.emergency.check(found);
        findings.finish()
    }

    /// This configuration after a reload that reads `new`: options that a reload applies have their new values, all
    /// others keep those they have here.
    pub fn reloaded(&self, new: &Config) -> Config {
        let mut settings = new.settings.clone();
        for (spec, setting) in self.settings.iter().filter(|(spec, _)| !spec.reloads) {
            settings.set(spec.name, setting.value.clone(), setting.origin.clone());
        }
        // Both were valid, and so is each of their values.
        Config::new(settings).0
    }

    /// Where an option's value comes from; the name is the flag's.
    pub fn origin(&self, option: &str) -> &Origin {
        self.settings.origin(option)
    }

    /// All values with their origins.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// Fills in missing values, and corrects what etcd corrects, with a warning. `installed` says that /etc/kv/cluster.toml
/// was read. The order follows the dependencies between values.
pub(super) fn derive(
    settings: &mut Settings,
    surroundings: &Surroundings<'_>,
    installed: bool,
) -> Vec<Diagnostic> {
    Member::derive(settings, surroundings, installed);
    Addresses::derive(settings, surroundings);
    Clustering::derive(settings);
    PeerTls::derive(settings, surroundings);
    Auth::derive(settings)
}
