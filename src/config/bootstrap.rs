//! The options that only count while the data directory is empty, and what can be wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::diagnostic::Diagnostic;
use super::options::{self, OptionSpec};
use super::settings::Settings;
use super::surroundings::{Disk, Files};
use super::url::{Url, join_urls};
use super::value::{Value, cluster_text};

/// The options that an initialised data directory wins over, as with etcd.
pub fn bootstrap_options() -> impl Iterator<Item = &'static OptionSpec> {
    options::all().filter(|spec| spec.bootstrap)
}

/// True when the data directory holds a member already, so that the bootstrap options are not looked at: the identity
/// is written once the member is founded.
pub fn is_initialised(data_dir: &Path) -> bool {
    is_initialised_in(&Disk, data_dir)
}

/// The same in another file system.
pub(super) fn is_initialised_in(files: &dyn Files, data_dir: &Path) -> bool {
    files.exists(&data_dir.join("member").join("identity"))
}

/// What stands against bootstrapping, as far as that can be told without asking the network.
pub(super) fn problems(settings: &Settings) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let existing = settings.text("initial-cluster-state") == "existing";
    if !settings.list("join-peers").is_empty() {
        if !existing {
            let message = "[join] is for a cluster that exists: initial-cluster-state must be \"existing\"";
            problems.push(about(settings, "join-peers", message.to_string()));
        }
        return problems;
    }
    let found_elsewhere =
        ["discovery-srv", "discovery-endpoints"].iter().any(|name| !settings.get(name).value.is_empty());
    if found_elsewhere {
        if existing && !settings.list("discovery-endpoints").is_empty() {
            let message = "discovery URL should not be set when joining existing initial cluster";
            problems.push(about(settings, "discovery-endpoints", message.to_string()));
        }
        return problems;
    }
    let Value::Cluster(members) = &settings.get("initial-cluster").value else { return problems };
    if members.is_empty() {
        let message = "initial cluster unset and no discovery endpoints found";
        problems.push(about(settings, "initial-cluster", message.to_string()));
        return problems;
    }
    let problem = static_problem(settings, members, existing);
    problems.extend(problem.map(|message| about(settings, "initial-cluster", message)));
    problems
}

fn about(settings: &Settings, option: &'static str, message: String) -> Diagnostic {
    Diagnostic::error(message).about(option).at(settings.origin(option).place())
}

fn static_problem(
    settings: &Settings,
    members: &BTreeMap<String, Vec<Url>>,
    existing: bool,
) -> Option<String> {
    let name = settings.text("name");
    let Some(own) = members.get(&name) else {
        return Some(format!("couldn't find local name {name:?} in the initial cluster configuration"));
    };
    let mut seen = BTreeSet::new();
    if !members.values().flatten().all(|url| seen.insert(url.as_str())) {
        return Some(format!("initial cluster {} has duplicate url", cluster_text(members)));
    }
    if existing {
        // Its URLs were announced when it was added; they need not be repeated.
        return None;
    }
    // Without DNS a host name matches anything; `advertised_problem` is asked again by whoever can resolve names.
    advertised_problem(&name, own, &settings.urls("initial-advertise-peer-urls"), |url| {
        match url.socket_addr() {
            Some(address) => Ok(Some(address.to_string())),
            None => Ok(None),
        }
    })
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
