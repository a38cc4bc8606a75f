//! grpc-go's texts where tonic has others: for messages that are too long and methods that do not exist.

use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};

use crate::api::rules;
use crate::model::Refusal;

/// A message above the receive limit. Sizes in bytes.
pub fn message_too_large(size: usize, limit: usize) -> Status {
    Status::resource_exhausted(format!("grpc: received message larger than max ({size} vs. {limit})"))
}

/// The refusal that a handler receives if its stream of requests breaks.
pub fn broken(status: &Status) -> Refusal {
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => {
            let better = too_long(status.message());
            Refusal::MessageTooLong(better.as_ref().unwrap_or(status).message().to_string())
        }
        Code::Internal => Refusal::Internal(status.message().to_string()),
        _ => Refusal::Canceled,
    }
}

/// A path without a method.
pub fn unknown_method(path: &str) -> Status {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.rsplit_once('/')) else {
        return Status::unimplemented(format!("malformed method name: \"{path}\""));
    };
    if rules::has_service(service) {
        Status::unimplemented(format!("unknown method {method} for service {service}"))
    } else {
        Status::unimplemented(format!("unknown service {service}"))
    }
}

/// Replaces the library's text for a message that is too long by grpc-go's, in the status among these headers or
/// trailers.
pub fn reword(headers: &mut HeaderMap) {
    // Nearly every status is a different one.
    let status = headers.get("grpc-status").map(HeaderValue::as_bytes);
    if !matches!(status, Some(b"8" | b"11")) {
        return;
    }
    let Some(better) = Status::from_header_map(headers).and_then(|status| too_long(status.message())) else {
        return;
    };
    headers.remove("grpc-message");
    // Fails only if the text cannot be a header value; it is plain.
    let _ = better.add_header(headers);
}

fn too_long(text: &str) -> Option<Status> {
    let number = |text: &str, before: &str| {
        let (_, after) = text.split_once(before)?;
        after.split_whitespace().next()?.parse::<u64>().ok()
    };
    if text.starts_with("Error, decoded message length too large") {
        let (found, limit) = (number(text, "found ")?, number(text, "limit is: ")?);
        let text = format!("grpc: received message larger than max ({found} vs. {limit})");
        return Some(Status::resource_exhausted(text));
    }
    if text.starts_with("Error decompressing: size limit") {
        let limit = number(text, "limit, of ")?;
        let text = format!("grpc: received message after decompression larger than max {limit}");
        return Some(Status::resource_exhausted(text));
    }
    None
}
