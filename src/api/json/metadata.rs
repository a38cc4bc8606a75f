//! From HTTP headers to the metadata of a call: `Authorization`, everything that begins with `Grpc-Metadata-`, and the
//! deadline in `Grpc-Timeout`.
//!
//! What is wrong with a header is found at two moments, as in etcd: before the request is read, or when it is passed on.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Status;

const PREFIX: &str = "grpc-metadata-";
/// The end of the names of binary metadata.
const BINARY: &str = "-bin";
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The metadata of a call.
pub struct Metadata {
    headers: HeaderMap,
    /// A header is the prefix alone.
    has_empty_key: bool,
}

impl Metadata {
    /// The headers of the call.
    ///
    /// # Errors
    /// `Internal` if one of them has no name.
    pub fn checked(self) -> Result<HeaderMap, Status> {
        match self.has_empty_key {
            true => Err(Status::internal("there is an empty key in the header")),
            false => Ok(self.headers),
        }
    }
}

/// The metadata of a request with these headers.
///
/// # Errors
/// `InvalidArgument` for a timeout that is none, and for a binary value that is no base64; `DeadlineExceeded` for a timeout
/// that is negative.
pub fn of(headers: &HeaderMap) -> Result<Metadata, Status> {
    let (mut metadata, mut has_empty_key) = (HeaderMap::new(), false);
    if let Some(timeout) = headers.get(&TIMEOUT).filter(|value| !value.is_empty())
        && let Some(timeout) = deadline(timeout)?
    {
        metadata.insert(TIMEOUT, timeout);
    }
    for (name, value) in headers {
        let key = if name == AUTHORIZATION {
            name.as_str()
        } else {
            match name.as_str().strip_prefix(PREFIX) {
                Some(key) if !is_reserved(key) => key,
                _ => continue,
            }
        };
        has_empty_key |= key.is_empty();
        if key.ends_with(BINARY)
            && let Some(at) = undecodable(value.as_bytes())
        {
            let name = canonical(name.as_str());
            return Err(Status::invalid_argument(format!(
                "invalid binary header {name}: illegal base64 data at input byte {at}"
            )));
        }
        let is_text = value.as_bytes().iter().all(|byte| matches!(byte, 0x20..=0x7e));
        let is_key = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        if is_text
            && is_key
            && let Ok(key) = HeaderName::from_bytes(key.as_bytes())
        {
            metadata.append(key, value.clone());
        }
    }
    Ok(Metadata { headers: metadata, has_empty_key })
}

/// A header's name as Go writes it: `Grpc-Metadata-X`.
fn canonical(name: &str) -> String {
    let parts = name.split('-').map(|part| match part.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + &rest.to_ascii_lowercase(),
        None => String::new(),
    });
    parts.collect::<Vec<_>>().join("-")
}

/// Where Go's decoder of base64 stops; `None` if it reads all. As in etcd, values are padded if their length allows it.
fn undecodable(text: &[u8]) -> Option<usize> {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let end = text.iter().position(|byte| !is_digit(byte)).unwrap_or(text.len());
    let rest = &text[end..];
    if !text.len().is_multiple_of(4) {
        // Without padding; one digit alone is no byte.
        return match rest {
            [] => (text.len() % 4 == 1).then(|| text.len() - 1),
            _ => Some(end),
        };
    }
    match (rest, end % 4) {
        ([], _) | (b"=", 3) | (b"==", 2) => None,
        // The first that follows a whole padding, or stands in its place.
        ([b'=', ..], 3) => Some(end + 1),
        ([b'=', b'=', ..], 2) => Some(end + 2),
        _ => Some(end),
    }
}

/// Metadata that gRPC keeps for itself.
fn is_reserved(key: &str) -> bool {
    key.starts_with(':') || key.starts_with("grpc-") || matches!(key, "content-type" | "user-agent" | "te")
}

