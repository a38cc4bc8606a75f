//! The initial members by another cluster: each registers there and waits until all have (etcd's v3 discovery).
//!
//! ```text
//! /_etcd/registry/TOKEN/_config/size        how many members the cluster begins with
//! /_etcd/registry/TOKEN/members/ID          name=URL,name=URL of one member
//! ```
//!
//! The first ones by revision are the members. A registration stays: a token is for one cluster.

use std::time::Duration;

use super::bootstrap::InitialMember;
use crate::client::{CallError, Entry, Keys};
use crate::model::MemberId;

/// The pause after a failure; it doubles with each until it is [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// Why this member finds no cluster. The texts are etcd's where it has the error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The token is not known there.
    #[error("discovery: size key not found: whoever makes the token writes the number of members to {0}")]
    SizeNotFound(String),
    /// The size is not a positive number.
    #[error("discovery: size key is bad: {key} is {value:?}, not a number of members")]
    BadSize {
        /// The key.
        key: String,
        /// What it holds.
        value: String,
    },
    /// All places are taken.
    #[error(
        "discovery: cluster is full: {0}; do not reuse a token: make a new one for another cluster, or add this member \
         to the one that runs"
    )]
    Full(String),
    /// Another member has its id, because it has the same peer URLs.
    #[error(
        "discovery: member {id} is registered already as {there}: it has this member's initial-advertise-peer-urls, and \
         each member needs its own"
    )]
    DuplicateId {
        /// The id.
        id: MemberId,
        /// What is registered.
        there: String,
    },
    /// Two members have the same name.
    #[error(
        "discovery: the name {name:?} is registered twice: {there}; each member needs a name of its own, and this token \
         can only be used again without the wrong registration"
    )]
    DuplicateName {
        /// The name.
        name: String,
        /// The registrations.
        there: String,
    },
    /// What a member has registered.
    #[error("discovery: invalid peer URL: {0}")]
    InvalidUrl(String),
    /// The service refuses this member.
    #[error("discovery: {0}")]
    Refused(String),
}

/// The service that is asked.
pub trait Registry {
    /// See [`Keys::range`].
    fn range(&mut self, first: &str, end: &str)
    -> impl Future<Output = Result<(Vec<Entry>, i64), CallError>>;
    /// See [`Keys::create`].
    fn create(&mut self, key: &str, value: &str) -> impl Future<Output = Result<bool, CallError>>;
    /// See [`Keys::change`].
    fn change(
        &mut self,
        first: &str,
        end: &str,
        revision: i64,
    ) -> impl Future<Output = Result<(), CallError>>;
}

impl Registry for Keys {
    async fn range(&mut self, first: &str, end: &str) -> Result<(Vec<Entry>, i64), CallError> {
        Keys::range(self, first, end).await
    }

    async fn create(&mut self, key: &str, value: &str) -> Result<bool, CallError> {
        Keys::create(self, key, value).await
    }

    async fn change(&mut self, first: &str, end: &str, revision: i64) -> Result<(), CallError> {
        Keys::change(self, first, end, revision).await
    }
}

