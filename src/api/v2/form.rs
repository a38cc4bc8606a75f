//! The parameters of a request, from the query and, if it is a form, the body, whose values come first: as Go's
//! `ParseForm` reads them.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;

use super::errors::Error;
use crate::api::client::Client;
use crate::api::grpc::RequestBody;
use crate::model::Refusal;

/// The largest form that Go reads, in bytes.
const LARGEST: usize = 10 << 20;

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// [`Refusal::RequestTooLarge`]; [`Refusal::AnswersUnread`] if there is no room for it; [`Refusal::Canceled`] if the client
/// is gone.
pub async fn read<B: RequestBody>(mut body: B, limit: usize, client: &Client) -> Result<Bytes, Refusal> {
    let mut room = client.share.receive();
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::Canceled)?;
        let Ok(data) = frame.into_data() else { break };
        if read.len() + data.len() > limit {
            return Err(Refusal::RequestTooLarge);
        }
        room.hold(read.len() + data.len())?;
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// True if the body of a request with these headers is a form.
pub fn is_form(method: &Method, headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    matches!(*method, Method::PUT | Method::POST | Method::PATCH)
        && kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The parameters that mean something. All others are read and forgotten: a form may have a million of them.
const NAMES: [&str; 14] = [
    "dir",
    "noValueOnSuccess",
    "prevExist",
    "prevIndex",
    "prevValue",
    "quorum",
    "recursive",
    "refresh",
    "sorted",
    "stream",
    "ttl",
    "value",
    "wait",
    "waitIndex",
];

/// See the module. It has the first value of each parameter in [`NAMES`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(&'static str, String)>);

impl Form {
    /// The parameters of a body and a query.
    ///
    /// # Errors
    /// 210 if they cannot be read.
    pub fn parse(body: &[u8], query: &str) -> Result<Self, Error> {
        if body.len() > LARGEST {
            return Err(Error::new(210, "http: POST too large"));
        }
        let (mut form, mut wrong) = (Self::default(), None);
        for part in [body, query.as_bytes()] {
            for pair in part.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
                match parsed(pair) {
                    Ok((name, value)) => form.keep(&name, value),
                    Err(cause) => wrong = wrong.or(Some(cause)),
                }
            }
        }
        match wrong {
            Some(cause) => Err(Error::new(210, cause)),
            None => Ok(form),
        }
    }

    fn keep(&mut self, name: &str, value: String) {
        if self.get(name).is_none()
            && let Some(known) = NAMES.iter().find(|known| **known == name)
        {
            self.0.push((known, value));
        }
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// A value, empty without one.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// A number; 0 without one.
    ///
    /// # Errors
    /// `code` if it is none.
    pub fn number(&self, name: &str, code: u16) -> Result<u64, Error> {
        let Some(text) = self.get(name) else { return Ok(0) };
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_plain);
        number.ok_or_else(|| Error::new(code, format!("invalid value for \"{name}\"")))
    }

    /// A yes or no; no without one.
    ///
    /// # Errors
    /// 209 if it is neither.
    pub fn flag(&self, name: &str) -> Result<bool, Error> {
        let given =
            self.given(name).map_err(|()| Error::new(209, format!("invalid value for \"{name}\"")))?;
        Ok(given.unwrap_or_default())
    }

    /// A yes or no that may be missing.
    ///
    /// # Errors
    /// 209 if it is neither; its text differs from that of [`Form::flag`], as in etcd.
    pub fn choice(&self, name: &str) -> Result<Option<bool>, Error> {
        self.given(name).map_err(|()| Error::new(209, format!("invalid value for {name}")))
    }

    fn given(&self, name: &str) -> Result<Option<bool>, ()> {
        match self.get(name) {
            None => Ok(None),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
            Some(_) => Err(()),
        }
    }
}

/// A parameter, or Go's words for what is wrong with it.
fn parsed(pair: &[u8]) -> Result<(String, String), String> {
    if pair.contains(&b';') {
        return Err("invalid semicolon separator in query".into());
    }
    let (key, value) = match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &pair[..0]),
    };
    Ok((unescaped(key)?, unescaped(value)?))
}

fn unescaped(text: &[u8]) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |at: usize| tail.get(at).and_then(|digit| char::from(*digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                    let wrong = String::from_utf8_lossy(&tail[..tail.len().min(2)]).into_owned();
                    return Err(format!("invalid URL escape {:?}", format!("%{wrong}")));
                };
                bytes.push((high << 4 | low) as u8);
                rest = &tail[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_comes_before_the_query_and_the_first_value_counts() {
        let form = Form::parse(b"value=a+b%20c&dir=true&value=x", "value=q&wait&ttl=5&prevExist=no").unwrap();
        assert_eq!(
            (form.text("value"), form.flag("dir"), form.number("ttl", 202)),
            ("a b c", Ok(true), Ok(5))
        );
        assert_eq!(form.get("wait"), Some(""));
        assert_eq!(form.flag("wait"), Err(Error::new(209, "invalid value for \"wait\"")));
        assert_eq!(form.choice("prevExist"), Err(Error::new(209, "invalid value for prevExist")));
        assert_eq!(
            (form.choice("refresh"), form.flag("quorum"), form.number("waitIndex", 1)),
            (Ok(None), Ok(false), Ok(0))
        );
        for number in ["", "-1", "+1", "1x", "18446744073709551616"] {
            let form = Form::parse(format!("ttl={}", number.replace('+', "%2B")).as_bytes(), "").unwrap();
            assert_eq!(form.number("ttl", 203).unwrap_err().code, 203, "{number}");
        }
    }

    #[test]
    fn what_means_nothing_is_not_kept() {
        let body = "a&value=x&value=y&b=c&".repeat(1000);
        let form = Form::parse(body.as_bytes(), "ttl=1").unwrap();
        assert_eq!(form, Form(vec![("value", "x".into()), ("ttl", "1".into())]));
        assert_eq!(Form::parse(b"unknown=%zz", "").unwrap_err().code, 210, "but it must be right");
    }

    #[test]
    fn what_go_cannot_read_is_refused_in_its_words() {
        for (query, cause) in [
            ("a=%zz", "invalid URL escape \"%zz\""),
            ("a=%4", "invalid URL escape \"%4\""),
            ("a;b=1", "invalid semicolon separator in query"),
        ] {
            assert_eq!(Form::parse(b"", query), Err(Error::new(210, cause)));
        }
    }
}
