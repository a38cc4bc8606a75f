//! Simple tokens (`--auth-token simple`): texts that every member can verify, also after a restart or a change of the
//! leader.
//!
//! A token is signed (HMAC-SHA-256) with a key that is part of the replicated state. It names the revision of users and
//! roles at which the password was checked: a new password, a user who was deleted, and disabling authentication make
//! it void ([`Users::holds_token`]). It holds no time, because the clocks of two members are never compared. Instead
//! keys are rotated: the leader proposes a new one as soon as the newest is as old as the time to live, and the two
//! newest are good. So a token is good everywhere for at least its time to live, and for about twice as long at most.
//! As with etcd, use prolongs it on the member where it is used: that member remembers it, and accepts it for the time
//! to live after its last use there, whatever has become of the key.
//!
//! The form is etcd's: something random, a dot, and the index of a log entry; a member that has not applied that entry
//! yet must not judge the token.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::RwLock;
use ring::hmac;

use super::Users;
use crate::model::Clock;

/// The first byte of a token's content.
const FORMAT: u8 = 1;

/// Bytes before the user's name: format, the key's id, revision of users and roles, random number.
const HEAD: usize = 1 + 8 + 8 + 8;

/// Bytes of the signature.
const SIGNATURE: usize = 32;

/// Longer texts are not read; the headers of a request hold no more.
const LONGEST: usize = 64 << 10;

/// Tokens that a member remembers at most. Further ones are good as long as their key is, and no longer.
const REMEMBERED: usize = 100_000;

/// Milliseconds between two searches for tokens that are not used any more.
const SWEEP_PAUSE_MS: u64 = 1000;

/// Issues and verifies simple tokens.
pub struct SimpleTokens {
    clock: Arc<dyn Clock>,
    ttl: Duration,
    seen: RwLock<Seen>,
}

#[derive(Default)]
struct Seen {
    tokens: HashMap<Box<str>, Use>,
    /// At this number of tokens those that are not used any more are dropped.
    sweep_at: usize,
    /// When that was done last: the monotonic clock, in milliseconds.
    swept_ms: u64,
}

/// A token that was verified.
struct Use {
    user: Arc<str>,
    /// The key that has signed it.
    key: u64,
    /// The revision of users and roles at which it was issued.
    revision: u64,
    /// When it was used last: the monotonic clock, in milliseconds.
    last_ms: AtomicU64,
}

impl fmt::Debug for SimpleTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleTokens").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// The index of the log entry that a member must have applied before it judges a token; `None` if the text has not the
/// form of a token.
pub fn index_of(token: &str) -> Option<u64> {
    token.rsplit_once('.')?.1.parse().ok()
}

impl SimpleTokens {
    /// Tokens that live for `ttl` (`--auth-token-ttl`).
    pub fn new(clock: Arc<dyn Clock>, ttl: Duration) -> Self {
        Self { clock, ttl, seen: RwLock::default() }
    }

    /// How long a token lives.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// A token for a user whose password was checked against `users`, signed by the newest key; `None` if there is no
    /// key. `random` makes each token another one; `index`: the last log entry that is applied here.
    pub fn issue(&self, users: &Users, user: &str, random: u64, index: u64) -> Option<String> {
        let key = users.token_keys().last()?;
        let mut content = Vec::with_capacity(HEAD + user.len() + SIGNATURE);
        content.push(FORMAT);
        for number in [key.id, users.revision(), random] {
            content.extend(number.to_be_bytes());
        }
        content.extend(user.as_bytes());
        let signature = hmac::sign(&hmac_key(&key.secret), &signed(&content, index));
        content.extend(signature.as_ref());
        Some(format!("{}.{index}", URL_SAFE_NO_PAD.encode(content)))
    }

    /// The user whose token this is; `None` if it is not good.
    pub fn verify(&self, users: &Users, token: &str) -> Option<Arc<str>> {
        let now_ms = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        if let Some(seen) = self.seen.read().tokens.get(token) {
            let lately = now_ms.saturating_sub(seen.last_ms.load(Ordering::Relaxed)) <= self.ttl_ms();
            let is_good = users.holds_token(&seen.user, seen.revision)
                && (lately || secret_of(users, seen.key).is_some());
            if !is_good {
                return None;
            }
            seen.last_ms.store(now_ms, Ordering::Relaxed);
            return Some(seen.user.clone());
        }
        let fresh = read(users, token, now_ms)?;
        let user = fresh.user.clone();
        self.remember(token, fresh, now_ms);
        Some(user)
    }

