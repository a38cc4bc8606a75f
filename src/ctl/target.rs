//! Where to connect and with which files: from the command line and variables, otherwise from the configuration of the
//! kvd on this machine.

use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arguments::{Globals, default_config_file};
use super::failure::{BAD_CONNECTION, Failure};
use super::secret::Credentials;
use crate::client::{Pings, Reach, TlsFiles};
use crate::config::{Config, Disk, Files, Scheme, Surroundings, Url, read, system_text};

/// etcdctl's default.
const DEFAULT_ENDPOINT: &str = "127.0.0.1:2379";

/// The shortest interval of pings.
const LEAST_KEEPALIVE: Duration = Duration::from_secs(10);

/// Whom to talk to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// As they are displayed.
    pub(super) endpoints: Vec<String>,
    /// How they are reached.
    pub(super) reach: Reach,
    pub(super) command_timeout: Duration,
    /// The most bytes of a request that writes.
    pub(super) max_request: usize,
    /// How long what lasts may take, such as a snapshot, if the command line says so.
    pub(super) snapshot_timeout: Option<Duration>,
    /// Who the caller is.
    pub(super) credentials: Credentials,
    /// What to print if no endpoint answers, because the endpoints are only a guess.
    pub(super) guess: Option<String>,
}

impl Target {
    /// The flags, completed from this machine's configuration.
    pub(super) async fn of(globals: &Globals) -> Result<Self, Failure> {
        let local = local_config(globals)?;
        let mut tls = TlsFiles {
            cacert: globals.cacert.clone(),
            cert: globals.cert.clone(),
            key: globals.key.clone(),
            own: None,
            skip_verify: globals.insecure_skip_tls_verify,
        };
        check(&tls)?;
        let mut guess = None;
        let discovered = match &globals.discovery {
            Some(discovery) => discovery.endpoints().await?,
            None => Vec::new(),
        };
        let endpoints = match (&globals.endpoints, &local) {
            _ if !discovered.is_empty() => discovered,
            (Some(endpoints), _) if endpoints.iter().all(String::is_empty) => {
                return Err(Failure::with_code(BAD_CONNECTION, "etcdclient: no available endpoints"));
            }
            (Some(endpoints), _) => endpoints.clone(),
            (None, Local::Config(config)) => {
                fill(&mut tls, config);
                vec![endpoint_of(config)]
            }
            (None, Local::Unreadable(reason)) => {
                guess = Some(format!("{reason}; --endpoints names the members"));
                vec![DEFAULT_ENDPOINT.to_string()]
            }
            (None, Local::None) => vec![DEFAULT_ENDPOINT.to_string()],
        };
        let reach = Reach {
            always_tls: !globals.insecure_transport || tls.cacert.is_some() || tls.cert.is_some(),
            tls,
            dial_timeout: globals.dial_timeout.min(globals.command_timeout),
            // etcdctl's rule: the domain is what a certificate of a member that DNS has named must have.
            server_name: globals.discovery.as_ref().and_then(|from| from.server_name()),
            // As grpc-go, which does not ping more often: servers send clients away that do.
            pings: Some(globals.keepalive_time).filter(|time| !time.is_zero()).map(|time| Pings {
                interval: time.max(LEAST_KEEPALIVE),
                patience: globals.keepalive_timeout,
                idle: false,
            }),
            max_answer: Some(globals.max_recv_bytes),
        };
        Ok(Self {
            endpoints,
            reach,
            command_timeout: globals.command_timeout,
            max_request: globals.max_request_bytes,
            snapshot_timeout: globals.command_timeout_given.then_some(globals.command_timeout),
            credentials: Credentials::None,
            guess,
        })
    }
}

/// Whether the files that the flags name are there, and both or none of certificate and key: also if no endpoint uses
/// TLS, since a script with a mistake is not to learn of it later.
fn check(tls: &TlsFiles) -> Result<(), Failure> {
    if tls.cert.is_some() != tls.key.is_some() {
        let shown = |file: &Option<PathBuf>| file.as_deref().unwrap_or(Path::new("")).display().to_string();
        let pair = format!("key: {}, cert: {}", shown(&tls.key), shown(&tls.cert));
        return Err(Failure::arguments(format!("KeyFile and CertFile must both be present[{pair}]")));
    }
    for file in [&tls.cert, &tls.key, &tls.cacert].into_iter().flatten() {
        File::open(file).map_err(|error| {
            let why = system_text(&error).to_lowercase();
            Failure::arguments(format!("open {}: {why}", file.display()))
        })?;
    }
    Ok(())
}

