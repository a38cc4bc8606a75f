//! Passwords: bcrypt on threads of its own, few of them and with low priority, so that a flood of log-ins takes time
//! from nobody else. Users take turns: whoever floods the member with passwords for one user, or for names that no user
//! has, keeps no other user out. Work that waits is limited: beyond the limit a log-in is refused with
//! [`Refusal::TooManyRequests`].

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::model::{PasswordHash, Refusal};

/// The longest password in bytes: bcrypt does not read more.
const LONGEST: usize = 72;

/// Work that may wait in one turn. With the default cost each takes less than a tenth of a second.
const WAITING: usize = 1024;

/// Work that may wait in all turns.
const WAITING_IN_ALL: usize = 16 * 1024;

/// The highest cost of a hash that may be set: with it a comparison takes some seconds, and twice as long with each one
/// more.
const HIGHEST_COST: u32 = 16;

/// How much lower than the rest of the process the threads' priority is.
const NICE: i32 = 10;

/// A password, which is erased from memory when it is dropped.
pub type Password = Zeroizing<String>;

/// Hashes and checks passwords.
pub struct Passwords {
    cost: u32,
    /// The threads begin with the first password.
    queue: OnceLock<Arc<Queue>>,
    /// For hashes that take longer than may be set now: they keep nobody waiting but each other.
    costly: OnceLock<Arc<Queue>>,
}

/// For whom work waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Turn {
    /// For new passwords.
    New,
    /// For names that no user has.
    Nobody,
    /// For a user who logs in.
    User(Box<str>),
}

/// The work that waits.
#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Those whose work waits, the next one first.
    turns: VecDeque<Turn>,
    work: HashMap<Turn, VecDeque<Work>>,
    count: usize,
    ended: bool,
}

impl Waiting {
    fn push(&mut self, turn: Turn, work: Work) -> Result<(), Refusal> {
        if self.ended {
            return Err(Refusal::Stopped);
        }
        let waiting = self.work.get(&turn).map_or(0, VecDeque::len);
        if waiting >= WAITING || self.count >= WAITING_IN_ALL {
            return Err(Refusal::TooManyRequests);
        }
        if waiting == 0 {
            self.turns.push_back(turn.clone());
        }
        self.work.entry(turn).or_default().push_back(work);
        self.count += 1;
        Ok(())
    }

    /// The next work, of whoever has waited longest for a turn.
    fn pop(&mut self) -> Option<Work> {
        let turn = self.turns.pop_front()?;
        let waiting = self.work.get_mut(&turn)?;
        let work = waiting.pop_front();
        self.count -= usize::from(work.is_some());
        if waiting.is_empty() {
            self.work.remove(&turn);
        } else {
            self.turns.push_back(turn);
        }
        work
    }
}

enum Work {
    Hash { password: Password, answer: oneshot::Sender<Option<PasswordHash>> },
    Check { password: Password, hash: Option<PasswordHash>, answer: oneshot::Sender<bool> },
}

impl Passwords {
    /// New hashes have this cost (`--bcrypt-cost`).
    pub fn new(cost: u32) -> Self {
        Self { cost, queue: OnceLock::new(), costly: OnceLock::new() }
    }

