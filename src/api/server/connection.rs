//! One connection, from the handshake to its end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::Result;
use std::pin::{Pin, pin};
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use parking_lot::Mutex;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use super::answer::Answer;
use super::begin::{Begun, Ended, begin};
use super::floods::Floods;
use super::frames::Frames;
use super::io::{Beginning, Heard, Stream};
use super::listen::Faces;
use super::pings::{Activity, Open, Policy};
use super::socket;
use super::tls::Encryption;
use super::written::Written;
use crate::api::body::ReplyBody;
use crate::api::client::{Client, Peer};
use crate::api::grpc::upload::Upload;
use crate::api::json::socket::Switch;
use crate::api::unsent::Share;
use crate::model::{Budget, Held, Refusal};

/// Bytes that a client may send ahead on one stream.
const STREAM_WINDOW: u32 = 1 << 20;
/// Bytes that a client may send ahead on a connection, as long as there is room for that.
const CONNECTION_WINDOW: usize = 4 << 20;
/// Those that it may always send: every connection of HTTP/2 begins with them (RFC 9113 section 6.9.2).
const OWN_WINDOW: usize = 65_535;
/// The part of the room for windows that is left which a connection gets: one in so many.
const WINDOW_PART: usize = 32;
/// Bytes of an answer that are buffered per stream for a slow client.
const SEND_BUFFER: usize = 256 << 10;
/// Most concurrent streams on one connection if `--max-concurrent-streams` does not say.
const MAX_STREAMS: u32 = 10_000;
/// Largest total size of the headers of a request, in bytes.
const MAX_HEADERS: u32 = 64 << 10;
/// Most headers of a request of HTTP/1.1.
const MAX_HEADER_COUNT: usize = 128;
/// Streams reset by the client that may be pending: more than are taken up in a turn. `frames` stops a flood of resets.
const MAX_PENDING_RESETS: usize = 64;

/// A connection that was accepted and waits for its thread.
pub(super) struct Accepted {
    pub(super) socket: Socket,
    pub(super) encryption: Encryption,
    pub(super) faces: Faces,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// A socket that is passed from one runtime to another.
pub(super) enum Socket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Socket {
    fn register(self) -> Result<Stream> {
        Ok(match self {
            Socket::Tcp(socket) => Stream::Tcp(TcpStream::from_std(socket)?),
            Socket::Unix(socket) => Stream::Unix(UnixStream::from_std(socket)?),
        })
    }
}

/// Serves a connection until it ends or the server stops.
pub(super) async fn serve(accepted: Accepted, shared: Arc<Shared>) {
    let Accepted { socket, encryption, faces, _permit } = accepted;
    let stream = match socket.register() {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "a connection that was gone at once"),
    };
    let (peer, local) = (stream.peer(), stream.local());
    let limit = shared.options.handshake_timeout;
    let begun = tokio::select! {
        begun = tokio::time::timeout(limit, begin(stream, &encryption)) => begun,
        () = shared.services.stop.stopping() => return,
    };
    let late = |_| Err(Ended::Refused("TLS handshake", format!("it did not end within {limit:?}")));
    match begun.unwrap_or_else(late) {
        Ok(Begun { stream, encrypted, user }) => {
            let answers = shared.services.store.answers().clone();
            let share = Share::new(answers, &shared.requests, shared.messages.clone());
            let client = Client { peer, local, encrypted, certified: user, share };
            converse(stream, peer, Arc::new(client), faces, &shared).await;
        }
        Err(ended) => ended.log(peer, &shared.complaints),
    }
}

async fn converse(stream: Stream, peer: Peer, client: Arc<Client>, faces: Faces, shared: &Arc<Shared>) {
    let activity = Arc::<Activity>::default();
    let policy = ping_policy(shared, client.encrypted, faces, &activity);
    let written = Written::new(activity.clone(), shared.complaints.clone(), peer);
    let frames = Frames::new(policy, Floods::new(activity.clone()));
    let share = client.share.clone();
    let (stream, heard) = Heard::new(stream, frames, written, share.clone());
    let switched = Arc::<Mutex<Option<(OnUpgrade, Switch)>>>::default();
    let service = {
        let (shared, client, activity) = (shared.clone(), client.clone(), activity.clone());
        let switched = switched.clone();
        service_fn(move |request: Request<Incoming>| {
            let (shared, client, switched) = (shared.clone(), client.clone(), switched.clone());
            let stream = Open::new(&activity);
            let mut request = request.map(Upload::new);
            // In a box that exists while the request is handled: otherwise each stream would keep its room from its
            // first frame to its last.
            Box::pin(async move {
                let opened = client.share.open(bytes_of(request.headers()));
                let mut response = match &opened {
                    Ok(_) => answer(&shared, faces, &client, &mut request).await,
                    Err(refusal) => refused(refusal.clone(), &request),
                };
                if let Some(switch) = response.extensions_mut().remove::<Switch>() {
                    *switched.lock() = Some((hyper::upgrade::on(&mut request), switch));
                }
                let share = client.share.clone();
                Ok::<_, Infallible>(response.map(|body| Answer::new(body, share, stream, opened.ok())))
            })
        })
    };
    let ahead = ahead(&shared.windows);
    let builder = builder(shared, OWN_WINDOW + ahead.bytes());
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let mut stopping = pin!(shared.services.stop.stopping());
    let mut silence = pin!(tokio::time::sleep(shared.options.first_byte_timeout));
    let mut stalled = pin!(share.stalled(shared.options.stall_timeout));
    let mut silent = true;
    let mut draining = false;
    loop {
        tokio::select! {
            ended = by_turns(&heard, connection.as_mut()) => {
                if let Err(error) = ended {
                    match error.downcast_ref::<hyper::Error>().and_then(reason) {
                        Some("no HTTP") if heard.tls() => {
                            let detail = "it speaks TLS, which this port does not: it needs http instead of https";
                            shared.complaints.ended("TLS", peer, detail);
                        }
                        Some(reason) => shared.complaints.ended(reason, peer, error),
                        None => tracing::debug!(%error, "connection ended"),
                    }
                    return;
                }
                let Some((upgraded, switch)) = switched.lock().take() else { return };
                let Ok(upgraded) = upgraded.await else { return };
                let socket = socket::serve(TokioIo::new(upgraded), switch, client, &activity, shared);
                tokio::select! {
                    () = Box::pin(socket) => {}
                    () = stalled.as_mut() => stall(shared, peer),
                }
                return;
            }
            () = stopping.as_mut(), if !draining => {
                draining = true;
                // Sends GOAWAY: open streams may finish, and the gate ends those that would not.
                connection.as_mut().graceful_shutdown();
            }
            () = stalled.as_mut() => return stall(shared, peer),
            () = silence.as_mut(), if silent => {
                silent = false;
                if !heard.protocol() {
                    let limit = shared.options.first_byte_timeout;
                    let detail = format!("no request line and no preface of HTTP/2 in {limit:?}");
                    return shared.complaints.ended("silence", peer, detail);
                }
            }
        }
    }
}