/// Registers `own` under `token` and waits for the others. The members in the notation of `initial-cluster`. While the
/// service does not answer, it is asked again for ever; `tell` is called with whatever is waited for, whenever that
/// changes.
///
/// # Errors
/// See [`DiscoveryError`].
pub async fn members(
    registry: &mut impl Registry,
    token: &str,
    own: &InitialMember,
    tell: impl Fn(&str),
) -> Result<String, DiscoveryError> {
    let urls = own.peer_urls.iter().map(|url| format!("{}={url}", own.name));
    let own = Own {
        id: MemberId::compute(&own.peer_urls, token, None),
        name: &own.name,
        value: urls.collect::<Vec<_>>().join(","),
        folder: format!("/_etcd/registry/{token}"),
    };
    let (mut told, mut pause) = (String::new(), FIRST_PAUSE);
    loop {
        let waits = match own.step(registry).await {
            Ok(Step::Found(members)) => return Ok(members),
            Ok(Step::Waits { for_whom, revision }) => {
                if for_whom != told {
                    tell(&for_whom);
                    told = for_whom;
                }
                let (first, end) = own.members();
                match registry.change(&first, &end, revision).await {
                    Ok(()) => {
                        pause = FIRST_PAUSE;
                        continue;
                    }
                    Err(error) => error,
                }
            }
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Call(error)) => error,
        };
        let why = match waits {
            CallError::Away(why) => format!("the discovery service does not answer: {why}"),
            CallError::Refused(why) => return Err(DiscoveryError::Refused(why)),
        };
        if why != told {
            tell(&why);
            told = why;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// This member, as it registers.
struct Own<'a> {
    id: MemberId,
    name: &'a str,
    value: String,
    folder: String,
}

enum Step {
    Found(String),
    Waits { for_whom: String, revision: i64 },
}

enum Failure {
    Call(CallError),
    Final(DiscoveryError),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<DiscoveryError> for Failure {
    fn from(error: DiscoveryError) -> Self {
        Self::Final(error)
    }
}

impl Own<'_> {
    /// First and end of the members' keys.
    fn members(&self) -> (String, String) {
        (format!("{}/members/", self.folder), format!("{}/members0", self.folder))
    }

    fn key(&self) -> String {
        format!("{}/members/{}", self.folder, self.id)
    }

    /// Registers this member if it is not registered, and reads who is.
    async fn step(&self, registry: &mut impl Registry) -> Result<Step, Failure> {
        let size = self.size(registry).await?;
        let (mut members, mut revision) = self.registered(registry).await?;
        self.judge(&members, size)?;
        if !members.iter().any(|member| member.key == self.key()) {
            // If it is there by now, the next reading says whose it is.
            registry.create(&self.key(), &self.value).await?;
            (members, revision) = self.registered(registry).await?;
            self.judge(&members, size)?;
        }
        let found: Vec<&str> = members.iter().take(size).map(|member| member.value.as_str()).collect();
        if found.len() == size {
            return Ok(Step::Found(found.join(",")));
        }
        let for_whom = format!(
            "waiting for {} of {size} members to register: {} is there",
            size - found.len(),
            found.join(" ")
        );
        Ok(Step::Waits { for_whom, revision })
    }

    async fn size(&self, registry: &mut impl Registry) -> Result<usize, Failure> {
        let key = format!("{}/_config/size", self.folder);
        let (entries, _) = registry.range(&key, "").await?;
        let Some(entry) = entries.first() else { return Err(DiscoveryError::SizeNotFound(key).into()) };
        let value = String::from_utf8_lossy(&entry.value).into_owned();
        match value.parse::<usize>() {
            Ok(size) if size > 0 => Ok(size),
            _ => Err(DiscoveryError::BadSize { key, value }.into()),
        }
    }

    /// Who is registered, the first one first.
    async fn registered(&self, registry: &mut impl Registry) -> Result<(Vec<Registered>, i64), Failure> {
        let (first, end) = self.members();
        let (mut entries, revision) = registry.range(&first, &end).await?;
        entries.sort_by_key(|entry| entry.created);
        let members = entries.iter().filter_map(|entry| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
            let member = Registered { key: text(&entry.key), value: text(&entry.value) };
            if !member.value.contains('=') {
                tracing::warn!(member.key, member.value, "invalid peer info returned from discovery service");
                return None;
            }
            Some(member)
        });
        Ok((members.collect(), revision))
    }

    /// Refuses registrations beside which this member cannot begin.
    fn judge(&self, members: &[Registered], size: usize) -> Result<(), DiscoveryError> {
        let first = &members[..size.min(members.len())];
        let is_own = |member: &Registered| member.key == self.key();
        let values = |members: &[&Registered]| {
            members.iter().map(|member| member.value.as_str()).collect::<Vec<_>>().join(" and ")
        };
        if let Some(there) = first.iter().find(|member| is_own(member)) {
            if there.value != self.value {
                return Err(DiscoveryError::DuplicateId { id: self.id, there: there.value.clone() });
            }
        } else if first.len() == size {
            return Err(DiscoveryError::Full(values(&first.iter().collect::<Vec<_>>())));
        }
        let namesakes: Vec<&Registered> =
            first.iter().filter(|member| !is_own(member) && member.name() == self.name).collect();
        if !namesakes.is_empty() {
            let (name, there) = (self.name.to_string(), values(&namesakes));
            return Err(DiscoveryError::DuplicateName { name, there });
        }
        // Two others: what they register is one member with both addresses to whoever reads it as a list.
        for (number, member) in first.iter().enumerate() {
            if let Some(other) = first[..number].iter().find(|other| other.name() == member.name()) {
                let (name, there) = (member.name().to_string(), values(&[other, member]));
                return Err(DiscoveryError::DuplicateName { name, there });
            }
        }
        Ok(())
    }
}

/// A member that is registered.
struct Registered {
    key: String,
    /// `name=URL,name=URL`.
    value: String,
}

