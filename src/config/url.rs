//! The URLs of an etcd configuration: addresses to listen on and to advertise.
//!
//! They are kept as written (scheme in lower case), because member ids are computed from the text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The protocol that a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain TCP for clients. For members: QUIC, encrypted in every case.
    Http,
    /// TLS over TCP for clients. For members: QUIC, as for `http`.
    Https,
    /// A member's URL that names the real protocol: QUIC.
    Quic,
    /// A Unix socket, plain.
    Unix,
    /// A Unix socket with TLS.
    Unixs,
}

impl Scheme {
    /// The scheme's name in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Quic => "quic",
            Self::Unix => "unix",
            Self::Unixs => "unixs",
        }
    }

    /// True for the two schemes that need a certificate on a client listener.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Unixs)
    }

    /// True for the two schemes that name a socket in the file system.
    pub const fn is_unix(self) -> bool {
        matches!(self, Self::Unix | Self::Unixs)
    }
}

/// A checked URL: `scheme://host:port`, or `unix:///path/to/socket`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    text: String,
    scheme: Scheme,
    host: String,
    port: u16,
    path: PathBuf,
}

/// Why a text is not a URL for a member or a client; the texts are etcd's if etcd has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// A list without a single URL.
    #[error("no valid URLs given")]
    Empty,
    /// Neither `http` nor `https`, `unix`, `unixs`.
    #[error("URL scheme must be http, https, unix, or unixs: {0}")]
    Scheme(String),
    /// A scheme for which no member can be reached.
    #[error("URL scheme of a member must be http, https, or quic: {0}")]
    PeerScheme(String),
    /// No port, or something in addition to host and port.
    #[error("URL address does not have the form \"host:port\": {0}")]
    Address(String),
    /// A path after the address.
    #[error("URL must not contain a path: {0}")]
    Path(String),
    /// A port that is not a number below 65536.
    #[error("parse {0:?}: invalid port {1:?} after host")]
    Port(String, String),
    /// White space, control characters or user names in the host.
    #[error("parse {0:?}: invalid character in host name")]
    Host(String),
}

/// The purpose of a URL; the two accept different schemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlUse {
    /// For clients: http, https, unix, unixs.
    Client,
    /// For members: http, https, quic; all of them are QUIC.
    Peer,
}

impl Url {
    /// Parses one URL; white space around it is allowed.
    ///
    /// # Errors
    /// If the scheme does not fit the purpose, or the rest is not exactly `host:port` or a socket's path.
    pub fn parse(text: &str, usage: UrlUse) -> Result<Self, UrlError> {
        let text = text.trim();
        let whole = || text.to_string();
        let wrong_scheme = || match usage {
            UrlUse::Client => UrlError::Scheme(whole()),
            UrlUse::Peer => UrlError::PeerScheme(whole()),
        };
        let (scheme, rest) = text.split_once(':').ok_or_else(wrong_scheme)?;
        let scheme = match (scheme.to_ascii_lowercase().as_str(), usage) {
            ("http", _) => Scheme::Http,
            ("https", _) => Scheme::Https,
            ("quic", UrlUse::Peer) => Scheme::Quic,
            ("unix", UrlUse::Client) => Scheme::Unix,
            ("unixs", UrlUse::Client) => Scheme::Unixs,
            _ => return Err(wrong_scheme()),
        };
        if scheme.is_unix() {
            return Self::unix(scheme, rest, text);
        }
        let address = rest.strip_prefix("//").ok_or_else(|| UrlError::Address(whole()))?;
        let end = address.find(['/', '?', '#']).unwrap_or(address.len());
        let (address, tail) = address.split_at(end);
        let (host, port) = split_host_port(address).ok_or_else(|| UrlError::Address(whole()))?;
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(UrlError::Port(whole(), format!(":{port}")));
        }
        if port.is_empty() {
            return Err(UrlError::Address(whole()));
        }
        let number: u16 = port.parse().map_err(|_| UrlError::Port(whole(), format!(":{port}")))?;
        if !valid_host(host) {
            return Err(UrlError::Host(whole()));
        }
        match tail.as_bytes().first() {
            None => {}
            Some(b'/') => return Err(UrlError::Path(whole())),
            Some(_) => return Err(UrlError::Address(whole())),
        }
        let text = format!("{}://{address}", scheme.as_str());
        Ok(Self { text, scheme, host: host.to_string(), port: number, path: PathBuf::new() })
    }

    fn unix(scheme: Scheme, rest: &str, whole: &str) -> Result<Self, UrlError> {
        // In etcd host and path together are the socket's name: unix://dir/name is relative, unix:///dir/name is not.
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() || path.contains(['\0', '?', '#', '\n']) {
            return Err(UrlError::Host(whole.to_string()));
        }
        let text = format!("{}:{rest}", scheme.as_str());
        Ok(Self { text, scheme, host: String::new(), port: 0, path: PathBuf::from(path) })
    }

    /// Its scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host name or address, without brackets; empty for a Unix socket.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 for a Unix socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port` as it is in the URL.
    pub fn authority(&self) -> &str {
        self.text.split_once("://").map_or("", |(_, rest)| if self.scheme.is_unix() { "" } else { rest })
    }

    /// The socket's path, for a Unix socket.
    pub fn socket_path(&self) -> Option<&std::path::Path> {
        self.scheme.is_unix().then_some(self.path.as_path())
    }

    /// The address to bind or to connect to without DNS: an IP, or `localhost`, which means 127.0.0.1.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        if self.scheme.is_unix() {
            return None;
        }
        if self.host.eq_ignore_ascii_case("localhost") {
            return Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port));
        }
        // A zone (fe80::1%eth0) is resolved by the system's resolver, not here.
        self.host.parse().ok().map(|ip| SocketAddr::new(ip, self.port))
    }

    /// True if both name one host and port, or one socket, whatever their schemes.
    pub fn is_at_place_of(&self, other: &Self) -> bool {
        (&self.host, self.port, &self.path) == (&other.host, other.port, &other.path)
    }

    /// The URL as text, as etcd prints, compares and hashes it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same URL with another host.
    pub fn with_host(&self, host: IpAddr, port: u16) -> Self {
        let address = SocketAddr::new(host, port);
        let text = format!("{}://{address}", self.scheme.as_str());
        Self { text, scheme: self.scheme, host: host.to_string(), port, path: PathBuf::new() }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Splits `host:port` or `[v6]:port` like Go's `net.SplitHostPort`; `None` if there is no port or the form is wrong.
pub(super) fn split_host_port(address: &str) -> Option<(&str, &str)> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return port.strip_prefix(':').map(|port| (host, port));
    }
    let (host, port) = address.rsplit_once(':')?;
    (!host.contains([':', '[', ']'])).then_some((host, port))
}

