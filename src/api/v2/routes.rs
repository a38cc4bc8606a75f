//! What is at a path.

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::api::body::ReplyBody;

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Target<'p> {
    /// This.
    Place(Place<'p>),
    /// The clean form of the path.
    Moved(String),
    /// Nothing.
    Nothing,
}

/// What is at a clean path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'p> {
    /// A node; what follows the prefix.
    Keys(&'p str),
    /// The members; likewise.
    Members(&'p str),
    /// URLs of the members.
    Machines,
    /// Figures.
    Stats(Stats),
    /// Users and roles; likewise.
    Auth(&'p str),
}

/// Whose figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stats {
    /// Of the leader about its followers.
    Leader,
    /// Of this member.
    Own,
    /// Of the tree.
    Store,
}

impl Place<'_> {
    /// The methods that it takes, in etcd's order.
    pub fn methods(self) -> &'static [&'static str] {
        match self {
            Place::Keys(_) => &["HEAD", "GET", "PUT", "POST", "DELETE"],
            Place::Members(_) => &["GET", "POST", "DELETE", "PUT"],
            Place::Machines => &["GET", "HEAD"],
            Place::Stats(_) | Place::Auth("/users" | "/users/" | "/roles" | "/roles/") => &["GET"],
            Place::Auth(_) => &["GET", "PUT", "DELETE"],
        }
    }
}

/// What is at that path (percent-decoded).
pub fn find(path: &str) -> Target<'_> {
    let clean = with_slash(path);
    if clean != path {
        return Target::Moved(clean);
    }
    let below =
        |prefix: &str| path.strip_prefix(prefix).filter(|below| below.is_empty() || below.starts_with('/'));
    if let Some(below) = below("/v2/keys") {
        return Target::Place(Place::Keys(below));
    }
    if let Some(below) = below("/v2/members") {
        return Target::Place(Place::Members(below));
    }
    if let Some(below) = below("/v2/auth") {
        let is_there = below == "/enable"
            || ["/users", "/roles"].iter().any(|list| {
                below.strip_prefix(list).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
        return if is_there { Target::Place(Place::Auth(below)) } else { Target::Nothing };
    }
    match path {
        "/v2/machines" => Target::Place(Place::Machines),
        "/v2/stats/leader" => Target::Place(Place::Stats(Stats::Leader)),
        "/v2/stats/self" => Target::Place(Place::Stats(Stats::Own)),
        "/v2/stats/store" => Target::Place(Place::Stats(Stats::Store)),
        _ => Target::Nothing,
    }
}

/// Go's `path.Clean` of an absolute path.
pub fn clean(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => _ = names.pop(),
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

/// The same with the slash at the end, if there is one.
fn with_slash(path: &str) -> String {
    let mut clean = clean(path);
    if path.ends_with('/') && clean != "/" {
        clean.push('/');
    }
    clean
}

/// The answer for a path that is not clean, as Go's router gives it.
pub fn moved<B>(clean: &str, request: &Request<B>) -> Response<ReplyBody> {
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let to = format!("{}{query}", escaped(clean));
    let is_shown = matches!(*request.method(), Method::GET | Method::HEAD);
    let body = match *request.method() == Method::GET {
        true => {
            let shown = to.replace('&', "&amp;").replace('"', "&#34;").replace('\'', "&#39;");
            format!("<a href=\"{shown}\">Moved Permanently</a>.\n\n")
        }
        false => String::new(),
    };
    let mut response = Response::new(ReplyBody::Page(body.into()));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if is_shown {
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, html);
    }
    if let Ok(to) = HeaderValue::from_str(&to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

/// A path as Go writes it in a URL.
fn escaped(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => text.push(char::from(byte)),
            b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'@' => {
                text.push(char::from(byte));
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_paths_that_are_not_clean() {
        for (path, target) in [
            ("/v2/keys", Target::Place(Place::Keys(""))),
            ("/v2/keys/", Target::Place(Place::Keys("/"))),
            ("/v2/keys/a/b/", Target::Place(Place::Keys("/a/b/"))),
            ("/v2/keysx", Target::Nothing),
            ("/v2/members/leader", Target::Place(Place::Members("/leader"))),
            ("/v2/auth/users/x", Target::Place(Place::Auth("/users/x"))),
            ("/v2/auth/usersx", Target::Nothing),
            ("/v2/auth", Target::Nothing),
            ("/v2/stats/self", Target::Place(Place::Stats(Stats::Own))),
            ("/v2/stats/self/", Target::Nothing),
            ("/v2/", Target::Nothing),
            ("/v2/keys//a/", Target::Moved("/v2/keys/a/".into())),
            ("/v2/keys/a/../b", Target::Moved("/v2/keys/b".into())),
            ("/v2/../../v2/./machines", Target::Moved("/v2/machines".into())),
        ] {
            assert_eq!(find(path), target, "{path}");
        }
        assert_eq!(escaped("/a b/ä\""), "/a%20b/%C3%A4%22");
    }
}