impl Registered {
    fn name(&self) -> &str {
        self.value.split('=').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::samples::initial;
    use std::cell::RefCell;

    /// A service in memory. `script` may do something before each call, or fail it.
    struct Fake<F: FnMut(&mut Vec<Entry>) -> Result<(), CallError>> {
        entries: Vec<Entry>,
        script: F,
    }

    fn entry(key: &str, value: &str, created: i64) -> Entry {
        Entry { key: key.to_owned().into(), value: value.to_owned().into(), created }
    }

    impl<F: FnMut(&mut Vec<Entry>) -> Result<(), CallError>> Registry for Fake<F> {
        async fn range(&mut self, first: &str, end: &str) -> Result<(Vec<Entry>, i64), CallError> {
            (self.script)(&mut self.entries)?;
            let within = |entry: &&Entry| match end {
                "" => entry.key == first.as_bytes(),
                end => (first.as_bytes()..end.as_bytes()).contains(&&entry.key[..]),
            };
            Ok((self.entries.iter().filter(within).cloned().collect(), self.entries.len() as i64))
        }

        async fn create(&mut self, key: &str, value: &str) -> Result<bool, CallError> {
            (self.script)(&mut self.entries)?;
            let is_new = !self.entries.iter().any(|entry| entry.key == key.as_bytes());
            if is_new {
                self.entries.push(entry(key, value, self.entries.len() as i64 + 1));
            }
            Ok(is_new)
        }

        async fn change(&mut self, _: &str, _: &str, _: i64) -> Result<(), CallError> {
            (self.script)(&mut self.entries)
        }
    }

    const SIZE: &str = "/_etcd/registry/t/_config/size";

    fn member(name: &str, url: &str, created: i64) -> Entry {
        let id = MemberId::compute(&[url.to_string()], "t", None);
        entry(&format!("/_etcd/registry/t/members/{id}"), &format!("{name}={url}"), created)
    }

    async fn asked(
        entries: Vec<Entry>,
        script: impl FnMut(&mut Vec<Entry>) -> Result<(), CallError>,
    ) -> (Result<String, String>, Vec<String>) {
        let told = RefCell::new(Vec::new());
        let tell = |what: &str| told.borrow_mut().push(what.to_string());
        let mut fake = Fake { entries, script };
        let found = members(&mut fake, "t", &initial("b", "http://b:1"), tell).await;
        (found.map_err(|error| error.to_string()), told.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_ones_are_the_members() {
        let before = vec![entry(SIZE, "2", 1), member("z", "http://z:1", 2)];
        let (found, told) = asked(before, |_| Ok(())).await;
        assert_eq!(found.as_deref(), Ok("z=http://z:1,b=http://b:1"));
        assert!(told.is_empty(), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_others_are_waited_for_and_the_own_registration_is_found_again() {
        let before = vec![entry(SIZE, "3", 1), member("b", "http://b:1", 2), member("a", "http://a:1", 3)];
        let mut calls = 0;
        let script = |entries: &mut Vec<Entry>| {
            calls += 1;
            if calls == 4 {
                entries.push(member("c", "http://c:1", 4));
            }
            Ok(())
        };
        let (found, told) = asked(before, script).await;
        assert_eq!(found.as_deref(), Ok("b=http://b:1,a=http://a:1,c=http://c:1"));
        assert_eq!(told, ["waiting for 1 of 3 members to register: b=http://b:1 a=http://a:1 is there"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_is_away_is_waited_for_and_named_once() {
        let mut calls = 0;
        let script = |_: &mut Vec<Entry>| {
            calls += 1;
            if calls < 9 { Err(CallError::Away("http://d:1: connection refused".into())) } else { Ok(()) }
        };
        let (found, told) = asked(vec![entry(SIZE, "1", 1)], script).await;
        assert_eq!(found.as_deref(), Ok("b=http://b:1"));
        assert_eq!(told, ["the discovery service does not answer: http://d:1: connection refused"]);
    }

    #[tokio::test(start_paused = true)]
    async fn registrations_beside_which_it_cannot_begin_are_refused() {
        let refused = async |entries: Vec<Entry>| asked(entries, |_| Ok(())).await.0.expect_err("refused");
        let none = refused(Vec::new()).await;
        assert!(none.starts_with("discovery: size key not found: "), "{none}");
        let bad = refused(vec![entry(SIZE, "0", 1)]).await;
        assert!(bad.starts_with("discovery: size key is bad: "), "{bad}");
        let full = refused(vec![entry(SIZE, "1", 1), member("a", "http://a:1", 2)]).await;
        assert!(full.starts_with("discovery: cluster is full: a=http://a:1; do not reuse a token"), "{full}");
        let id = refused(vec![entry(SIZE, "3", 1), member("other", "http://b:1", 2)]).await;
        assert!(id.contains("is registered already as other=http://b:1"), "{id}");
        let name = refused(vec![entry(SIZE, "3", 1), member("b", "http://a:1", 2)]).await;
        assert!(name.contains("the name \"b\" is registered twice: b=http://a:1"), "{name}");
        let others = vec![entry(SIZE, "4", 1), member("a", "http://a:1", 2), member("a", "http://c:1", 3)];
        let others = refused(others).await;
        assert!(
            others.contains("the name \"a\" is registered twice: a=http://a:1 and a=http://c:1"),
            "{others}"
        );
        let (no, _) =
            asked(Vec::new(), |_| Err(CallError::Refused("etcdserver: permission denied".into()))).await;
        assert_eq!(no, Err("discovery: etcdserver: permission denied".to_string()));
    }
}
