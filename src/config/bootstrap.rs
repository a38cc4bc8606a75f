//! The options that only count while the data directory is empty, and what can be wrong with them.

use std::collections::BTreeSet;
use std::path::Path;

use super::config::Config;
use super::diagnostic::Diagnostic;
use super::options::{self, OptionSpec};
use super::sections::ClusterState;
use super::surroundings::{Disk, Files};
use super::url::{Url, join_urls};
use super::value::cluster_text;

/// The options that are ignored if the data directory is initialised, as in etcd.
pub fn bootstrap_options() -> impl Iterator<Item = &'static OptionSpec> {
    options::all().filter(|spec| spec.bootstrap)
}

/// True if the data directory holds a member already, so that the bootstrap options are not used: the identity is
/// written when the member is founded.
pub fn is_initialised(data_dir: &Path) -> bool {
    is_initialised_in(&Disk, data_dir)
}

/// The same in another file system.
pub(super) fn is_initialised_in(files: &dyn Files, data_dir: &Path) -> bool {
    files.exists(&data_dir.join("member").join("identity"))
}

impl Config {
    /// Findings in the options that only count while the data directory is empty, as far as possible without the
    /// network. The daemon refuses to start with any of these if it has to bootstrap, and ignores them on a member with
    /// data, as etcd does.
    pub fn bootstrap_problems(&self) -> Vec<Diagnostic> {
        let mut rows = self.settings().iter();
        if rows.any(|(spec, setting)| setting.origin.is_refused() && (spec.bootstrap || spec.name == "name"))
        {
            // That has been reported already, and a result of defaults is not the operator's mistake.
            return Vec::new();
        }
        let problem = match (self.join.peers.is_empty(), self.discovery.finds_members()) {
            (false, _) => self.join_problem(),
            (true, true) => self.discovery_problem(),
            (true, false) => self.static_problem().map(|message| ("initial-cluster", message)),
        };
        let about =
            |(option, message)| Diagnostic::error(message).about(option).at(self.origin(option).place());
        problem.map(about).into_iter().collect()
    }

    fn exists(&self) -> bool {
        self.clustering.initial_cluster_state == ClusterState::Existing
    }

    fn join_problem(&self) -> Option<(&'static str, String)> {
        let message = "[join] is for a cluster that exists: initial-cluster-state must be \"existing\"";
        (!self.exists()).then(|| ("join-peers", message.to_string()))
    }

    fn discovery_problem(&self) -> Option<(&'static str, String)> {
        let message = "discovery URL should not be set when joining existing initial cluster";
        let by_etcd = !self.discovery.endpoints.is_empty();
        (self.exists() && by_etcd).then(|| ("discovery-endpoints", message.to_string()))
    }

    fn static_problem(&self) -> Option<String> {
        let (name, members) = (&self.member.name, &self.clustering.initial_cluster);
        if members.is_empty() {
            return Some("initial cluster unset and no discovery endpoints found".to_string());
        }
        let Some(own) = members.get(name) else {
            return Some(format!("couldn't find local name {name:?} in the initial cluster configuration"));
        };
        let mut seen = BTreeSet::new();
        if !members.values().flatten().all(|url| seen.insert(url.as_str())) {
            return Some(format!("initial cluster {} has duplicate url", cluster_text(members)));
        }
        if self.exists() {
            // Its URLs were announced when it was added; they need not be repeated.
            return None;
        }
        // Without DNS a host name matches anything; a caller that can resolve names checks again.
        advertised_problem(name, own, &self.addresses.advertise_peer_urls, |url| {
            Ok(url.socket_addr().map(|address| address.to_string()))
        })
    }
}

/// Compares the member's own entry of `initial-cluster` with what it advertises, as etcd does: as texts first, then by
/// the addresses that `resolve` makes of the URLs (`None`: cannot be told, taken as equal).
pub fn advertised_problem(
    name: &str,
    in_cluster: &[Url],
    advertised: &[Url],
    resolve: impl Fn(&Url) -> Result<Option<String>, String>,
) -> Option<String> {
    let reason = mismatch(advertised, in_cluster, resolve)?;
    let missing = |from: &[Url], of: &[Url]| -> Vec<String> {
        from.iter().filter(|url| !of.contains(url)).map(|url| url.to_string()).collect()
    };
    let not_advertised: Vec<String> =
        missing(in_cluster, advertised).into_iter().map(|url| format!("{name}={url}")).collect();
    let advertised_text = join_urls(advertised);
    if !not_advertised.is_empty() {
        return Some(format!(
            "--initial-cluster has {} but missing from --initial-advertise-peer-urls={advertised_text} ({reason})",
            not_advertised.join(",")
        ));
    }
    let not_in_cluster = missing(advertised, in_cluster);
    let own: Vec<String> = in_cluster.iter().map(|url| format!("{name}={url}")).collect();
    if !not_in_cluster.is_empty() {
        return Some(format!(
            "--initial-advertise-peer-urls has {} but missing from --initial-cluster={}",
            not_in_cluster.join(","),
            own.join(",")
        ));
    }
    Some(format!(
        "failed to resolve {advertised_text} to match --initial-cluster={} ({reason})",
        own.join(",")
    ))
}

fn mismatch(
    advertised: &[Url],
    in_cluster: &[Url],
    resolve: impl Fn(&Url) -> Result<Option<String>, String>,
) -> Option<String> {
    let texts =
        |urls: &[Url]| urls.iter().map(|url| format!("{:?}", url.as_str())).collect::<Vec<_>>().join(" ");
    if advertised.len() != in_cluster.len() {
        return Some(format!("len([{}]) != len([{}])", texts(advertised), texts(in_cluster)));
    }
    // Both are sorted.
    for (ours, theirs) in advertised.iter().zip(in_cluster) {
        if ours == theirs {
            continue;
        }
        match (resolve(ours), resolve(theirs)) {
            (Err(error), _) | (_, Err(error)) => return Some(error),
            (Ok(None), _) | (_, Ok(None)) => {}
            (Ok(Some(a)), Ok(Some(b))) if a == b && ours.scheme() == theirs.scheme() => {}
            (Ok(Some(_)), Ok(Some(_))) => {
                return Some(format!("resolved urls: {:?} != {:?}", ours.as_str(), theirs.as_str()));
            }
        }
    }
    None
}
