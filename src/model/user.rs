//! Who asks for something.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Whoever a request or a command comes from. It travels with the command through the log, as the header of etcd's
/// `InternalRaftRequest` does: what a user may do is checked again when the command is applied, against the users and
/// roles of that moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Caller {
    /// A client without a user. It may do everything as long as authentication is off.
    #[default]
    Anonymous,
    /// A user.
    User {
        /// Its name. Cloning shares it.
        name: Arc<str>,
        /// The revision of users and roles at which its token was checked. A command with an older revision than the
        /// current one when it is applied is refused with [`AuthOldRevision`](super::Refusal::AuthOldRevision).
        auth_revision: u64,
        /// A certificate names it, not a token: no password and no revision outdates that. Only an open call asks for
        /// it; with a command it does not travel.
        #[serde(skip)]
        certified: bool,
    },
    /// kvd itself: leases that expire, members that publish their names, automatic compaction.
    System,
}

impl Caller {
    /// The user whose token was checked at that revision.
    pub fn user(name: impl Into<Arc<str>>, auth_revision: u64) -> Self {
        Self::User { name: name.into(), auth_revision, certified: false }
    }

    /// Whoever has a token that is nobody's: no user is without a name, so it may do nothing, and is refused with
    /// [`InvalidToken`](super::Refusal::InvalidToken) where a call asks what it may do now.
    pub fn with_void_token() -> Self {
        Self::user("", 0)
    }
}
