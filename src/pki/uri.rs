//! Whether a text is a URI as Go's net/url reads one: Go refuses a certificate that has another one among its names.

use std::net::Ipv6Addr;

use super::names::is_domain;

/// Those that may be in a host as they are, beside letters and digits (RFC 3986, 3.2.2); Go takes a few more.
const IN_HOST: &[u8] = b"-_.~!$&'()*+,;=:[]<>\"";
/// The same of what is before a host.
const IN_USER: &[u8] = b"-._:~!$&'()*+,;=%@";

/// True if Go takes that URI.
pub(super) fn is_uri(text: &str) -> bool {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    if !is_escaped(fragment) || text.bytes().any(|byte| byte.is_ascii_control()) {
        return false;
    }
    let Some((scheme, rest)) = scheme_of(text) else { return false };
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    if !path.starts_with('/') {
        // After a scheme it may be anything; a path without one is not to look as if it had one.
        return scheme.is_some() || !path.split('/').next().is_some_and(|first| first.contains(':'));
    }
    match path.strip_prefix("//") {
        Some(rest) if scheme.is_some() || !rest.starts_with('/') => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            is_authority(scheme.unwrap_or_default(), authority) && is_escaped(path)
        }
        _ => is_escaped(path),
    }
}

/// The scheme, if there is one, and what follows; `None` if there is nothing before a colon.
fn scheme_of(text: &str) -> Option<(Option<&str>, &str)> {
    let is_other = |letter: char| !letter.is_ascii_alphanumeric() && !"+-.".contains(letter);
    match text.find(is_other).map(|end| text.split_at(end)) {
        Some(("", rest)) if rest.starts_with(':') => None,
        Some((scheme, rest)) if scheme.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            Some(rest.strip_prefix(':').map_or((None, text), |rest| (Some(scheme), rest)))
        }
        _ => Some((None, text)),
    }
}

/// Whatever is between the slashes and the path: a user, a host, a port.
fn is_authority(scheme: &str, authority: &str) -> bool {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let is_user = user.bytes().all(|byte| byte.is_ascii_alphanumeric() || IN_USER.contains(&byte));
    is_user && is_escaped(user) && (host.is_empty() || is_host(scheme, host))
}

fn is_host(scheme: &str, host: &str) -> bool {
    let is_plain =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || IN_HOST.contains(&byte));
    match host.rfind('[') {
        Some(0) => {
            let Some((inside, port)) = host[1..].rsplit_once(']') else { return false };
            let (address, zone) =
                inside.split_once("%25").map_or((inside, None), |(address, zone)| (address, Some(zone)));
            let is_zone = |zone: &str| is_plain(zone) && is_domain(zone);
            address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_zone) && is_port(port)
        }
        Some(_) => false,
        None => {
            // Databases have several hosts, each with its port, in one URI.
            let is_strict = ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme));
            let colon = if is_strict { host.find(':') } else { host.rfind(':') };
            let port = colon.and_then(|colon| host.get(colon..)).unwrap_or_default();
            // Of what is escaped only a percent sign may be in a domain.
            is_port(port) && is_plain(&host.replace("%25", "")) && is_domain(host)
        }
    }
}

/// Nothing, or a colon and digits.
fn is_port(port: &str) -> bool {
    port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// True if each percent sign is before two hexadecimal digits.
fn is_escaped(text: &str) -> bool {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    text.split('%').skip(1).all(|after| {
        let after = after.as_bytes();
        is_hex(after.first()) && is_hex(after.get(1))
    })
}
