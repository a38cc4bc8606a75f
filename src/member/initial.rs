//! The members with which a cluster begins: as the configuration names them, or as DNS or another cluster does.

use zeroize::Zeroizing;

use super::error::MemberError;
use crate::client::{self, Keys, Pings, Reach, TlsFiles, User};
use crate::config::{Config, Discovery, Url, advertised_problem, parse_cluster};
use crate::join::bootstrap::InitialMember;
use crate::join::discovery::{self, DiscoveryError};
use crate::join::srv;
use crate::peer::Names;

/// Names of members that are looked up at the same time.
pub(super) const MAX_LOOKUPS: usize = 32;

/// The token of which the members' ids are made: with discovery its token, as in etcd.
pub(super) fn token(config: &Config) -> &str {
    match config.discovery.endpoints.is_empty() {
        true => &config.clustering.initial_cluster_token,
        false => &config.discovery.token,
    }
}

/// The members. May wait for DNS, or for a discovery service and the other members; `tell` is called with whatever it
/// waits for.
///
/// # Errors
/// [`MemberError::Srv`], [`MemberError::Discovery`]; [`MemberError::Config`] if this member's own entry is not what it
/// advertises.
pub(super) async fn members(config: &Config, tell: &dyn Fn(&str)) -> Result<Vec<InitialMember>, MemberError> {
    let name = config.member.name.as_str();
    let advertised = &config.addresses.advertise_peer_urls;
    let own = InitialMember { name: name.to_string(), peer_urls: texts(advertised) };
    let discovery = &config.discovery;
    let members = if !discovery.endpoints.is_empty() {
        let mut keys = keys(discovery);
        tracing::info!(endpoints = ?discovery.endpoints, "asking the discovery service for the members");
        let found = discovery::members(&mut keys, &discovery.token, &own, tell).await?;
        parse_cluster(&found).map_err(|error| {
            MemberError::Discovery(DiscoveryError::InvalidUrl(format!("{error} ({found})")))
        })?
    } else if !discovery.srv.is_empty() {
        let names = Names::new(MAX_LOOKUPS);
        let addresses = async |place: &str| names.at(place).await;
        let hosts = async |service: &str| client::hosts(service, &discovery.srv).await;
        let asked = srv::Asked { suffix: &discovery.srv_name, name, urls: &own.peer_urls };
        let found = srv::members(&asked, hosts, addresses, tell).await?;
        tracing::info!(found, "DNS names the members");
        let members = parse_cluster(&found).map_err(MemberError::Config)?;
        // Their addresses have been compared already.
        let problem =
            members.get(name).and_then(|own| advertised_problem(name, own, advertised, |_| Ok(None)));
        if let Some(problem) = problem {
            return Err(MemberError::Config(problem));
        }
        members
    } else {
        config.clustering.initial_cluster.clone()
    };
    let member = |(name, urls): (String, Vec<Url>)| InitialMember { name, peer_urls: texts(&urls) };
    Ok(members.into_iter().map(member).collect())
}

fn texts(urls: &[Url]) -> Vec<String> {
    urls.iter().map(|url| url.as_str().to_string()).collect()
}

/// The discovery service.
fn keys(discovery: &Discovery) -> Keys {
    let tls = TlsFiles {
        cacert: discovery.cacert.clone(),
        cert: discovery.cert.clone(),
        key: discovery.key.clone(),
        own: None,
        skip_verify: discovery.insecure_skip_tls_verify,
    };
    let named = tls.cert.is_some() || tls.cacert.is_some() || tls.skip_verify;
    let reach = Reach {
        always_tls: !discovery.insecure_transport || named,
        tls,
        dial_timeout: discovery.dial_timeout,
        server_name: (!discovery.server_name.is_empty()).then(|| discovery.server_name.clone()),
        pings: (!discovery.keepalive_time.is_zero()).then_some(Pings {
            interval: discovery.keepalive_time,
            patience: discovery.keepalive_timeout,
            idle: true,
        }),
        max_answer: None,
    };
    Keys::new(discovery.endpoints.clone(), reach, user(discovery), discovery.request_timeout)
}

/// The user, with the password behind a colon unless it is given by itself.
fn user(discovery: &Discovery) -> Option<User> {
    let user = discovery.user.as_ref()?.expose();
    let (name, password) = match (&discovery.password, user.split_once(':')) {
        (Some(password), _) => (user, password.expose()),
        (None, Some((name, password))) => (name, password),
        (None, None) => (user, ""),
    };
    Some(User { name: name.to_string(), password: Zeroizing::new(password.to_string()) })
}
