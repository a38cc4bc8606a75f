//! The keys that sign simple tokens: the leader adds one when the newest is as old as a token may become, so that tokens
//! end although they hold no time. The first key is made by the member that needs it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::parts::{Job, Member};
use crate::api::services::Services;
use crate::model::{AuthChange, Caller, Command};

/// Rotates the keys while authentication is on.
pub fn job(member: &Member) -> Job {
    let services = member.services.clone();
    Box::pin(async move { rotate(&services).await })
}

async fn rotate(services: &Arc<Services>) {
    let Some(lifetime) = services.logins.tokens.key_lifetime() else {
        return std::future::pending().await;
    };
    let pause = (lifetime / 10).clamp(Duration::from_millis(100), Duration::from_secs(10));
    // The newest key, and since when this member knows it: a leader that has changed lets a key become older.
    let mut newest = None;
    let mut since = Instant::now();
    loop {
        let users = services.store.users();
        let present = users.token_keys().last().map(|key| key.id);
        if present != newest {
            (newest, since) = (present, Instant::now());
        }
        let is_due = newest.is_some() && since.elapsed() >= lifetime;
        if is_due && users.is_enabled() && services.node.status().is_leader {
            add(services, newest).await;
        }
        tokio::time::sleep(pause).await;
    }
}

async fn add(services: &Services, after: Option<u64>) {
    let added = match services.logins.tokens.new_key() {
        Ok(key) => {
            let change = AuthChange::TokenKey { key, after };
            services.propose(Caller::System, Command::Auth(change)).await.map(drop)
        }
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = added {
        tracing::debug!(%refusal, "no new key for tokens; it is tried again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{LoginOptions, TokenOptions};
    use crate::member::lab;
    use crate::model::{PasswordHash, TokenKey};
    use crate::store::{Options, Store};

    /// The two newest keys stay, the leader alone adds one, and not while authentication is off.
    #[tokio::test]
    async fn keys_are_replaced_when_they_are_as_old_as_a_token_may_become() {
        let dir = tempfile::tempdir().expect("a directory");
        let store =
            Store::open(dir.path(), Options { map_size: 1 << 30, ..Options::default() }).expect("a store");
        let tokens = TokenOptions::Simple { ttl: Duration::from_millis(200) };
        let logins = LoginOptions { tokens, ..LoginOptions::default() };
        let member = lab::lone_leader_with(store.clone(), Default::default(), logins).await;
        let change = async |change| {
            let reply = member.services.propose(Caller::System, Command::Auth(change)).await;
            assert!(reply.expect("a reply").refusal().is_none());
        };
        let key = TokenKey { id: 7, secret: [7; 32] };
        change(AuthChange::TokenKey { key, after: None }).await;
        let hash = Some(PasswordHash::new("hash"));
        change(AuthChange::UserAdd { name: "root".into(), hash }).await;
        change(AuthChange::UserGrantRole { user: "root".into(), role: "root".into() }).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(store.users().token_keys().len(), 1, "authentication is off");
        change(AuthChange::Enable).await;
        let revision = store.users().revision();
        while store.users().token_keys().iter().any(|key| key.id == 7) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(store.users().token_keys().len(), 2);
        assert_eq!(store.users().revision(), revision, "keys are no change of users");
        member.node.shutdown().await;
    }
}