/// True if a host has no characters that no host can have.
pub(super) fn valid_host(host: &str) -> bool {
    host.chars().all(|c| !c.is_control() && !c.is_whitespace() && !"@\"<>\\^`{|}".contains(c))
}

/// Parses a comma-separated list; de-duplicated and sorted, as in etcd.
///
/// # Errors
/// For the first invalid URL, or an empty list.
pub fn parse_url_list(texts: &[&str], usage: UrlUse) -> Result<Vec<Url>, UrlError> {
    if texts.is_empty() {
        return Err(UrlError::Empty);
    }
    let mut urls = texts.iter().map(|text| Url::parse(text, usage)).collect::<Result<Vec<_>, _>>()?;
    urls.sort();
    urls.dedup();
    Ok(urls)
}

/// The texts of some URLs, comma-separated.
pub fn join_urls(urls: &[Url]) -> String {
    urls.iter().map(Url::as_str).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_etcd_accepts() {
        for (text, host, port) in [
            ("http://127.0.0.1:2379", "127.0.0.1", 2379),
            (" HTTP://Localhost:2379 ", "Localhost", 2379),
            ("https://[::1]:0", "::1", 0),
            ("http://:2379", "", 2379),
            ("http://etcd-0.etcd.svc:2380", "etcd-0.etcd.svc", 2380),
        ] {
            let url = Url::parse(text, UrlUse::Client).expect(text);
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
        }
        let socket = Url::parse("unix:///run/kv/kv.sock", UrlUse::Client).expect("a socket");
        assert_eq!(socket.socket_path(), Some(std::path::Path::new("/run/kv/kv.sock")));
        assert_eq!(socket.as_str(), "unix:///run/kv/kv.sock");
        assert!(Url::parse("quic://10.0.0.1:2380", UrlUse::Peer).is_ok());
    }

    #[test]
    fn refuses_with_etcds_words() {
        for (text, words) in [
            ("127.0.0.1:2379", "URL scheme must be http, https, unix, or unixs: 127.0.0.1:2379"),
            ("", "URL scheme must be http, https, unix, or unixs: "),
            ("ftp://a:1", "URL scheme must be http, https, unix, or unixs: ftp://a:1"),
            ("http://127.0.0.1", "URL address does not have the form \"host:port\": http://127.0.0.1"),
            ("http://a:1/", "URL must not contain a path: http://a:1/"),
            ("http://a:x", "parse \"http://a:x\": invalid port \":x\" after host"),
            ("http://a:70000", "parse \"http://a:70000\": invalid port \":70000\" after host"),
            ("http://::1:2379", "URL address does not have the form \"host:port\": http://::1:2379"),
            ("http://u@a:1", "parse \"http://u@a:1\": invalid character in host name"),
        ] {
            let refused = Url::parse(text, UrlUse::Client).map_err(|e| e.to_string());
            assert_eq!(refused, Err(words.to_string()), "{text}");
        }
        let peer = Url::parse("unix:///tmp/x", UrlUse::Peer).map_err(|e| e.to_string());
        assert_eq!(
            peer,
            Err("URL scheme of a member must be http, https, or quic: unix:///tmp/x".to_string())
        );
    }

    #[test]
    fn lists_are_sorted_and_without_doubles() {
        let list = ["http://b:1", " http://a:1", "http://b:1"];
        let urls = parse_url_list(&list, UrlUse::Client).expect("good URLs");
        assert_eq!(join_urls(&urls), "http://a:1,http://b:1");
        assert_eq!(parse_url_list(&[], UrlUse::Client), Err(UrlError::Empty));
    }

    #[test]
    fn any_text_is_read_without_a_panic() {
        for text in
            ["http://[", "http://]:1", "http://[]:1", "unix:", "unix://", ":", "http://é:1", "http://a:+1"]
        {
            let _ = Url::parse(text, UrlUse::Client);
            let _ = Url::parse(text, UrlUse::Peer);
        }
    }
}