/// The gateway's timeout has any number of digits, gRPC's has at most eight. `None`: no deadline.
fn deadline(value: &HeaderValue) -> Result<Option<HeaderValue>, Status> {
    let text = String::from_utf8_lossy(value.as_bytes());
    let parsed = text.split_at_checked(text.len().saturating_sub(1)).and_then(|(amount, unit)| {
        let nanos: i128 = match unit {
            "H" => 3_600_000_000_000,
            "M" => 60_000_000_000,
            "S" => 1_000_000_000,
            "m" => 1_000_000,
            "u" => 1_000,
            "n" => 1,
            _ => return None,
        };
        Some(i128::from(amount.parse::<i64>().ok()?) * nanos)
    });
    let Some(nanos) = parsed else {
        return Err(Status::invalid_argument(format!("invalid grpc-timeout: {text}")));
    };
    if nanos < 0 {
        return Err(Status::deadline_exceeded("context deadline exceeded"));
    }
    if nanos == 0 {
        return Ok(None);
    }
    let units = [("n", 1), ("u", 1_000), ("m", 1_000_000), ("S", 1_000_000_000)];
    let fitting = units.into_iter().map(|(unit, size)| (unit, (nanos + size - 1) / size));
    let (unit, amount) =
        fitting.into_iter().find(|(_, amount)| *amount < 100_000_000).unwrap_or(("S", 99_999_999));
    Ok(HeaderValue::from_str(&format!("{amount}{unit}")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts() {
        let of = |text: &'static str| deadline(&HeaderValue::from_static(text));
        for (text, grpc) in [
            ("5S", Some("5000000u")),
            ("1n", Some("1n")),
            ("100H", Some("360000S")),
            ("123456789012S", Some("99999999S")),
            ("+7m", Some("7000000n")),
            ("0S", None),
        ] {
            let grpc = grpc.map(HeaderValue::from_static);
            assert_eq!(of(text).expect("a timeout"), grpc, "{text}");
        }
        for text in ["S", "5", "5x", "1.5S", "99999999999999999999S"] {
            assert_eq!(of(text).expect_err("none").message(), format!("invalid grpc-timeout: {text}"));
        }
        assert_eq!(of("-1S").expect_err("in the past").code(), tonic::Code::DeadlineExceeded);
    }

    #[test]
    fn only_some_headers_are_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "secret"),
            ("grpc-metadata-hasleader", "true"),
            ("grpc-metadata-grpc-encoding", "gzip"),
            ("grpc-metadata-te", "x"),
            ("hasleader", "true"),
            ("cookie", "a"),
            ("accept", "*/*"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert("grpc-metadata-binary", HeaderValue::from_bytes(b"\xe4").expect("a value"));
        let metadata = of(&headers).expect("metadata").checked().expect("headers");
        let names: std::collections::BTreeSet<&str> = metadata.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["authorization", "hasleader"].into());
    }

    #[test]
    fn binary_values_are_base64_as_go_reads_it() {
        for (text, wrong_at) in [
            ("", None),
            ("YWI=", None),
            ("YWI", None),
            ("YQ==", None),
            ("YQ", None),
            ("YWJj", None),
            ("%%%", Some(0)),
            ("YW-_", Some(2)),
            ("YWJjY", Some(4)),
            ("YW=I", Some(2)),
            ("Y===", Some(1)),
            ("YWI=YWI=", Some(4)),
            ("YQ==YWI=", Some(4)),
        ] {
            assert_eq!(undecodable(text.as_bytes()), wrong_at, "{text}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("grpc-metadata-x-bin", HeaderValue::from_static("%%%"));
        let status = of(&headers).err().expect("refused");
        assert_eq!(
            status.message(),
            "invalid binary header Grpc-Metadata-X-Bin: illegal base64 data at input byte 0"
        );
    }

    #[test]
    fn a_header_that_is_the_prefix_alone_is_refused_when_it_is_passed_on() {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-metadata-", HeaderValue::from_static("x"));
        let status = of(&headers).expect("metadata").checked().expect_err("refused");
        assert_eq!(status.message(), "there is an empty key in the header");
    }
}
