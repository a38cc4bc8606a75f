//! A watch that goes on at another member, or later, if its stream breaks.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status, Streaming};

use super::client::Client;
use crate::api::proto::etcdserverpb::watch_request::RequestUnion;
use crate::api::proto::etcdserverpb::{
    WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use crate::client::text;

/// The pause before a broken stream is opened again.
const PAUSE: Duration = Duration::from_millis(250);

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
const FUTURE: &str = "etcdserver: mvcc: required revision is a future revision";

/// A watch.
pub(super) struct Watcher<'a> {
    client: Client<'a>,
    /// Begins with what has not been seen yet.
    request: WatchCreateRequest,
    stream: Option<Stream>,
}

struct Stream {
    requests: mpsc::Sender<WatchRequest>,
    answers: Streaming<WatchResponse>,
}

/// The end of a watch.
pub(super) struct Ended {
    /// The server's last answer.
    pub(super) answer: WatchResponse,
    /// Why it ended; `None` if it was going on and the server ended it.
    pub(super) error: Option<String>,
    /// What the server says about an end without an error.
    pub(super) reason: Option<String>,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(client: Client<'a>, request: WatchCreateRequest) -> Self {
        Self { client, request, stream: None }
    }

    /// Opens the stream, if it is not open: whoever limits the time of [`Self::next`] does not limit that of connecting.
    ///
    /// # Errors
    /// The end of the watch.
    pub(super) async fn open(&mut self) -> Result<(), Ended> {
        if self.stream.is_none() {
            let stream = open(&mut self.client, &self.request).await;
            self.stream = Some(stream.map_err(|status| Ended::by(&status))?);
        }
        Ok(())
    }

    /// Asks for a progress notification.
    pub(super) async fn ask_progress(&self) {
        if let Some(stream) = &self.stream {
            let request = RequestUnion::ProgressRequest(WatchProgressRequest {});
            let _ = stream.requests.send(WatchRequest { request_union: Some(request) }).await;
        }
    }

    /// The next answer with events or progress. May be dropped and called again.
    ///
    /// # Errors
    /// The end of the watch.
    pub(super) async fn next(&mut self) -> Result<WatchResponse, Ended> {
        loop {
            let answer = match self.receive().await {
                Ok(answer) => answer,
                Err(status) if is_passing(&status) => {
                    self.stream = None;
                    tokio::time::sleep(PAUSE).await;
                    // It asks all endpoints; if none is there, it is asked again.
                    let _ = self.client.reconnect().await;
                    continue;
                }
                Err(status) => return Err(Ended::by(&status)),
            };
            if answer.canceled {
                return Err(Ended::with(answer));
            }
            let revision = answer.header.map_or(0, |header| header.revision);
            if answer.created {
                if self.request.start_revision == 0 {
                    self.request.start_revision = revision + 1;
                }
                continue;
            }
            let last = answer.events.last().and_then(|event| event.kv.as_ref());
            self.request.start_revision = match last {
                Some(kv) => kv.mod_revision + 1,
                None => self.request.start_revision.max(revision + 1),
            };
            return Ok(answer);
        }
    }

    async fn receive(&mut self) -> Result<WatchResponse, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            closed => closed.insert(open(&mut self.client, &self.request).await?),
        };
        let answer = stream.answers.message().await?;
        answer.ok_or_else(|| Status::unavailable("the stream ended"))
    }
}

/// Opens a stream that ends if its member has no leader.
async fn open(client: &mut Client<'_>, create: &WatchCreateRequest) -> Result<Stream, Status> {
    let answers = client.ask_forever(async |to| {
        let (requests, stream) = mpsc::channel(8);
        let create = RequestUnion::CreateRequest(create.clone());
        let _ = requests.send(WatchRequest { request_union: Some(create) }).await;
        let mut request = Request::new(ReceiverStream::new(stream));
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        let answers = to.watch.watch(request).await?;
        Ok(answers.map(|answers| Stream { requests, answers }))
    });
    answers.await
}

/// True for an error after which another member, or the same one later, may go on.
fn is_passing(status: &Status) -> bool {
    let codes = [Code::Unavailable, Code::Internal, Code::Unknown];
    codes.contains(&status.code()) && status.message() != "etcdserver: no leader"
}

impl Ended {
    fn by(status: &Status) -> Self {
        Self {
            answer: WatchResponse { canceled: true, ..Default::default() },
            error: Some(text(status)),
            reason: None,
        }
    }

    fn with(answer: WatchResponse) -> Self {
        let reason = Some(answer.cancel_reason.clone()).filter(|reason| !reason.is_empty());
        let error = match &reason {
            _ if answer.compact_revision != 0 => Some(COMPACTED.to_string()),
            Some(reason) if answer.created => Some(reason.clone()),
            None if answer.created => Some(FUTURE.to_string()),
            _ => None,
        };
        // An error that is printed needs no hint.
        let reason = reason.filter(|_| error.is_none());
        Self { answer, error, reason }
    }
}
