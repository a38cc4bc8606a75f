//! Values that follow from others when they are not given.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::settings::{Origin, Settings};
use super::surroundings::Surroundings;
use super::value::Value;

/// Fills in what was not given. `has_default_file` says that /etc/kv/cluster.toml was read: kvd is installed, not just
/// tried out.
pub(super) fn derive(settings: &mut Settings, surroundings: &Surroundings<'_>, has_default_file: bool) {
    data_dir(settings, surroundings, has_default_file);
    advertise(settings, surroundings);
    initial_cluster(settings);
    credential(settings, surroundings);
    if settings.text("admin-socket").is_empty()
        && let Some(directory) = surroundings.variable("RUNTIME_DIRECTORY").and_then(first_directory)
    {
        let socket = format!("{directory}/admin.sock");
        settings.set("admin-socket", Value::Text(socket), Origin::Derived("$RUNTIME_DIRECTORY"));
    }
}

/// systemd separates several directories by colons.
fn first_directory(list: &str) -> Option<&str> {
    list.split(':').find(|directory| !directory.is_empty())
}

fn data_dir(settings: &mut Settings, surroundings: &Surroundings<'_>, has_default_file: bool) {
    if !settings.text("data-dir").is_empty() {
        return;
    }
    let state = surroundings.variable("STATE_DIRECTORY").and_then(first_directory);
    let (directory, from) = match state {
        Some(directory) => (directory.to_string(), "$STATE_DIRECTORY"),
        None if has_default_file => ("/var/lib/kv".to_string(), "the presence of /etc/kv/cluster.toml"),
        None => (format!("{}.etcd", settings.text("name")), "name"),
    };
    settings.set("data-dir", Value::Text(directory), Origin::Derived(from));
}

/// As etcd: a member that listens everywhere and was told no name of its own tells others the address of the default
/// route. Client URLs need no such guess, since listening to clients without saying where they find one is an error.
fn advertise(settings: &mut Settings, surroundings: &Surroundings<'_>) {
    let name = "initial-advertise-peer-urls";
    if settings.is_given(name) {
        return;
    }
    let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let listen = settings.urls("listen-peer-urls");
    let Some(first) = listen.first().filter(|url| url.socket_addr().is_some_and(|at| at.ip() == everywhere))
    else {
        return;
    };
    if let Some(host) = (surroundings.default_host)() {
        let url = first.with_host(host, first.port());
        settings.set(name, Value::Urls(vec![url]), Origin::Derived("listen-peer-urls and the default route"));
    }
}

fn initial_cluster(settings: &mut Settings) {
    if settings.is_given("initial-cluster") {
        return;
    }
    let looks_elsewhere =
        ["discovery-srv", "discovery-endpoints"].iter().any(|name| !settings.get(name).value.is_empty());
    let (members, from) = if looks_elsewhere {
        (Default::default(), "discovery")
    } else {
        let own = settings.urls("initial-advertise-peer-urls");
        let members = [(settings.text("name"), own)];
        (members.into_iter().collect(), "name and initial-advertise-peer-urls")
    };
    settings.set("initial-cluster", Value::Cluster(members), Origin::Derived(from));
}

fn credential(settings: &mut Settings, surroundings: &Surroundings<'_>) {
    let given =
        ["cluster-secret", "cluster-secret-file"].iter().any(|name| !settings.get(name).value.is_empty());
    let Some(directory) = surroundings.variable("CREDENTIALS_DIRECTORY") else { return };
    let path = Path::new(directory).join("kvd.cluster-secret");
    if !given && surroundings.files.exists(&path) {
        let text = path.to_string_lossy().into_owned();
        settings.set("cluster-secret-file", Value::Text(text), Origin::Credential(path));
    }
}
