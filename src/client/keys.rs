//! Keys behind several endpoints: whichever answers is asked.

use std::time::Duration;

use bytes::Bytes;
use tokio_stream::StreamExt;
use tonic::{Code, Response, Status};
use zeroize::Zeroizing;

use super::connection::{Connection, DEADLINE, Reach, connect, text};
use crate::api::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::api::proto::etcdserverpb::watch_request::RequestUnion;
use crate::api::proto::etcdserverpb::{
    AuthenticateRequest, Compare, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest,
    WatchRequest, request_op::Request,
};
use crate::api::proto::mvccpb::KeyValue;

/// Answers after which a new connection with a new token helps.
const OLD_TOKENS: [&str; 2] = ["etcdserver: invalid auth token", "etcdserver: revision of auth store is old"];
/// Users are not checked: no token is needed.
const NO_AUTH: &str = "etcdserver: authentication is not enabled";

/// A user who logs in with a password.
#[derive(Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Zeroizing<String>,
}

/// Why a call has failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No endpoint answers now; asking again later may help.
    #[error("{0}")]
    Away(String),
    /// The server refuses it; asking again does not help.
    #[error("{0}")]
    Refused(String),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The revision at which the key was created.
    pub created: i64,
}

/// See the module. It connects when it is first asked.
pub struct Keys {
    endpoints: Vec<String>,
    reach: Reach,
    user: Option<User>,
    /// How long one call may take.
    limit: Duration,
    connection: Option<Connection>,
    /// Which of the endpoints is asked.
    at: usize,
}

impl Keys {
    /// Keys behind `endpoints`, which are asked in turn until one answers within `limit`.
    pub fn new(endpoints: Vec<String>, reach: Reach, user: Option<User>, limit: Duration) -> Self {
        Self { endpoints, reach, user, limit, connection: None, at: 0 }
    }

