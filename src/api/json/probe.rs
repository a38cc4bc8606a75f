//! The reader of requests, with any bytes.

use super::decode::decode;
use super::encode::encode;
use super::scan::Scanner;
use super::schema::METHODS;
use crate::api::grpc::unary::PREFIX;

/// Reads `bytes` as the request of every method. What can be read is written as JSON and read again, which must give the
/// same message; and pieces must end where the whole does.
///
/// # Panics
/// If not: this is for tests.
pub fn probe(bytes: &[u8]) {
    let whole = Scanner::default().scan(bytes);
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    let mut scanner = Scanner::default();
    let pieces = match scanner.scan(first) {
        Ok(None) => scanner.scan(rest).map(|end| end.map(|end| first.len() + end)),
        ended => ended,
    };
    assert_eq!(pieces, whole, "in pieces");
    let Ok(Some(end)) = whole else { return };
    let value = bytes.get(..end).unwrap_or(bytes).trim_ascii();
    for method in METHODS {
        let Ok(message) = decode(value, method.request) else { continue };
        let mut json = Vec::new();
        let wire = message.get(PREFIX..).unwrap_or_default();
        assert_eq!(encode(wire, method.request, &mut json), Ok(()), "{}", method.path);
        let Ok(again) = decode(&json, method.request) else {
            panic!("{}: {}", method.path, String::from_utf8_lossy(&json));
        };
        let mut json_again = Vec::new();
        let wire = again.get(PREFIX..).unwrap_or_default();
        assert_eq!(encode(wire, method.request, &mut json_again), Ok(()), "{}", method.path);
        assert_eq!(json_again, json, "{}", method.path);
    }
}
