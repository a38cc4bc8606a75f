//! A connection to one endpoint.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::tls::{self, TlsFiles};
use crate::api::proto::etcdserverpb::auth_client::AuthClient;
use crate::api::proto::etcdserverpb::cluster_client::ClusterClient;
use crate::api::proto::etcdserverpb::kv_client::KvClient;
use crate::api::proto::etcdserverpb::lease_client::LeaseClient;
use crate::api::proto::etcdserverpb::maintenance_client::MaintenanceClient;
use crate::api::proto::etcdserverpb::watch_client::WatchClient;
use crate::config::system_text;

/// etcd's text if the deadline has passed.
pub const DEADLINE: &str = "context deadline exceeded";

/// What carries the calls of all services.
pub type Wire = InterceptedService<Channel, Token>;

/// How to reach an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The TLS files; the endpoints' schemes decide whether TLS is used.
    pub tls: TlsFiles,
    /// Use TLS also for endpoints without a scheme.
    pub always_tls: bool,
    /// How long to try to connect.
    pub dial_timeout: Duration,
    /// The name that the servers' certificates must have; none for the endpoint's host.
    pub server_name: Option<String>,
    /// Pings, if there are any.
    pub pings: Option<Pings>,
    /// The most bytes of an answer; none for any number.
    pub max_answer: Option<usize>,
}

/// Pings, which find out that a server is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pings {
    /// Their interval.
    pub interval: Duration,
    /// How long to wait for the answer to one.
    pub patience: Duration,
    /// Also while no call waits for an answer.
    pub idle: bool,
}

/// The services of one endpoint.
pub struct Connection {
    /// Users and roles.
    pub auth: AuthClient<Wire>,
    /// Members.
    pub cluster: ClusterClient<Wire>,
    /// Keys.
    pub kv: KvClient<Wire>,
    /// Leases.
    pub lease: LeaseClient<Wire>,
    /// Maintenance.
    pub maintenance: MaintenanceClient<Wire>,
    /// Watches.
    pub watch: WatchClient<Wire>,
    /// Sent with each call from now on.
    pub token: Token,
}

/// The caller's token, in the metadata of each call.
#[derive(Clone, Default)]
pub struct Token(Arc<Mutex<Option<MetadataValue<Ascii>>>>);

impl Token {
    /// Replaces it; an empty one is not sent.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn set(&self, token: &str) -> Result<(), String> {
        let mut value = match token {
            "" => None,
            text => {
                Some(MetadataValue::try_from(text).map_err(|_| "the token has bytes that cannot be sent")?)
            }
        };
        value.iter_mut().for_each(|value| value.set_sensitive(true));
        if let Ok(mut held) = self.0.lock() {
            *held = value;
        }
        Ok(())
    }
}

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = self.0.lock().ok().and_then(|held| held.clone()) {
            request.metadata_mut().insert("token", token);
        }
        Ok(request)
    }
}

/// A parsed endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tcp { host: String, port: u16, tls: bool },
    Unix { path: PathBuf, tls: bool },
}

/// Connects.
///
/// # Errors
/// A text that names something the user can act on.
pub async fn connect(reach: &Reach, endpoint: &str) -> Result<Connection, String> {
    let place = Place::parse(endpoint, reach.always_tls)?;
    let tls = if place.is_tls() { Some(tls::client(&reach.tls, b"h2")?) } else { None };
    let name = reach.server_name.clone().unwrap_or_else(|| place.server_name());
    let reason = Arc::new(Mutex::new(String::new()));
    let seen = reason.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let (place, tls, name, seen) = (place.clone(), tls.clone(), name.clone(), seen.clone());
        async move {
            let opened = open(&place, tls, &name).await;
            if let (Err(error), Ok(mut seen)) = (&opened, seen.lock()) {
                *seen = error.to_string();
            }
            opened.map(TokioIo::new)
        }
    });
    // The authority is only a name for the server; the connector knows the address.
    let mut named = Endpoint::from_static("http://kvd");
    if let Some(Pings { interval, patience, idle }) = reach.pings {
        named = named.http2_keep_alive_interval(interval).keep_alive_timeout(patience);
        named = named.keep_alive_while_idle(idle);
    }
    let channel =
        match tokio::time::timeout(reach.dial_timeout, named.connect_with_connector(connector)).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => {
                let reason = reason.lock().map(|reason| reason.clone()).unwrap_or_default();
                return Err(if reason.is_empty() { error.to_string() } else { reason });
            }
            Err(_) => return Err(DEADLINE.to_string()),
        };
    let token = Token::default();
    let wire = InterceptedService::new(channel, token.clone());
    // etcdctl does not limit answers either, unless it is told to.
    const ANY: usize = i32::MAX as usize;
    let most = reach.max_answer.unwrap_or(ANY);
    Ok(Connection {
        auth: AuthClient::new(wire.clone()),
        cluster: ClusterClient::new(wire.clone()).max_decoding_message_size(most),
        kv: KvClient::new(wire.clone()).max_decoding_message_size(most),
        lease: LeaseClient::new(wire.clone()).max_decoding_message_size(most),
        maintenance: MaintenanceClient::new(wire.clone()).max_decoding_message_size(most),
        watch: WatchClient::new(wire).max_decoding_message_size(most),
        token,
    })
}