/// Polls a connection; with each poll begins another turn of its requests.
async fn by_turns<F: Future>(heard: &Beginning, mut connection: Pin<&mut F>) -> F::Output {
    poll_fn(|context| {
        heard.next_turn();
        connection.as_mut().poll(context)
    })
    .await
}

fn stall(shared: &Shared, peer: Peer) {
    let limit = shared.options.stall_timeout;
    let detail = format!("it has left answers unread, or messages unfinished, for {limit:?}");
    shared.complaints.ended("stalled", peer, detail);
}

/// This server's reason, if the library ends a connection without a frame that names it.
fn reason(error: &hyper::Error) -> Option<&'static str> {
    if error.is_timeout() {
        Some("timeout")
    } else if error.is_parse() {
        Some("no HTTP")
    } else {
        None
    }
}

/// The ping limit of a connection (`--grpc-keepalive-min-time`). As in etcd, there is none for TLS on a listener that
/// also serves HTTP: there Go's HTTP server carries gRPC, and it counts no pings.
fn ping_policy(shared: &Shared, encrypted: bool, faces: Faces, activity: &Arc<Activity>) -> Option<Policy> {
    let min_time = shared.options.keepalive_min_time;
    let counted = faces == Faces::Grpc || (faces == Faces::All && !encrypted);
    (counted && !min_time.is_zero()).then(|| Policy::new(min_time, activity.clone()))
}

/// Takes the room for what the client of a new connection may send ahead in addition to what is its own. Nothing stops a
/// client from sending that, however little is read of it, so the more connections there are, the less each gets.
fn ahead(windows: &Arc<Budget>) -> Held {
    let left = windows.most().saturating_sub(windows.used());
    windows.take_beyond((left / WINDOW_PART).min(CONNECTION_WINDOW - OWN_WINDOW))
}

fn builder(shared: &Shared, window: usize) -> Builder<TokioExecutor> {
    let options = &shared.options;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_headers(MAX_HEADER_COUNT)
        .max_buf_size(MAX_HEADERS as usize);
    let streams = match options.max_concurrent_streams {
        u32::MAX => MAX_STREAMS,
        streams => streams,
    };
    let interval = (!options.keepalive_interval.is_zero()).then_some(options.keepalive_interval);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(u32::try_from(window).unwrap_or(u32::MAX))
        .max_concurrent_streams(streams)
        .max_header_list_size(MAX_HEADERS)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .keep_alive_interval(interval)
        .keep_alive_timeout(options.keepalive_timeout);
    builder
}

/// Sends gRPC to the services and everything else to the pages, as far as the listener offers them.
async fn answer(
    shared: &Shared,
    faces: Faces,
    client: &Arc<Client>,
    request: &mut Request<Upload<Incoming>>,
) -> Response<ReplyBody> {
    match (is_grpc(request), faces) {
        (true, Faces::All | Faces::Grpc) => shared.grpc.call(request, client).await,
        (false, Faces::All | Faces::Http) => shared.pages.client(client, request).await,
        (_, Faces::Metrics) => shared.pages.metrics_only(request).await,
        (true, Faces::Http) | (false, Faces::Grpc) => {
            let mut response = Response::new(ReplyBody::Empty);
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2
        && request
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The size of headers by HTTP/2's count (RFC 9113 section 6.5.2).
fn bytes_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

/// The answer to a request for which there is no room.
fn refused<B>(refusal: Refusal, request: &Request<B>) -> Response<ReplyBody> {
    if is_grpc(request) {
        return tonic::Status::from(refusal).into_http();
    }
    let mut response = Response::new(ReplyBody::Empty);
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_of_all_connections_have_a_bound() {
        let windows = Budget::new(128 << 20);
        let mut open: Vec<Held> = (0..10_000).map(|_| ahead(&windows)).collect();
        assert!(windows.used() <= windows.most());
        assert_eq!(OWN_WINDOW + open[0].bytes(), CONNECTION_WINDOW);
        assert!(open[20].bytes() > 2 << 20 && open[100].bytes() > 128 << 10);
        assert_eq!(open.pop().map(|last| last.bytes()), Some(0));
        drop(open);
        assert_eq!(windows.used(), 0);
    }
}