    /// The entries from `first` up to `end`, not included; only `first` itself if `end` is empty. With the revision at
    /// which they were read.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn range(&mut self, first: &str, end: &str) -> Result<(Vec<Entry>, i64), CallError> {
        let (key, range_end) = (Bytes::from(first.to_owned()), Bytes::from(end.to_owned()));
        let request = RangeRequest { key, range_end, ..RangeRequest::default() };
        let answer = self.call(async |to| to.kv.range(request.clone()).await).await?;
        let revision = answer.header.map_or(0, |header| header.revision);
        let entry = |kv: KeyValue| Entry { key: kv.key, value: kv.value, created: kv.create_revision };
        let entries = answer.kvs.into_iter().map(entry);
        Ok((entries.collect(), revision))
    }

    /// Writes a key if it does not exist. False if it does.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn create(&mut self, key: &str, value: &str) -> Result<bool, CallError> {
        let missing = Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Create.into(),
            key: key.to_owned().into(),
            target_union: Some(TargetUnion::CreateRevision(0)),
            ..Compare::default()
        };
        let put = PutRequest {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            ..PutRequest::default()
        };
        let put = RequestOp { request: Some(Request::RequestPut(put)) };
        let request = TxnRequest { compare: vec![missing], success: vec![put], failure: Vec::new() };
        Ok(self.call(async |to| to.kv.txn(request.clone()).await).await?.succeeded)
    }

    /// Waits until something changes between `first` and `end` after `revision`, or may have changed.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn change(&mut self, first: &str, end: &str, revision: i64) -> Result<(), CallError> {
        let create = WatchCreateRequest {
            key: first.to_owned().into(),
            range_end: end.to_owned().into(),
            start_revision: revision + 1,
            ..WatchCreateRequest::default()
        };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        // The stream stays open as long as this does.
        let open = async |to: &mut Connection| {
            let requests = tokio_stream::once(request.clone()).chain(tokio_stream::pending());
            to.watch.watch(requests).await
        };
        let mut answers = self.call(open).await?;
        loop {
            match answers.message().await {
                Ok(Some(answer)) if answer.canceled && answer.compact_revision == 0 => {
                    return Err(CallError::Refused(answer.cancel_reason));
                }
                Ok(Some(answer)) if answer.events.is_empty() && !answer.canceled => {}
                Ok(Some(_)) => return Ok(()),
                Ok(None) => return Err(self.next(CallError::Away("the watch has ended".to_string()))),
                Err(status) => return Err(self.next(judged(&status))),
            }
        }
    }

    /// Asks the endpoints in turn, each once, beginning with the one that answered last.
    async fn call<T>(
        &mut self,
        call: impl AsyncFn(&mut Connection) -> Result<Response<T>, Status>,
    ) -> Result<T, CallError> {
        let mut reasons = Vec::new();
        for _ in 0..self.endpoints.len() {
            match self.ask(&call).await {
                Ok(answer) => return Ok(answer),
                Err(CallError::Away(why)) => {
                    reasons.push(format!("{}: {why}", self.endpoint()));
                    self.next(CallError::Away(String::new()));
                }
                Err(refused) => return Err(refused),
            }
        }
        Err(CallError::Away(reasons.join("; ")))
    }

    async fn ask<T>(
        &mut self,
        call: impl AsyncFn(&mut Connection) -> Result<Response<T>, Status>,
    ) -> Result<T, CallError> {
        if self.connection.is_none() {
            self.connection = Some(self.connect().await?);
        }
        let Some(connection) = &mut self.connection else {
            return Err(CallError::Away("not connected".to_string()));
        };
        match tokio::time::timeout(self.limit, call(connection)).await {
            Ok(answer) => answer.map(Response::into_inner).map_err(|status| judged(&status)),
            Err(_) => Err(CallError::Away(DEADLINE.to_string())),
        }
    }

    async fn connect(&self) -> Result<Connection, CallError> {
        let mut connection = connect(&self.reach, &self.endpoint()).await.map_err(CallError::Away)?;
        let Some(User { name, password }) = &self.user else { return Ok(connection) };
        let request = AuthenticateRequest { name: name.clone(), password: password.to_string() };
        let token = match tokio::time::timeout(self.limit, connection.auth.authenticate(request)).await {
            Ok(Ok(answer)) => answer.into_inner().token,
            Ok(Err(status)) if status.message() == NO_AUTH => String::new(),
            Ok(Err(status)) => return Err(judged(&status)),
            Err(_) => return Err(CallError::Away(DEADLINE.to_string())),
        };
        connection.token.set(&token).map_err(CallError::Refused)?;
        Ok(connection)
    }

    fn endpoint(&self) -> String {
        self.endpoints.get(self.at).cloned().unwrap_or_default()
    }

    /// From now on the next endpoint is asked.
    fn next(&mut self, error: CallError) -> CallError {
        self.connection = None;
        self.at = (self.at + 1) % self.endpoints.len().max(1);
        error
    }
}

/// Whether asking again can help.
fn judged(status: &Status) -> CallError {
    use Code::{
        FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unauthenticated, Unimplemented,
    };
    let is_final =
        [FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unauthenticated, Unimplemented];
    if is_final.contains(&status.code()) && !OLD_TOKENS.contains(&status.message()) {
        CallError::Refused(text(status))
    } else {
        CallError::Away(text(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_endpoint_is_asked_once_and_named_in_the_error() {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
        let endpoints = vec![format!("http://{unused}"), format!("unix:///nonexistent-{}", unused.port())];
        let reach = Reach { dial_timeout: Duration::from_secs(60), ..Reach::default() };
        let mut keys = Keys::new(endpoints.clone(), reach, None, Duration::from_secs(60));
        let refused = keys.range("a", "").await.expect_err("nobody is there");
        let CallError::Away(why) = refused else { panic!("{refused:?}") };
        let reasons: Vec<&str> = why.split("; ").collect();
        assert_eq!(reasons.len(), 2, "{why}");
        for (endpoint, reason) in endpoints.iter().zip(reasons) {
            assert!(reason.starts_with(endpoint), "{reason}");
        }
    }

    #[test]
    fn a_wrong_password_is_final_and_an_old_token_is_not() {
        let wrong = "etcdserver: authentication failed, invalid user ID or password";
        assert_eq!(judged(&Status::invalid_argument(wrong)), CallError::Refused(wrong.to_string()));
        let old = Status::unauthenticated(OLD_TOKENS[0]);
        assert_eq!(judged(&old), CallError::Away(OLD_TOKENS[0].to_string()));
        let busy = Status::unavailable("etcdserver: no leader");
        assert_eq!(judged(&busy), CallError::Away("etcdserver: no leader".to_string()));
    }
}