/// The longest page that is read, in bytes: whoever answers must not fill the memory.
const MAX_PAGE: u64 = 64 << 20;

/// A page that the server has on the port of an endpoint, within so much time.
///
/// # Errors
/// Why it cannot be fetched.
pub async fn page(reach: &Reach, endpoint: &str, path: &str, patience: Duration) -> Result<String, String> {
    fetch(reach, endpoint, path, patience).await.map(|(_, body)| body)
}

/// Such a page with the lines before it: the status and the headers.
///
/// # Errors
/// As [`page`].
pub async fn fetch(
    reach: &Reach,
    endpoint: &str,
    path: &str,
    patience: Duration,
) -> Result<(String, String), String> {
    let fetched = async {
        let place = Place::parse(endpoint, reach.always_tls)?;
        let tls = if place.is_tls() { Some(tls::client(&reach.tls, b"http/1.1")?) } else { None };
        let name = reach.server_name.clone().unwrap_or_else(|| place.server_name());
        let mut stream = open(&place, tls, &name).await.map_err(|error| error.to_string())?;
        // The older version has no pieces.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {name}\r\n\r\n");
        let mut page = Vec::new();
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        stream.take(MAX_PAGE + 1).read_to_end(&mut page).await.map_err(|error| error.to_string())?;
        if page.len() as u64 > MAX_PAGE {
            return Err("the page is too long".to_string());
        }
        let page = String::from_utf8_lossy(&page);
        let (head, body) = page.split_once("\r\n\r\n").ok_or("the answer is not HTTP's")?;
        match head.split(' ').nth(1) {
            Some("200") => Ok((head.to_string(), body.to_string())),
            _ => Err(head.lines().next().unwrap_or_default().to_string()),
        }
    };
    let fetched = tokio::time::timeout(patience, fetched).await;
    fetched.unwrap_or_else(|_| Err(DEADLINE.to_string()))
}

/// etcdctl's text for an error: the server's text alone if it is one of etcd's, otherwise with the code.
pub fn text(status: &Status) -> String {
    let words = status.message();
    if words.starts_with("etcdserver: ") || status.code() == Code::DeadlineExceeded && words == DEADLINE {
        return words.to_string();
    }
    unnamed(status)
}

/// What to do if the server has ended the connection because it speaks TLS only: kvd says so with HTTP/2's code
/// INADEQUATE_SECURITY, for which the library has this code and these words.
fn wants_tls(status: &Status) -> Option<&'static str> {
    let is_it = status.code() == Code::PermissionDenied && status.message().starts_with("h2 protocol error");
    is_it.then_some("this port speaks TLS: use https instead of http")
}

/// Go's text for an error that no client knows by name.
pub fn unnamed(status: &Status) -> String {
    if let Some(words) = too_large(status) {
        return words;
    }
    // The server's own answers have come over a connection that lasts.
    let is_gone =
        matches!(status.code(), Code::Cancelled | Code::Unavailable | Code::Unknown | Code::Internal);
    let ended = if is_gone { tls::ended() } else { None };
    let words = ended.as_deref().or_else(|| wants_tls(status)).unwrap_or(status.message());
    let code = match status.code() {
        Code::Cancelled => "Canceled".to_string(),
        code => format!("{code:?}"),
    };
    format!("rpc error: code = {code} desc = {words}")
}