/// The configuration of the kvd on this machine.
enum Local {
    Config(Box<Config>),
    /// There is a file, but it cannot be used.
    Unreadable(String),
    None,
}

/// Reads it; it is an error only if a file was named and is missing or bad.
fn local_config(globals: &Globals) -> Result<Local, Failure> {
    let named = globals.config_file.clone();
    let path = named.clone().unwrap_or_else(default_config_file);
    if globals.endpoints.is_some() || globals.discovery.is_some() {
        return Ok(Local::None);
    }
    let surroundings = surroundings(&path);
    if named.is_none() && !Disk.exists(&path) {
        return Ok(Local::None);
    }
    if let Err(error) = Disk.read(&path) {
        let reason = format!("cannot read {}: {error}", path.display());
        return if named.is_some() { Err(Failure::error(reason)) } else { Ok(Local::Unreadable(reason)) };
    }
    match read(&surroundings).into_result() {
        Ok((config, _)) => Ok(Local::Config(Box::new(config))),
        Err(_) if named.is_none() => {
            let path = path.display();
            Ok(Local::Unreadable(format!("{path} cannot be used; `kvd check` says why")))
        }
        Err(findings) => Err(Failure::error(crate::config::cli::text_of(&findings).trim_end())),
    }
}

/// The file with its drop-ins, and the directories that systemd sets. The environment's options are the daemon's, so
/// they are not read here.
fn surroundings(path: &std::path::Path) -> Surroundings<'static> {
    let mut surroundings = Surroundings::of_process(Vec::new());
    let directories = ["RUNTIME_DIRECTORY", "STATE_DIRECTORY"];
    surroundings.variables.retain(|(name, _)| directories.contains(&name.as_str()));
    surroundings.variables.push(("KVD_CONFIG_FILE".to_string(), path.to_string_lossy().into_owned()));
    surroundings
}

/// The admin socket that the configuration of this machine names.
pub(super) fn admin_socket() -> Option<PathBuf> {
    config_of_this_machine()?.member.admin_socket
}

/// The directory of scheduled backups that it names.
pub(super) fn backup_directory() -> Option<PathBuf> {
    config_of_this_machine()?.backup.directory
}

/// That configuration, if it can be read.
pub(super) fn config_of_this_machine() -> Option<Config> {
    let path = default_config_file();
    if !Disk.exists(&path) {
        return None;
    }
    read(&surroundings(&path)).into_result().ok().map(|(config, _)| config)
}

/// How this machine reaches its own member: without TLS by loopback, with TLS by the advertised name, because the
/// certificate is issued for that name.
fn endpoint_of(config: &Config) -> String {
    let is_tls = |url: &&Url| matches!(url.scheme(), Scheme::Https | Scheme::Unixs);
    let listen = &config.addresses.listen_client_urls;
    let is_local =
        |url: &&Url| url.socket_path().is_some() || url.socket_addr().is_some_and(|at| at.ip().is_loopback());
    if let Some(url) = listen.iter().filter(is_local).find(|url| !is_tls(url)) {
        return url.as_str().to_string();
    }
    let Some(first) = listen.iter().find(|url| !is_tls(url)).or_else(|| listen.first()) else {
        return DEFAULT_ENDPOINT.to_string();
    };
    if is_tls(&first) && first.socket_path().is_none() {
        return config
            .addresses
            .advertise_client_urls
            .iter()
            .find(is_tls)
            .unwrap_or(first)
            .as_str()
            .to_string();
    }
    match first.socket_addr() {
        Some(address) if address.ip().is_unspecified() => {
            let loopback: IpAddr = match address.ip() {
                IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            };
            first.with_host(loopback, address.port()).as_str().to_string()
        }
        _ => first.as_str().to_string(),
    }
}

