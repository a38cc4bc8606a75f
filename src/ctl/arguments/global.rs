//! The flags that all commands have, and their variables.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, ValueHint};

use super::flags::{boolean, duration, offering, on_or_off, whole};
use crate::ctl::discovery::Discovery;
use crate::ctl::print::Format;
use crate::ctl::secret::Secret;

/// Flags of every command. `None` if the flag was not given and another source may have a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Globals {
    pub(in crate::ctl) endpoints: Option<Vec<String>>,
    /// Where DNS names them; before `endpoints`.
    pub(in crate::ctl) discovery: Option<Discovery>,
    pub(in crate::ctl) cacert: Option<PathBuf>,
    pub(in crate::ctl) cert: Option<PathBuf>,
    pub(in crate::ctl) key: Option<PathBuf>,
    pub(in crate::ctl) insecure_transport: bool,
    pub(in crate::ctl) insecure_skip_tls_verify: bool,
    pub(in crate::ctl) dial_timeout: Duration,
    pub(in crate::ctl) command_timeout: Duration,
    /// True if the command line has it: snapshots have no limit otherwise.
    pub(in crate::ctl) command_timeout_given: bool,
    pub(in crate::ctl) keepalive_time: Duration,
    pub(in crate::ctl) keepalive_timeout: Duration,
    pub(in crate::ctl) max_request_bytes: usize,
    pub(in crate::ctl) max_recv_bytes: usize,
    pub(in crate::ctl) format: Format,
    pub(in crate::ctl) hex: bool,
    /// Keys and values as texts, in JSON and YAML.
    pub(in crate::ctl) text: bool,
    /// Ask nothing.
    pub(in crate::ctl) yes: bool,
    pub(in crate::ctl) config_file: Option<PathBuf>,
    /// May have the password behind a colon.
    pub(in crate::ctl) user: Option<Secret>,
    pub(in crate::ctl) password: Option<Secret>,
    pub(in crate::ctl) token: Option<Secret>,
}

/// etcdctl's limits.
const MAX_REQUEST: usize = 2 << 20;
const MAX_ANSWER: usize = i32::MAX as usize;

/// # Errors
/// For a value that is none of its flag's type.
pub(super) fn read(matches: &ArgMatches, format: Format) -> Result<Globals, String> {
    let path = |name: &str| given(matches, name, |text| Ok(PathBuf::from(text)));
    let secret = |name: &str| given(matches, name, |text| Ok(Secret::from(text)));
    let timeout = |name: &str, default: u64| {
        let given = given(matches, name, |text| duration(name, text))?;
        Ok::<_, String>(given.unwrap_or(Duration::from_secs(default)))
    };
    let switch = |name: &str, default: bool| {
        let given = given(matches, name, |text| boolean(name, text))?;
        Ok::<_, String>(given.unwrap_or(default))
    };
    let size = |name: &str, default: usize| {
        let given = given(matches, name, |text| whole(name, text))?;
        Ok::<_, String>(given.filter(|size| *size > 0).unwrap_or(default))
    };
    // It is accepted, and changes nothing: kvctl logs nothing.
    switch("debug", false)?;
    let list = |text: &str| Ok(text.split(',').map(|endpoint| endpoint.trim().to_string()).collect());
    let text = |name: &str| given(matches, name, |text| Ok(text.to_string()));
    let domain = text("discovery-srv")?.filter(|domain| !domain.is_empty());
    let suffix = text("discovery-srv-name")?.unwrap_or_default();
    let insecure = switch("insecure-discovery", true)?;
    Ok(Globals {
        discovery: domain.map(|domain| Discovery { domain, suffix, insecure }),
        endpoints: given(matches, "endpoints", list)?,
        cacert: path("cacert")?,
        cert: path("cert")?,
        key: path("key")?,
        insecure_transport: switch("insecure-transport", true)?,
        insecure_skip_tls_verify: switch("insecure-skip-tls-verify", false)?,
        dial_timeout: timeout("dial-timeout", 2)?,
        command_timeout: timeout("command-timeout", 5)?,
        command_timeout_given: matches.get_one::<String>("command-timeout").is_some(),
        keepalive_time: timeout("keepalive-time", 2)?,
        keepalive_timeout: timeout("keepalive-timeout", 6)?,
        max_request_bytes: size("max-request-bytes", MAX_REQUEST)?,
        max_recv_bytes: size("max-recv-bytes", MAX_ANSWER)?,
        format,
        hex: switch("hex", false)?,
        text: switch("text", false)?,
        yes: switch("yes", false)?,
        config_file: path("config-file")?,
        user: secret("user")?,
        password: secret("password")?,
        token: secret("auth-jwt-token")?,
    })
}