    /// The hash of a new password, in bcrypt's own form.
    ///
    /// # Errors
    /// [`Refusal::PasswordTooLong`] above 72 bytes; [`Refusal::TooManyRequests`] if too many others wait.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, Refusal> {
        if password.len() > LONGEST {
            return Err(Refusal::PasswordTooLong);
        }
        let (answer, hashed) = oneshot::channel();
        self.queue().enqueue(Turn::New, Work::Hash { password, answer })?;
        let failed = || Refusal::Internal("a password could not be hashed".to_string());
        hashed.await.map_err(|_| Refusal::Stopped)?.ok_or_else(failed)
    }

    /// True if the password of the user `name` has that hash. Without a hash it takes as long, and is false: a user that
    /// does not exist costs what a wrong password costs.
    ///
    /// # Errors
    /// [`Refusal::TooManyRequests`] if too many others wait.
    pub async fn check(
        &self,
        name: &str,
        mut password: Password,
        hash: Option<PasswordHash>,
    ) -> Result<bool, Refusal> {
        // What bcrypt does not read need not wait with the rest.
        if let Some(end) = (LONGEST..password.len()).find(|end| password.is_char_boundary(*end)) {
            password = Password::new(password[..end].to_string());
        }
        let (answer, checked) = oneshot::channel();
        let turn = if hash.is_some() { Turn::User(name.into()) } else { Turn::Nobody };
        let is_costly = hash.as_ref().is_some_and(|hash| cost_of(hash) > self.cost.max(HIGHEST_COST));
        let queue = if is_costly { self.costly.get_or_init(|| start(self.cost, 1)) } else { self.queue() };
        queue.enqueue(turn, Work::Check { password, hash, answer })?;
        checked.await.map_err(|_| Refusal::Stopped)
    }

    /// With half as many threads as there are processors.
    fn queue(&self) -> &Arc<Queue> {
        self.queue.get_or_init(|| {
            let threads = std::thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2));
            start(self.cost, threads.min(4))
        })
    }
}

/// Refuses a hash that would keep a thread busy for very long whenever its user logs in.
///
/// # Errors
/// [`Refusal::HashTooCostly`].
pub fn check_cost(hash: &PasswordHash) -> Result<(), Refusal> {
    if cost_of(hash) > HIGHEST_COST { Err(Refusal::HashTooCostly) } else { Ok(()) }
}

/// The cost in a hash; 0 if there is none, because no password fits then.
fn cost_of(hash: &PasswordHash) -> u32 {
    let text = std::str::from_utf8(hash.as_bytes()).unwrap_or_default();
    text.split('$').nth(2).and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

impl Queue {
    fn enqueue(&self, turn: Turn, work: Work) -> Result<(), Refusal> {
        self.state.lock().push(turn, work)?;
        self.changed.notify_one();
        Ok(())
    }
}

impl Drop for Passwords {
    fn drop(&mut self) {
        for queue in [&self.queue, &self.costly].into_iter().filter_map(OnceLock::get) {
            queue.state.lock().ended = true;
            queue.changed.notify_all();
        }
    }
}

/// Starts the threads. They end with the [`Passwords`].
fn start(cost: u32, threads: usize) -> Arc<Queue> {
    let queue = Arc::<Queue>::default();
    for _ in 0..threads {
        let shared = queue.clone();
        let begun =
            std::thread::Builder::new().name("kvd-passwords".into()).spawn(move || run(cost, &shared));
        if let Err(error) = begun {
            tracing::error!(%error, "no thread for passwords");
        }
    }
    if Arc::strong_count(&queue) == 1 {
        // Without any thread every request is refused.
        queue.state.lock().ended = true;
    }
    queue
}

fn run(cost: u32, queue: &Queue) {
    // On Linux the priority is the thread's own. Lowering it is always permitted.
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "passwords are checked with normal priority");
    }
    while let Some(next) = next(queue) {
        match next {
            // A caller that does not wait any more is ignored.
            Work::Hash { answer, .. } if answer.is_closed() => {}
            Work::Check { answer, .. } if answer.is_closed() => {}
            Work::Hash { password, answer } => {
                let _ = answer.send(hashed(&password, cost));
            }
            Work::Check { password, hash, answer } => {
                let _ = answer.send(is_right(&password, hash.as_ref(), cost));
            }
        }
    }
}

/// Waits for the next work; `None` at the end.
fn next(queue: &Queue) -> Option<Work> {
    let mut state = queue.state.lock();
    loop {
        if state.ended {
            return None;
        }
        if let Some(work) = state.pop() {
            return Some(work);
        }
        queue.changed.wait(&mut state);
    }
}