/// Go's text for an answer that is over this client's limit, of which the library says so in words of its own.
fn too_large(status: &Status) -> Option<String> {
    let words = status.message().strip_prefix("Error, decoded message length too large: found ")?;
    let (found, limit) = words.strip_suffix(" bytes")?.split_once(" bytes, the limit is: ")?;
    let said = format!("grpc: received message larger than max ({found} vs. {limit})");
    Some(format!("rpc error: code = ResourceExhausted desc = {said}"))
}

impl Place {
    fn parse(endpoint: &str, always_tls: bool) -> Result<Self, String> {
        let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
        let tls = match scheme {
            "" => always_tls,
            "http" | "unix" => false,
            "https" | "unixs" => true,
            other => return Err(format!("endpoint {endpoint:?}: no scheme {other:?} is known")),
        };
        if scheme.starts_with("unix") {
            let path = if rest.starts_with('/') { rest } else { rest.split(':').next().unwrap_or(rest) };
            return Ok(Place::Unix { path: PathBuf::from(path), tls });
        }
        let authority = rest.split('/').next().unwrap_or(rest);
        let uri: Uri = format!("http://{authority}")
            .parse()
            .map_err(|error| format!("endpoint {endpoint:?}: {error}"))?;
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(format!("endpoint {endpoint:?} has no host"));
        }
        Ok(Place::Tcp { host: host.to_string(), port: uri.port_u16().unwrap_or(2379), tls })
    }

    fn is_tls(&self) -> bool {
        match self {
            Place::Tcp { tls, .. } | Place::Unix { tls, .. } => *tls,
        }
    }

    /// The name for which the certificate must be issued.
    fn server_name(&self) -> String {
        match self {
            // A name from DNS ends with a dot, which no certificate has.
            Place::Tcp { host, .. } => host.trim_end_matches('.').to_string(),
            Place::Unix { .. } => "localhost".to_string(),
        }
    }
}

/// A byte stream, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn open(place: &Place, tls: Option<tls::Connector>, name: &str) -> io::Result<Box<dyn Stream>> {
    let plain: Box<dyn Stream> = match place {
        Place::Tcp { host, port, .. } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| {
                io::Error::new(error.kind(), format!("dial tcp {host}:{port}: {}", words(&error)))
            })?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Place::Unix { path, .. } => {
            let stream = UnixStream::connect(path).await.map_err(|error| {
                io::Error::new(error.kind(), format!("dial unix {}: {}", path.display(), words(&error)))
            })?;
            Box::new(stream)
        }
    };
    match tls {
        None => Ok(plain),
        Some(connector) => Ok(Box::new(tls::Kept(connector.handshake(name, plain).await?))),
    }
}

/// The system's text in the spelling of Go's programs.
fn words(error: &io::Error) -> String {
    format!("connect: {}", system_text(error).to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_written_in_several_ways() {
        let tcp = |host: &str, port, tls| Ok(Place::Tcp { host: host.to_string(), port, tls });
        assert_eq!(Place::parse("127.0.0.1:2379", false), tcp("127.0.0.1", 2379, false));
        assert_eq!(Place::parse("a.example:1", true), tcp("a.example", 1, true));
        assert_eq!(Place::parse("http://a.example:1/", true), tcp("a.example", 1, false));
        assert_eq!(Place::parse("https://[::1]:1", false), tcp("::1", 1, true));
        let unix = Place::Unix { path: PathBuf::from("/run/kv/c.sock"), tls: false };
        assert_eq!(Place::parse("unix:///run/kv/c.sock", true), Ok(unix));
        for nonsense in ["", "ftp://a:1", "a:b:c:d", "http://"] {
            assert!(Place::parse(nonsense, false).is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn errors_of_the_server_are_shown_in_its_words() {
        assert_eq!(text(&Status::unavailable("etcdserver: no leader")), "etcdserver: no leader");
        assert_eq!(text(&Status::deadline_exceeded(DEADLINE)), DEADLINE);
        assert_eq!(text(&Status::unavailable("gone")), "rpc error: code = Unavailable desc = gone");
    }
}