/// Files that a client on this machine can use. If clients must show a certificate, the server's own will do.
fn fill(tls: &mut TlsFiles, config: &Config) {
    let client = &config.client_tls;
    let own = match (client.key_pair(), client.auto_tls) {
        (Some(pair), _) => Some((pair.cert, pair.key)),
        (None, true) => {
            let directory = config.member.data_dir.join("fixtures/client");
            Some((directory.join("cert.pem"), directory.join("key.pem")))
        }
        (None, false) => None,
    };
    let Some((cert, key)) = own else { return };
    tls.own = Some(cert.clone());
    if tls.cacert.is_none() {
        tls.cacert.clone_from(&client.trusted_ca_file);
    }
    let asks = client.cert_auth || client.trusted_ca_file.is_some();
    if asks && tls.cert.is_none() && tls.key.is_none() {
        (tls.cert, tls.key) = (Some(cert), Some(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn target(toml: &str) -> Target {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("cluster.toml");
        std::fs::write(&file, toml).expect("written");
        let line = ["kvctl", "member", "list", "--config-file"].map(Into::into);
        let arguments = line.into_iter().chain([file.into_os_string()]);
        let invocation = super::super::arguments::parse(arguments).expect("understood");
        Target::of(&invocation.globals).await.expect("a target")
    }

    #[tokio::test]
    async fn a_member_is_reached_on_its_own_machine() {
        let listen = |urls: &str, advertised: &str| {
            format!("listen-client-urls = [{urls}]\nadvertise-client-urls = [\"{advertised}\"]\n")
        };
        let endpoint = async |toml: &str| target(toml).await.endpoints.join(",");
        let both = listen("\"http://10.0.0.1:2379\", \"http://127.0.0.1:2379\"", "http://10.0.0.1:2379");
        assert_eq!(endpoint(&both).await, "http://127.0.0.1:2379");
        assert_eq!(
            endpoint(&listen("\"http://0.0.0.0:99\"", "http://a.example:99")).await,
            "http://127.0.0.1:99"
        );
        assert_eq!(
            endpoint(&listen("\"http://10.0.0.1:99\"", "http://a.example:99")).await,
            "http://10.0.0.1:99"
        );
        assert_eq!(endpoint("").await, "http://localhost:2379");
    }

    /// etcdctl's texts and exit codes.
    #[tokio::test]
    async fn flags_that_cannot_be_right_are_refused_whatever_the_endpoint() {
        let refused = async |flags: &str| {
            let line = std::iter::once("kvctl").chain(flags.split(' ')).chain(["get", "a"]);
            let invocation = super::super::arguments::parse(line.map(Into::into)).expect("understood");
            Target::of(&invocation.globals).await.map_err(|failure| (failure.code(), failure.to_string()))
        };
        let missing = "Error: open /nonexistent: no such file or directory\n";
        let local = "--endpoints=127.0.0.1:1";
        assert_eq!(refused(&format!("{local} --cacert=/nonexistent")).await, Err((128, missing.to_string())));
        let both = "--cert=/nonexistent --key=/nonexistent";
        assert_eq!(refused(&format!("{local} {both}")).await, Err((128, missing.to_string())));
        let half = "Error: KeyFile and CertFile must both be present[key: , cert: /c]\n";
        assert_eq!(refused(&format!("{local} --cert=/c")).await, Err((128, half.to_string())));
        let none = "Error: etcdclient: no available endpoints\n";
        assert_eq!(refused("--endpoints=").await, Err((2, none.to_string())));
        assert!(refused(local).await.is_ok());
    }

    #[tokio::test]
    async fn tls_goes_to_the_advertised_name_with_the_members_files() {
        let target = target(
            "listen-client-urls = [\"https://0.0.0.0:2379\"]\nadvertise-client-urls = [\"https://a.example:2379\"]\n\
             [client-transport-security]\ncert-file = \"/c\"\nkey-file = \"/k\"\ntrusted-ca-file = \"/ca\"\n",
        )
        .await;
        assert_eq!(target.endpoints, ["https://a.example:2379"]);
        assert_eq!(target.reach.tls.cacert, Some(PathBuf::from("/ca")));
        assert_eq!(target.reach.tls.own, Some(PathBuf::from("/c")));
        assert_eq!(target.reach.tls.cert, Some(PathBuf::from("/c")), "the server asks for a certificate");
        assert!(target.reach.always_tls);
    }
}