/// `None` if the system gives no randomness.
fn hashed(password: &Password, cost: u32) -> Option<PasswordHash> {
    let hash = bcrypt::hash_with_result(password.as_bytes(), cost);
    // The version that etcd writes.
    hash.map(|parts| PasswordHash::new(parts.format_for_version(bcrypt::Version::TwoA))).ok()
}

fn is_right(password: &Password, hash: Option<&PasswordHash>, cost: u32) -> bool {
    match hash.map(PasswordHash::as_bytes) {
        // As with etcd, bytes beyond those that bcrypt reads are ignored here.
        Some(hash) => std::str::from_utf8(hash)
            .is_ok_and(|hash| bcrypt::verify(password.as_bytes(), hash).unwrap_or(false)),
        None => {
            let _ = std::hint::black_box(bcrypt::hash_with_salt(password.as_bytes(), cost, [0; 16]));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Zeroizing::new(text.to_string())
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let passwords = Passwords::new(4);
        let hash = passwords.hash(password("secret")).await.expect("a hash");
        assert!(hash.as_bytes().starts_with(b"$2a$04$"));
        assert_eq!(passwords.check("ann", password("secret"), Some(hash.clone())).await, Ok(true));
        assert_eq!(passwords.check("ann", password("Secret"), Some(hash.clone())).await, Ok(false));
        assert_eq!(passwords.check("ann", password("secret"), None).await, Ok(false));
        for other in
            ["", "no hash", "$2a$04$", "$2a$99$/baPj6SYCzFe7YmtjZpfqejhlGLUaqhfRRPyb5RmVKkN6zmlroF92"]
        {
            let hash = Some(PasswordHash::new(other));
            assert_eq!(passwords.check("ann", password("secret"), hash).await, Ok(false), "{other}");
        }
        let again = passwords.hash(password("secret")).await.expect("a hash");
        assert_ne!(again, hash, "each hash has its own salt");
    }

    #[tokio::test]
    async fn a_hash_of_any_cost_keeps_no_other_log_in_waiting() {
        let passwords = Arc::new(Passwords::new(4));
        let right = passwords.hash(password("secret")).await.expect("a hash");
        let costly = |cost: u32| {
            PasswordHash::new(format!("$2a${cost}$/baPj6SYCzFe7YmtjZpfqejhlGLUaqhfRRPyb5RmVKkN6zmlroF92"))
        };
        assert_eq!(check_cost(&costly(HIGHEST_COST)), Ok(()));
        assert_eq!(check_cost(&costly(HIGHEST_COST + 1)), Err(Refusal::HashTooCostly));
        assert_eq!([check_cost(&right), check_cost(&PasswordHash::new("no hash"))], [Ok(()), Ok(())]);
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..32 {
            let (passwords, hash) = (passwords.clone(), costly(HIGHEST_COST + 1));
            waiting.spawn(async move {
                passwords.check(&format!("ann{number}"), password("wrong"), Some(hash)).await
            });
        }
        while passwords.costly.get().is_none_or(|queue| queue.state.lock().count < 31) {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.check("bob", password("secret"), Some(right)).await, Ok(true));
        let left = passwords.costly.get().map(|queue| queue.state.lock().count);
        assert!(left >= Some(28), "his turn came before theirs: {left:?} wait");
        waiting.shutdown().await;
    }

    #[tokio::test]
    async fn bytes_beyond_the_longest_password_are_refused_in_a_new_one_and_ignored_in_a_log_in() {
        let passwords = Passwords::new(4);
        let longest = "p".repeat(LONGEST);
        let longer = longest.clone() + "q";
        assert_eq!(passwords.hash(password(&longer)).await, Err(Refusal::PasswordTooLong));
        let hash = passwords.hash(password(&longest)).await.expect("a hash");
        assert_eq!(passwords.check("ann", password(&longer), Some(hash.clone())).await, Ok(true));
        assert_eq!(passwords.check("ann", password(&longest[1..]), Some(hash)).await, Ok(false));
    }

    /// Made by Go's bcrypt, which is etcd's.
    #[tokio::test]
    async fn hashes_of_etcd_are_understood() {
        let passwords = Passwords::new(4);
        let long = "0123456789".repeat(7) + "01";
        for (text, hash) in [
            ("secret", "$2a$04$/baPj6SYCzFe7YmtjZpfqejhlGLUaqhfRRPyb5RmVKkN6zmlroF92"),
            ("", "$2a$04$SCwFWx15LbcN5CguDJKx3.bKuwYRd9K.pqmFjQBoTOxBmqR0xYuGq"),
            ("p\0q", "$2a$04$.soceVhhVdBVFm1EkmXIteYKng3czFzll9tBlhMBb3PdH01A9fRa2"),
            ("p\u{e4}ss w\u{f6}rd", "$2a$04$LU8ie8S6ySvtjd/cL1P55.lSU8mpnTsQih5R4xIhOAxbtx1VF5t.u"),
            (&long, "$2a$04$GJG8Rrjt85yvIud5ZhdiiesPVx0jJyoty2QybzBrwe5W4klJCB9/K"),
            ("allmine", "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga"),
        ] {
            let hash = PasswordHash::new(hash);
            assert_eq!(
                passwords.check("ann", password(text), Some(hash.clone())).await,
                Ok(true),
                "{text:?}"
            );
            assert_eq!(
                passwords.check("ann", password(&format!("-{text}")), Some(hash)).await,
                Ok(false),
                "{text:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_flood_is_refused_and_does_not_pile_up() {
        let passwords = Arc::new(Passwords::new(10));
        let mut flood = tokio::task::JoinSet::new();
        for _ in 0..2 * WAITING {
            let passwords = passwords.clone();
            flood.spawn(async move { passwords.check("ann", password("wrong"), None).await });
        }
        let mut refused = 0;
        while refused == 0 {
            match flood.join_next().await.expect("more than fit have come").expect("no panic") {
                Err(Refusal::TooManyRequests) => refused += 1,
                other => assert_eq!(other, Ok(false)),
            }
        }
        // Those that still wait are ignored once nobody asks for them any more.
        flood.shutdown().await;
        loop {
            match passwords.hash(password("right")).await {
                Ok(_) => return,
                Err(refusal) => assert_eq!(refusal, Refusal::TooManyRequests),
            }
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn users_take_turns() {
        let mut waiting = Waiting::default();
        let work = |number: usize| Work::Hash {
            password: password(&number.to_string()),
            answer: oneshot::channel().0,
        };
        let ann = Turn::User("ann".into());
        for number in 0..WAITING {
            waiting.push(Turn::Nobody, work(number)).expect("there is room");
        }
        assert_eq!(waiting.push(Turn::Nobody, work(0)), Err(Refusal::TooManyRequests));
        waiting.push(ann.clone(), work(5000)).expect("others are not kept out");
        waiting.push(ann, work(5001)).expect("there is room");
        waiting.push(Turn::New, work(6000)).expect("there is room");
        let mut next = || match waiting.pop() {
            Some(Work::Hash { password, .. }) => password.to_string(),
            _ => "nothing".to_string(),
        };
        let order: Vec<String> = (0..8).map(|_| next()).collect();
        assert_eq!(order, ["0", "5000", "6000", "1", "5001", "2", "3", "4"]);
        (5..WAITING).for_each(|number| assert_eq!(next(), number.to_string()));
        assert_eq!(next(), "nothing");
        assert_eq!(waiting.count, 0);
        for turn in 0..WAITING_IN_ALL {
            waiting.push(Turn::User(turn.to_string().into()), work(turn)).expect("there is room");
        }
        assert_eq!(waiting.push(Turn::New, work(0)), Err(Refusal::TooManyRequests), "there is an end");
    }
}
