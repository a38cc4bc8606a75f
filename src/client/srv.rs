//! Services by name: SRV records of DNS (RFC 2782), by the servers that /etc/resolv.conf names.

use std::fmt;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::system_conf::read_system_conf;
use rand::RngExt;

/// The port of DNS.
const PORT: u16 = 53;

/// A host that offers a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name as in DNS, with a dot at its end.
    pub name: String,
    /// The port.
    pub port: u16,
}

/// Why there are no hosts. The texts are those of Go's resolver, which etcd shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// DNS answers that there is no such service.
    #[error("{0}: no such host")]
    NoSuchHost(Query),
    /// There is no answer; asking again may help.
    #[error("{0}: {1}")]
    Failed(Query, String),
}

/// What was asked, and whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    name: String,
    server: Option<String>,
}

#[cfg(test)]
impl LookupError {
    /// No answer about a name.
    pub fn failed(name: &str, why: &str) -> Self {
        Self::Failed(Query { name: name.to_string(), server: None }, why.to_string())
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lookup {}", self.name)?;
        self.server.iter().try_for_each(|server| write!(f, " on {server}"))
    }
}

/// The hosts of `service` over TCP in `domain`, in the order in which to try them.
///
/// # Errors
/// See [`LookupError`].
pub async fn hosts(service: &str, domain: &str) -> Result<Vec<Host>, LookupError> {
    let mut query = Query { name: format!("_{service}._tcp.{domain}"), server: None };
    let failed = |query: &Query, error: NetError| LookupError::Failed(query.clone(), words(&error));
    let (config, mut options) = read_system_conf().map_err(|error| failed(&query, error))?;
    query.server = config.name_servers().first().map(|server| format!("{}:{PORT}", server.ip));
    // Whoever asks again wants to know what DNS says then.
    options.cache_size = 0;
    let builder = TokioResolver::builder_with_config(config, Default::default()).with_options(options);
    let resolver = builder.build().map_err(|error| failed(&query, error))?;
    let lookup = resolver.srv_lookup(query.name.as_str()).await.map_err(|error| {
        if error.is_no_records_found() {
            LookupError::NoSuchHost(query.clone())
        } else {
            failed(&query, error)
        }
    })?;
    let mut found = Vec::new();
    for record in lookup.answers() {
        // The root as the target means that there is no such service (RFC 2782).
        if let RData::SRV(srv) = &record.data
            && !srv.target.is_root()
        {
            let host = Host { name: srv.target.to_ascii(), port: srv.port };
            found.push(Offer { priority: srv.priority, weight: srv.weight, host });
        }
    }
    if found.is_empty() {
        return Err(LookupError::NoSuchHost(query));
    }
    Ok(in_order(found, |below| rand::rng().random_range(0..below)))
}

/// The library's error in the words of Go's resolver, as far as it has them.
fn words(error: &NetError) -> String {
    match error {
        NetError::Timeout => "i/o timeout".to_string(),
        NetError::Dns(_) => format!("server misbehaving ({error})"),
        NetError::Io(error) => crate::config::system_text(error).to_lowercase(),
        other => other.to_string(),
    }
}

struct Offer {
    priority: u16,
    weight: u16,
    host: Host,
}

/// By priority, and among equals at random by weight (RFC 2782). `draw` makes a number below the one it is given.
fn in_order(mut offers: Vec<Offer>, draw: impl Fn(u32) -> u32) -> Vec<Host> {
    let mut hosts = Vec::with_capacity(offers.len());
    while let Some(first) = offers.iter().map(|offer| offer.priority).min() {
        // A weight of zero has a small chance, too.
        let weights = offers.iter().map(|offer| match offer.priority == first {
            true => u32::from(offer.weight) + 1,
            false => 0,
        });
        let mut left = draw(weights.clone().sum());
        let drawn = weights.into_iter().position(|weight| {
            let is_it = left < weight;
            left = left.saturating_sub(weight);
            is_it
        });
        hosts.push(offers.remove(drawn.unwrap_or_default()).host);
    }
    hosts
}

/// The clients' endpoints in `domain`, those with TLS first. `suffix` is the part of the services' names that keeps
/// clusters apart; it may be empty.
///
/// # Errors
/// etcdctl's text, if DNS knows neither service.
pub async fn endpoints(domain: &str, suffix: &str) -> Result<Vec<String>, String> {
    let suffix = if suffix.is_empty() { String::new() } else { format!("-{suffix}") };
    let (encrypted, plain) = (format!("etcd-client-ssl{suffix}"), format!("etcd-client{suffix}"));
    let (encrypted, plain) = tokio::join!(hosts(&encrypted, domain), hosts(&plain, domain));
    if let (Err(encrypted), Err(plain)) = (&encrypted, &plain) {
        return Err(format!("dns lookup errors: {encrypted} and {plain}"));
    }
    let urls = |scheme: &'static str, hosts: Result<Vec<Host>, LookupError>| {
        let url = move |host: Host| format!("{scheme}://{}:{}", host.name, host.port);
        hosts.unwrap_or_default().into_iter().map(url)
    };
    Ok(urls("https", encrypted).chain(urls("http", plain)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_tried_by_priority_and_then_by_weight() {
        let offer = |priority, weight, name: &str| Offer {
            priority,
            weight,
            host: Host { name: format!("{name}."), port: 1 },
        };
        let names = |draw: fn(u32) -> u32| {
            let offers =
                vec![offer(2, 9, "last"), offer(1, 0, "light"), offer(1, 9, "heavy"), offer(1, 1, "middle")];
            let names = in_order(offers, draw).into_iter().map(|host| host.name);
            names.collect::<Vec<_>>().join("")
        };
        assert_eq!(names(|_| 0), "light.heavy.middle.last.");
        assert_eq!(names(|below| below - 1), "middle.heavy.light.last.");
        assert_eq!(names(|below| below / 2), "heavy.middle.light.last.");
    }
}
