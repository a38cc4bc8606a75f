//! The tokens of users who are logged in: of one kind, which the configuration chooses (`--auth-token`).

use std::sync::Arc;

use super::Users;
use super::jwt::Jwt;
use super::simple::{SimpleTokens, index_of};
use crate::model::{Caller, Clock, Entropy, Refusal};

/// Issues and verifies tokens.
pub struct Tokens {
    kind: Kind,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// The kind of tokens.
#[derive(Debug)]
pub enum Kind {
    /// Signed with a replicated key.
    Simple(SimpleTokens),
    /// Signed with a key of the operator.
    Jwt(Jwt),
}

impl Tokens {
    /// Tokens of this kind.
    pub fn new(kind: Kind, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { kind, clock, entropy }
    }

    /// The simple tokens, whose keys have to be made and rotated; `None` if the tokens are of another kind.
    pub fn simple(&self) -> Option<&SimpleTokens> {
        match &self.kind {
            Kind::Simple(simple) => Some(simple),
            Kind::Jwt(_) => None,
        }
    }

    /// True if the token says that this member has not applied enough to judge it; `applied` is the last entry's index.
    pub fn is_ahead(&self, token: &str, applied: u64) -> bool {
        self.simple().is_some() && index_of(token).is_some_and(|index| index > applied)
    }

    /// A token for a user whose password was checked against `users`. `applied`: the last log entry here; `None` if
    /// there is no key for simple tokens yet.
    ///
    /// # Errors
    /// As of [`Jwt::issue`].
    pub fn issue(&self, users: &Users, user: &str, applied: u64) -> Result<Option<String>, Refusal> {
        match &self.kind {
            Kind::Simple(simple) => Ok(simple.issue(users, user, self.entropy.next(), applied)),
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
                simple.verify(users, token).map(|name| Caller::User { name, auth_revision: users.revision() })
            }
            Kind::Jwt(jwt) => jwt
                .verify(token, self.clock.now_ms())
                .map(|claims| Caller::User { name: claims.user, auth_revision: claims.revision }),
        };
        caller.ok_or(Refusal::InvalidToken)
    }
}
