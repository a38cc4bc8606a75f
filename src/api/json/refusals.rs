//! Errors as grpc-gateway answers them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tonic::{Code, Status};

use super::schema::Message;
use super::text::encode_text;

/// Why the requests of a stream cannot be read: set by their reader, answered by the writer of the answers.
pub type Failure = Arc<OnceLock<Status>>;

/// The line that ends a stream.
pub fn line(status: &Status) -> Bytes {
    [b"{\"error\":", &written(status)[..], b"}\n"].concat().into()
}

/// The status among the headers or trailers of an answer.
pub fn status(headers: &HeaderMap) -> Status {
    Status::from_header_map(headers).unwrap_or_else(|| Status::internal("no status"))
}

/// An answer that kvd has encoded wrongly.
pub fn malformed(message: &Message) -> Status {
    Status::internal(format!("{} cannot be written as JSON", message.name))
}

/// The status as a JSON object.
pub fn written(status: &Status) -> Vec<u8> {
    let mut json = format!("{{\"code\":{}", status.code() as i32).into_bytes();
    if !status.message().is_empty() {
        json.extend(b",\"message\":");
        encode_text(status.message().as_bytes(), &mut json);
    }
    json.push(b'}');
    json
}

/// The HTTP status for a code.
pub fn http_status(code: Code) -> StatusCode {
    let number = match code {
        Code::Ok => 200,
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::ResourceExhausted => 429,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
    };
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_and_statuses() {
        let status = Status::new(Code::Unauthenticated, "etcdserver: \"no\"");
        assert_eq!(written(&status), br#"{"code":16,"message":"etcdserver: \"no\""}"#);
        assert_eq!(&line(&Status::new(Code::Aborted, ""))[..], b"{\"error\":{\"code\":10}}\n");
        assert_eq!(http_status(Code::Cancelled).as_u16(), 499);
    }
}
