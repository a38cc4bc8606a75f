//! The initial members by DNS: SRV records name each member's peer URL (etcd's `discovery-srv`).
//!
//! Records of `_etcd-server-ssl._tcp` make https URLs, those of `_etcd-server._tcp` http ones. This member is the record
//! whose address is one of its advertised peer URLs'; the others have no names in DNS and are numbered.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::enter::PAUSE;
use crate::client::{Host, LookupError};

/// How long to ask for records or addresses as long as DNS does not answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is asked of DNS.
pub struct Asked<'a> {
    /// What the names of the services have at their end; may be empty.
    pub suffix: &'a str,
    /// This member's name.
    pub name: &'a str,
    /// Its advertised peer URLs.
    pub urls: &'a [String],
}

/// Why DNS names no cluster. The texts are etcd's where it has the error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrvError {
    /// No record leads to a member.
    #[error("{0}")]
    NoMembers(String),
    /// DNS does not name all members, or not all of their addresses.
    #[error(
        "{0}: each member must begin with the same members, so all records need an address: correct DNS, or name the \
         members with initial-cluster"
    )]
    Incomplete(String),
    /// There are records, but none of this member.
    #[error(
        "cannot find local etcd member {name:?} in SRV records: they name {found}, none of which has an address of \
             initial-advertise-peer-urls ({urls})"
    )]
    NotAmongThem {
        /// This member's name.
        name: String,
        /// The peer URLs of the records.
        found: String,
        /// What it advertises.
        urls: String,
    },
}