    fn remember(&self, token: &str, fresh: Use, now_ms: u64) {
        let seen = &mut *self.seen.write();
        // All of them are looked at: once in a second at most, however many come.
        let pause_is_over = seen.swept_ms == 0 || now_ms.saturating_sub(seen.swept_ms) >= SWEEP_PAUSE_MS;
        if seen.tokens.len() >= seen.sweep_at.max(64) && pause_is_over {
            let ttl_ms = self.ttl_ms();
            seen.tokens.retain(|_, seen| now_ms.saturating_sub(*seen.last_ms.get_mut()) <= ttl_ms);
            seen.sweep_at = (seen.tokens.len() * 2).min(REMEMBERED);
            seen.swept_ms = now_ms.max(1);
        }
        if seen.tokens.len() < REMEMBERED {
            seen.tokens.insert(token.into(), fresh);
        }
    }

    fn ttl_ms(&self) -> u64 {
        u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Reads a token and checks its signature.
fn read(users: &Users, token: &str, now_ms: u64) -> Option<Use> {
    if token.len() > LONGEST {
        return None;
    }
    let (text, _) = token.rsplit_once('.')?;
    let all = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (content, signature) = all.split_at_checked(all.len().checked_sub(SIGNATURE)?)?;
    let (head, name) = content.split_at_checked(HEAD)?;
    let (format, numbers) = head.split_first()?;
    if *format != FORMAT {
        return None;
    }
    let number = |at: usize| Some(u64::from_be_bytes(*numbers.get(at * 8..)?.first_chunk()?));
    let (key, revision) = (number(0)?, number(1)?);
    let message = signed(content, index_of(token)?);
    hmac::verify(&hmac_key(secret_of(users, key)?), &message, signature).ok()?;
    let name = std::str::from_utf8(name).ok()?;
    let fresh = Use { user: name.into(), key, revision, last_ms: AtomicU64::new(now_ms) };
    users.holds_token(name, revision).then_some(fresh)
}

/// What the signature of a token covers.
fn signed(content: &[u8], index: u64) -> Vec<u8> {
    [&b"kvd simple token"[..], &index.to_be_bytes(), content].concat()
}

fn hmac_key(secret: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret)
}

fn secret_of(users: &Users, id: u64) -> Option<&[u8]> {
    users.token_keys().iter().find(|key| key.id == id).map(|key| &key.secret[..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AuthChange, PasswordHash, TokenKey};

    /// A clock that stands until it is moved, in milliseconds.
    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now_ms(&self) -> i64 {
            0
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    const TTL: Duration = Duration::from_secs(300);

    fn member() -> (SimpleTokens, Arc<Hand>) {
        let hand = Arc::<Hand>::default();
        (SimpleTokens::new(hand.clone(), TTL), hand)
    }

    fn pass(hand: &Hand, time: Duration) {
        hand.0.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    fn change(users: &mut Users, change: AuthChange) {
        users.change(&change).expect("a change");
    }

    fn rotate(users: &mut Users, id: u64) {
        let after = users.token_keys().last().map(|key| key.id);
        change(users, AuthChange::TokenKey { key: TokenKey { id, secret: [id as u8; 32] }, after });
    }

    /// The users root and ann, authentication on, and one key.
    fn users() -> Users {
        let mut users = Users::default();
        for name in ["root", "ann"] {
            let hash = Some(PasswordHash::new("hash"));
            change(&mut users, AuthChange::UserAdd { name: name.into(), hash });
        }
        change(&mut users, AuthChange::UserGrantRole { user: "root".into(), role: "root".into() });
        change(&mut users, AuthChange::Enable);
        rotate(&mut users, 1);
        users
    }

    fn owner(tokens: &SimpleTokens, users: &Users, token: &str) -> Option<String> {
        tokens.verify(users, token).map(|name| name.to_string())
    }

    #[test]
    fn a_token_is_good_on_every_member_and_names_its_index() {
        let users = users();
        let (one, _) = member();
        let token = one.issue(&users, "ann", 7, 123).expect("a token");
        assert_eq!(index_of(&token), Some(123));
        assert_ne!(one.issue(&users, "ann", 8, 123), Some(token.clone()));
        for (tokens, _) in [(one, Arc::default()), member()] {
            for _ in 0..2 {
                assert_eq!(owner(&tokens, &users, &token).as_deref(), Some("ann"));
            }
        }
    }

    #[test]
    fn no_other_text_is_a_token() {
        let users = users();
        let (tokens, _) = member();
        let token = tokens.issue(&users, "ann", 7, 123).expect("a token");
        for text in ["", ".", ".123", "ann.123", "AAAA.123", &format!("{token}4"), &token[1..], "\u{fc}.1"] {
            assert_eq!(owner(&tokens, &users, text), None, "{text}");
        }
        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'Q' } else { b'A' };
            let other = String::from_utf8(other).expect("letters");
            assert_eq!(owner(&tokens, &users, &other), None, "{other} instead of {token}");
        }
        let mut stranger = users.clone();
        rotate(&mut stranger, 1 << 40);
        let foreign = tokens.issue(&stranger, "ann", 7, 123).expect("a token");
        assert_eq!(owner(&tokens, &users, &foreign), None, "signed with a key that is not known");
        assert_eq!(owner(&tokens, &users, &"A".repeat(LONGEST + 1)), None);
    }

    #[test]
    fn what_changes_the_user_makes_its_tokens_void() {
        let begin = users();
        let (tokens, _) = member();
        let token = tokens.issue(&begin, "ann", 7, 123).expect("a token");
        assert!(tokens.verify(&begin, &token).is_some());
        let mut next = begin.clone();
        change(&mut next, AuthChange::RoleAdd { name: "r".into() });
        change(&mut next, AuthChange::UserGrantRole { user: "ann".into(), role: "r".into() });
        assert!(tokens.verify(&next, &token).is_some(), "roles are looked up, not in the token");
        let hash = PasswordHash::new("other");
        let mut changed = next.clone();
        change(&mut changed, AuthChange::UserPassword { name: "ann".into(), hash: hash.clone() });
        let mut deleted = next.clone();
        change(&mut deleted, AuthChange::UserDelete { name: "ann".into() });
        let mut added = deleted.clone();
        change(&mut added, AuthChange::UserAdd { name: "ann".into(), hash: Some(hash) });
        let mut disabled = next.clone();
        change(&mut disabled, AuthChange::Disable);
        change(&mut disabled, AuthChange::Enable);
        for users in [changed, deleted, added, disabled] {
            assert_eq!(tokens.verify(&users, &token), None);
            assert_eq!(member().0.verify(&users, &token), None);
        }
    }

    #[test]
    fn a_token_outlives_its_key_only_if_it_is_used() {
        let mut users = users();
        let ((used, hand), (idle, _)) = (member(), member());
        let token = used.issue(&users, "ann", 7, 123).expect("a token");
        assert!(used.verify(&users, &token).is_some());
        pass(&hand, 2 * TTL);
        assert!(used.verify(&users, &token).is_some(), "the key is still good");
        rotate(&mut users, 2);
        assert!(idle.verify(&users, &token).is_some(), "and so it is after one rotation");
        for id in 3..9 {
            rotate(&mut users, id);
            pass(&hand, TTL);
            assert!(used.verify(&users, &token).is_some(), "each use prolongs it");
        }
        assert_eq!(member().0.verify(&users, &token), None, "nobody else knows it any more");
        pass(&hand, TTL + Duration::from_millis(1));
        assert_eq!(used.verify(&users, &token), None);
    }

    #[test]
    fn tokens_that_nobody_uses_are_forgotten() {
        let users = users();
        let (tokens, hand) = member();
        for number in 0..1000 {
            let token = tokens.issue(&users, "ann", number, 1).expect("a token");
            assert!(tokens.verify(&users, &token).is_some());
            pass(&hand, TTL / 10);
        }
        assert!(tokens.seen.read().tokens.len() <= 64);
    }
}
