//! The tokens of users who are logged in: of one kind, which the configuration chooses (`--auth-token`).

use std::sync::Arc;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use super::Users;
use super::jwt::Jwt;
use super::simple::{SimpleTokens, index_of};
use crate::model::{Caller, Clock, Refusal, TokenKey};

/// Issues and verifies tokens.
pub struct Tokens {
    kind: Kind,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
}

/// The kind of tokens.
#[derive(Debug)]
enum Kind {
    Simple(SimpleTokens),
    Jwt(Box<Jwt>),
}

/// What `--auth-token` chooses.
#[derive(Debug)]
pub enum TokenOptions {
    /// Signed with a replicated key.
    Simple {
        /// For how long a token is good after its last use.
        ttl: Duration,
    },
    /// Signed with a key of the operator's.
    Jwt(Box<Jwt>),
}

impl Tokens {
    /// Tokens of this kind.
    pub fn new(options: TokenOptions, clock: Arc<dyn Clock>) -> Self {
        let kind = match options {
            TokenOptions::Simple { ttl } => Kind::Simple(SimpleTokens::new(clock.clone(), ttl)),
            TokenOptions::Jwt(jwt) => Kind::Jwt(jwt),
        };
        Self { kind, clock, random: SystemRandom::new() }
    }

    /// For how long the newest replicated key signs before the leader adds another one; `None` if the tokens need no such
    /// key.
    pub fn key_lifetime(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Simple(simple) => Some(simple.ttl()),
            Kind::Jwt(_) => None,
        }
    }

    /// A new key for simple tokens.
    ///
    /// # Errors
    /// [`Refusal::Internal`] if the system gives no randomness.
    pub fn new_key(&self) -> Result<TokenKey, Refusal> {
        let (id, mut secret) = (self.number()?, [0; 32]);
        self.fill(&mut secret)?;
        Ok(TokenKey { id, secret })
    }

    fn number(&self) -> Result<u64, Refusal> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), Refusal> {
        self.random.fill(bytes).map_err(|_| Refusal::Internal("there is no randomness".to_string()))
    }

    /// True if the token says that this member has not applied enough to judge it; `applied` is the last entry's index.
    pub fn is_ahead(&self, token: &str, applied: u64) -> bool {
        matches!(self.kind, Kind::Simple(_)) && index_of(token).is_some_and(|index| index > applied)
    }

    /// A token for a user whose password was checked against `users`. `applied`: the last log entry here; `None` if
    /// there is no key for simple tokens yet.
    ///
    /// # Errors
    /// As of [`Jwt::issue`]; [`Refusal::Internal`] if the system gives no randomness.
    pub fn issue(&self, users: &Users, user: &str, applied: u64) -> Result<Option<String>, Refusal> {
        match &self.kind {
            Kind::Simple(simple) => Ok(simple.issue(users, user, self.number()?, applied)),
            Kind::Jwt(jwt) => jwt.issue(user, users.revision(), self.clock.now_ms()).map(Some),
        }
    }

    /// The caller whose token this is.
    ///
    /// # Errors
    /// [`Refusal::InvalidToken`].
    pub fn caller(&self, users: &Users, token: &str) -> Result<Caller, Refusal> {
        let caller = match &self.kind {
            Kind::Simple(simple) => {
                simple.verify(users, token).map(|name| Caller::user(name, users.revision()))
            }
            Kind::Jwt(jwt) => jwt
                .verify(token, self.clock.now_ms())
                .map(|claims| Caller::user(claims.user, claims.revision)),
        };
        caller.ok_or(Refusal::InvalidToken)
    }
}