/// A flag's value, or that of its variable: KVCTL_NAME before ETCDCTL_NAME. A variable that is empty or cannot be
/// parsed counts as not set, as in etcdctl.
pub(super) fn given<T>(
    matches: &ArgMatches,
    name: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if let Some(text) = matches.get_one::<String>(name) {
        return read(text).map(Some);
    }
    let variable = name.to_ascii_uppercase().replace('-', "_");
    let values = ["KVCTL_", "ETCDCTL_"].map(|prefix| std::env::var(format!("{prefix}{variable}")));
    let mut values = values.into_iter().flatten().filter(|value| !value.is_empty());
    Ok(values.find_map(|value| read(&value).ok()))
}

/// Commands show their own flags first.
const HEADING: &str = "Flags of all commands";

fn flag(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    let flag = Arg::new(name).long(name).value_name(value).help(help);
    flag.global(true).action(ArgAction::Set).help_heading(HEADING)
}

/// A flag that is no file's name: shells offer none.
fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    flag(name, value, help).value_hint(ValueHint::Other)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    on_or_off(flag(name, "BOOL", help))
}

/// The flags.
pub(super) fn flags() -> Vec<Arg> {
    let formats = "simple (default), table, json, yaml, fields or protobuf, if the command has it";
    let all = &["simple", "table", "json", "yaml", "fields", "protobuf"];
    vec![
        text(
            "endpoints",
            "HOST:PORT,...",
            "Members to connect to; http://, https:// and unix:// are accepted",
        ),
        text(
            "discovery-srv",
            "DOMAIN",
            "Take the endpoints from DNS: SRV records of _etcd-client-ssl._tcp and _etcd-client._tcp",
        )
        .short('d'),
        text(
            "discovery-srv-name",
            "NAME",
            "A suffix to the names of these services: _etcd-client-ssl-NAME._tcp",
        ),
        switch(
            "insecure-discovery",
            "Use endpoints of DNS without TLS, too; false: only with TLS, for DOMAIN's certificate [default: true]",
        ),
        text("user", "USER[:PASSWORD]", "Act as this user; the password is asked for if it is not given"),
        text("password", "PASSWORD", "The user's password; --user is then taken whole"),
        text("auth-jwt-token", "TOKEN", "Act as the user of this token, without a password"),
        flag("cacert", "FILE", "The CA that signs the servers' certificates (PEM)"),
        flag("cert", "FILE", "A client certificate (PEM)"),
        flag("key", "FILE", "The certificate's key (PEM)"),
        offering(flag("write-out", "FORMAT", formats), all).short('w'),
        switch("hex", "Print ids, and in simple keys and values, in hexadecimal"),
        switch(
            "text",
            "Print keys and values in json and yaml as text, not in base64; what is no text is named key_base64",
        ),
        switch("yes", "Do not ask before what cannot be undone; only on a terminal kvctl asks"),
        text("dial-timeout", "DURATION", "How long to try to connect [default: 2s]"),
        text("command-timeout", "DURATION", "How long to wait for an answer [default: 5s]"),
        switch(
            "insecure-transport",
            "Connect without TLS if no certificates are given; false: with TLS [default: true]",
        ),
        text("keepalive-time", "DURATION", "The interval of pings, at least 10s; 0s for none [default: 2s]"),
        text("keepalive-timeout", "DURATION", "How long to wait for the answer to a ping [default: 6s]"),
        text("max-request-bytes", "BYTES", "Send no larger put, deletion or transaction [default: 2 MiB]"),
        text("max-recv-bytes", "BYTES", "Accept no larger answer [default: 2 GiB]"),
        switch("debug", "Accepted for etcdctl's sake; it has no effect"),
        switch("insecure-skip-tls-verify", "Accept any server certificate: for tests only"),
        flag(
            "config-file",
            "FILE",
            "Take endpoints and TLS files from this file, not from /etc/kv/cluster.toml",
        ),
    ]
}

/// The flags with their help, for `kvctl options`.
pub(super) fn help() -> String {
    let flags = flags();
    let shown: Vec<(String, String)> = flags
        .iter()
        .filter(|flag| !flag.is_hide_set())
        .map(|flag| {
            let short = flag.get_short().map_or("    ".to_string(), |short| format!("-{short}, "));
            let value = flag.get_value_names().and_then(<[_]>::first).map(|value| format!(" {value}"));
            let name =
                format!("  {short}--{}{}", flag.get_long().unwrap_or_default(), value.unwrap_or_default());
            (name, flag.get_help().map(ToString::to_string).unwrap_or_default())
        })
        .collect();
    let wide = shown.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines = shown.iter().map(|(name, help)| format!("{name:wide$}   {help}\n"));
    format!("The following options can be passed to any command:\n\n{}", lines.collect::<String>())
}
