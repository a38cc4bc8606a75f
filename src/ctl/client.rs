//! A client: a connection to an endpoint, as the user that the flags name.

use std::time::Duration;

use prost::Message;
use tonic::{Code, Response, Status};

use super::failure::{BAD_CONNECTION, Failure};
use super::secret::{Credentials, Secret};
use super::target::Target;
use crate::api::proto::etcdserverpb::AuthenticateRequest;
use crate::client::{Connection, DEADLINE, connect, text};

/// How often a call is repeated with a new token, and the pause before: etcdctl's numbers.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(25);

/// Answers after which the caller has to authenticate again.
const NO_TOKEN: &str = "etcdserver: user name is empty";
const BAD_TOKEN: &str = "etcdserver: invalid auth token";
const OLD_TOKEN: &str = "etcdserver: revision of auth store is old";
/// Users are not checked: the password does not matter.
const NO_AUTH: &str = "etcdserver: authentication is not enabled";

/// Why there is no client for an endpoint.
pub(super) enum Broken {
    /// It cannot be reached.
    Unreachable(String),
    /// It does not accept the caller.
    Refused(Status),
}

impl Broken {
    pub(super) fn text(&self) -> String {
        match self {
            Broken::Unreachable(reason) => reason.clone(),
            Broken::Refused(status) => text(status),
        }
    }

    /// The failure of the whole command.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Broken::Unreachable(reason) => Failure::error(reason.as_str()),
            Broken::Refused(status) => Failure::with_code(BAD_CONNECTION, text(status)),
        }
    }
}

/// A connection with its credentials.
pub(super) struct Client<'a> {
    target: &'a Target,
    connection: Connection,
}

impl<'a> Client<'a> {
    /// Connects to the first endpoint that can be reached, and authenticates.
    ///
    /// # Errors
    /// The last endpoint's error; a refused password has etcdctl's exit code for it.
    pub(super) async fn open(target: &'a Target) -> Result<Self, Failure> {
        let mut last = Failure::error("no endpoint is given");
        for endpoint in &target.endpoints {
            match Self::at(target, endpoint).await {
                Ok(client) => return Ok(client),
                Err(broken @ Broken::Refused(_)) => return Err(broken.failure()),
                Err(broken) => last = broken.failure(),
            }
        }
        Err(last.hint(target.guess.clone()))
    }

    /// Connects to this endpoint and authenticates.
    pub(super) async fn at(target: &'a Target, endpoint: &str) -> Result<Self, Broken> {
        let connection = connect(&target.reach, endpoint).await.map_err(Broken::Unreachable)?;
        let client = Self { target, connection };
        client.authenticate().await.map_err(Broken::Refused)?;
        Ok(client)
    }

    /// Connects again, to whichever endpoint can be reached.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) async fn reconnect(&mut self) -> Result<(), Failure> {
        *self = Self::open(self.target).await?;
        Ok(())
    }

    /// Refuses a request that is larger than the command line allows.
    ///
    /// # Errors
    /// Go's text.
    pub(super) fn check_size(&self, request: &impl Message) -> Result<(), Failure> {
        let (size, most) = (request.encoded_len(), self.target.max_request);
        match size > most {
            true => Err(Failure::error(format!(
                "rpc error: code = ResourceExhausted desc = trying to send message larger than max ({size} vs. {most})"
            ))),
            false => Ok(()),
        }
    }

    /// Sends a call within the time that commands have.
    ///
    /// # Errors
    /// As [`Self::ask_forever`].
    pub(super) async fn ask<T>(
        &mut self,
        call: impl AsyncFnMut(&mut Connection) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        self.ask_within(self.target.command_timeout, call).await
    }

    /// Sends a call within this time.
    ///
    /// # Errors
    /// As [`Self::ask_forever`]; etcdctl's text if the time is over.
    pub(super) async fn ask_within<T>(
        &mut self,
        limit: Duration,
        call: impl AsyncFnMut(&mut Connection) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        let answer = tokio::time::timeout(limit, self.ask_forever(call)).await;
        answer.unwrap_or_else(|_| Err(Status::deadline_exceeded(DEADLINE)))
    }

    /// Sends a call and waits until the server answers; authenticates again if the server does not accept the token
    /// any more.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) async fn ask_forever<T>(
        &mut self,
        mut call: impl AsyncFnMut(&mut Connection) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        for _ in 1..ATTEMPTS {
            match call(&mut self.connection).await {
                Err(status) if self.is_stale(&status) => self.authenticate().await?,
                answer => return answer.map(Response::into_inner),
            }
            tokio::time::sleep(PAUSE).await;
        }
        call(&mut self.connection).await.map(Response::into_inner)
    }

    /// True if a new token may help.
    fn is_stale(&self, status: &Status) -> bool {
        let words = status.message();
        match self.target.credentials {
            Credentials::Token(_) => false,
            // Whom a certificate names can only try again.
            Credentials::None => words == OLD_TOKEN,
            Credentials::Password { .. } => [NO_TOKEN, BAD_TOKEN, OLD_TOKEN].contains(&words),
        }
    }

    /// Gets a token for the caller; the server may not check users at all.
    async fn authenticate(&self) -> Result<(), Status> {
        let token = match &self.target.credentials {
            Credentials::None => return Ok(()),
            Credentials::Token(token) => token.clone(),
            Credentials::Password { user, password } => {
                let name = user.clone();
                let request = AuthenticateRequest { name, password: password.reveal().to_string() };
                let mut auth = self.connection.auth.clone();
                match tokio::time::timeout(self.target.reach.dial_timeout, auth.authenticate(request)).await {
                    Ok(Ok(answer)) => Secret::from(answer.into_inner().token),
                    Ok(Err(status)) if status.message() == NO_AUTH => Secret::default(),
                    Ok(Err(status)) => return Err(status),
                    Err(_) => return Err(Status::deadline_exceeded(DEADLINE)),
                }
            }
        };
        let set = self.connection.token.set(token.reveal());
        set.map_err(|error| Status::new(Code::InvalidArgument, error))
    }
}
