//! From a member's URL to host and port.

/// Host and port of a peer URL: `http://`, `https://` or `quic://`; all of them mean QUIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// A name or an address, without brackets.
    pub host: String,
    /// The UDP port.
    pub port: u16,
}

impl Target {
    /// Parses a URL.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let bad = || format!("{url}: not a peer URL");
        let (scheme, rest) = url.trim().split_once("://").ok_or_else(bad)?;
        if !["http", "https", "quic"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(bad());
        }
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(bad)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| bad())?;
        if host.is_empty() { Err(bad()) } else { Ok(Self { host: host.to_owned(), port }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_all_three_schemes_are_read() {
        for (url, host, port) in [
            ("http://192.168.0.61:2380", "192.168.0.61", 2380),
            ("https://node01.example:1", "node01.example", 1),
            ("quic://[::1]:2380", "::1", 2380),
            ("HTTP://localhost:2380/", "localhost", 2380),
        ] {
            assert_eq!(Target::parse(url), Ok(Target { host: host.into(), port }), "{url}");
        }
        for url in ["", "localhost:1", "ftp://a:1", "http://a", "http://:1", "http://a:70000", "unix:///x"] {
            assert_eq!(Target::parse(url), Err(format!("{url}: not a peer URL")));
        }
    }
}