/// The members in the notation of `initial-cluster`. `hosts` looks up a service, `addresses` a host and a port. As long as
/// DNS does not answer, it is asked again for a while, and `tell` is called with each new reason. A record that is left out,
/// as by etcd, would make another cluster than the one that the other members begin.
///
/// # Errors
/// See [`SrvError`].
pub async fn members(
    asked: &Asked<'_>,
    hosts: impl AsyncFn(&str) -> Result<Vec<Host>, LookupError>,
    addresses: impl AsyncFn(&str) -> Result<Vec<SocketAddr>, String>,
    tell: impl Fn(&str),
) -> Result<String, SrvError> {
    let begun = Instant::now();
    let mut told = String::new();
    loop {
        let Round { found, is_self, errors, may_pass } = round(asked, &hosts, &addresses).await;
        let why = errors.join("; ");
        if may_pass && begun.elapsed() < PATIENCE {
            if why != told {
                tell(&why);
                told = why;
            }
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        if found.is_empty() {
            return Err(SrvError::NoMembers(errors.join("\n")));
        }
        if may_pass {
            return Err(SrvError::Incomplete(why));
        }
        if !why.is_empty() {
            tracing::info!("DNS: {why}");
        }
        if !is_self {
            let urls: Vec<&str> = found.iter().map(|(_, url)| url.as_str()).collect();
            let (found, name) = (urls.join(" "), asked.name.to_string());
            return Err(SrvError::NotAmongThem { name, found, urls: asked.urls.join(" ") });
        }
        let members: Vec<String> = found.iter().map(|(name, url)| format!("{name}={url}")).collect();
        return Ok(members.join(","));
    }
}

/// What DNS says at one time.
#[derive(Default)]
struct Round {
    /// Names and URLs.
    found: Vec<(String, String)>,
    /// This member is among them.
    is_self: bool,
    errors: Vec<String>,
    /// Another round may say something else.
    may_pass: bool,
}

async fn round(
    asked: &Asked<'_>,
    hosts: &impl AsyncFn(&str) -> Result<Vec<Host>, LookupError>,
    addresses: &impl AsyncFn(&str) -> Result<Vec<SocketAddr>, String>,
) -> Round {
    let mut round = Round::default();
    let mut own = Vec::new();
    for url in asked.urls {
        let (scheme, place) = url.split_once("://").unwrap_or(("", url));
        match addresses(place).await {
            Ok(found) => own.extend(found.into_iter().map(|address| (address, scheme, url))),
            Err(why) => {
                round.fail(format!("cannot resolve {url} of initial-advertise-peer-urls: {why}"), true)
            }
        }
    }
    let mut seen: Vec<SocketAddr> = Vec::new();
    let suffix = if asked.suffix.is_empty() { String::new() } else { format!("-{}", asked.suffix) };
    for (scheme, service) in [("https", "etcd-server-ssl"), ("http", "etcd-server")] {
        let service = format!("{service}{suffix}");
        let records = match hosts(&service).await {
            Ok(records) => records,
            Err(error) => {
                let may_pass = matches!(error, LookupError::Failed(..));
                round.fail(format!("error querying DNS SRV records for _{service} {error}"), may_pass);
                continue;
            }
        };
        for Host { name, port } in records {
            let url = format!("{scheme}://{}:{port}", name.trim_end_matches('.'));
            let places = match addresses(&format!("{name}:{port}")).await {
                Ok(places) => places,
                Err(why) => {
                    round.fail(format!("error querying DNS SRV records for _{service} {why}"), true);
                    continue;
                }
            };
            if places.iter().any(|place| seen.contains(place)) {
                // With and without TLS in DNS: it is one member.
                continue;
            }
            match own.iter().find(|(address, ..)| places.contains(address)) {
                Some((_, expected, advertised)) if *expected != scheme => {
                    let mismatch = "has scheme mismatch with expected peer";
                    round.fail(
                        format!("bootstrap at {url} from DNS for {service} {mismatch} {advertised}"),
                        false,
                    );
                    continue;
                }
                Some(_) => {
                    round.is_self = true;
                    round.found.push((asked.name.to_string(), url));
                }
                None => round.found.push((String::new(), url)),
            }
            seen.extend(places);
        }
    }
    let unnamed = round.found.iter_mut().filter(|(name, _)| name.is_empty());
    // A member may have a number for its name.
    let numbers = (0_usize..).map(|number| number.to_string()).filter(|number| number != asked.name);
    unnamed.zip(numbers).for_each(|((name, _), number)| *name = number);
    round
}

impl Round {
    fn fail(&mut self, why: String, may_pass: bool) {
        self.errors.push(why);
        self.may_pass |= may_pass;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses of `a` are 10.0.0.10, and so on; other names have none.
    async fn addresses(place: &str) -> Result<Vec<SocketAddr>, String> {
        if let Ok(address) = place.parse() {
            return Ok(vec![address]);
        }
        let (host, port) = place.rsplit_once(':').expect("a port");
        match host.trim_end_matches(".x.").trim_end_matches(".x").as_bytes() {
            [letter] => Ok(vec![format!("10.0.0.{}:{port}", letter & 15).parse().expect("an address")]),
            _ => Err(format!("lookup {host}: no such host")),
        }
    }

    fn host(name: &str) -> Host {
        Host { name: format!("{name}.x."), port: 2380 }
    }

    async fn found(own: &str, encrypted: &[&str], plain: &[&str]) -> Result<String, String> {
        let urls = [own.to_string()];
        let asked = Asked { suffix: "red", name: "own", urls: &urls };
        let hosts = async |service: &str| match service {
            "etcd-server-ssl-red" => Ok(encrypted.iter().map(|name| host(name)).collect()),
            "etcd-server-red" => Ok(plain.iter().map(|name| host(name)).collect()),
            other => panic!("{other}"),
        };
        members(&asked, hosts, addresses, |_| ()).await.map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn the_own_record_is_found_by_its_address() {
        let three = found("http://10.0.0.2:2380", &[], &["a", "b", "c"]).await;
        assert_eq!(three.as_deref(), Ok("0=http://a.x:2380,own=http://b.x:2380,1=http://c.x:2380"));
        let encrypted = found("https://b.x:2380", &["a", "b"], &[]).await;
        assert_eq!(encrypted.as_deref(), Ok("0=https://a.x:2380,own=https://b.x:2380"));
        let both = found("https://b.x:2380", &["a", "b"], &["b", "c"]).await;
        assert_eq!(both.as_deref(), Ok("0=https://a.x:2380,own=https://b.x:2380,1=http://c.x:2380"));
    }

    /// Otherwise each member could begin a cluster of its own.
    #[tokio::test(start_paused = true)]
    async fn a_record_that_does_not_resolve_is_waited_for_and_refused_in_the_end() {
        let begun = Instant::now();
        let refused = found("http://b.x:2380", &[], &["gone", "b"]).await.expect_err("no cluster of one");
        assert!(
            refused.starts_with(
                "error querying DNS SRV records for _etcd-server-red lookup gone.x.: no such host: each"
            ),
            "{refused}"
        );
        assert!(begun.elapsed() >= PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_is_not_answered_may_have_more_members() {
        let urls = ["http://b.x:2380".to_string()];
        let asked = Asked { suffix: "", name: "own", urls: &urls };
        let tries = std::cell::Cell::new(0);
        let hosts = async |service: &str| {
            tries.set(tries.get() + 1);
            match service {
                "etcd-server-ssl" if tries.get() < 5 => Err(LookupError::failed("x", "i/o timeout")),
                "etcd-server-ssl" => Ok(vec![host("a")]),
                _ => Ok(vec![host("b")]),
            }
        };
        let members = members(&asked, hosts, addresses, |_| ()).await;
        assert_eq!(members.as_deref(), Ok("0=https://a.x:2380,own=http://b.x:2380"));
    }

    #[tokio::test(start_paused = true)]
    async fn mistakes_get_etcds_texts() {
        let stranger = found("http://d.x:2380", &[], &["a", "b"]).await.expect_err("refused");
        assert!(
            stranger.starts_with(
                "cannot find local etcd member \"own\" in SRV records: they name http://a.x:2380 "
            ),
            "{stranger}"
        );
        let scheme = found("http://b.x:2380", &["b"], &[]).await.expect_err("refused");
        assert_eq!(
            scheme,
            "bootstrap at https://b.x:2380 from DNS for etcd-server-ssl-red has scheme mismatch with expected peer \
             http://b.x:2380"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn dns_that_does_not_answer_is_asked_again_and_named() {
        let urls = ["http://b.x:2380".to_string()];
        let asked = Asked { suffix: "", name: "own", urls: &urls };
        let tries = std::cell::Cell::new(0);
        let places = async |place: &str| {
            tries.set(tries.get() + 1);
            if tries.get() < 5 { Err("i/o timeout".to_string()) } else { addresses(place).await }
        };
        let told = std::cell::RefCell::new(Vec::new());
        let tell = |what: &str| told.borrow_mut().push(what.to_string());
        let members = members(&asked, async |_| Ok(vec![host("b")]), places, tell).await;
        assert_eq!(members.as_deref(), Ok("own=http://b.x:2380"));
        assert!(told.borrow()[0].contains("i/o timeout"), "{told:?}");
    }
}
