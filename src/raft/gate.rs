//! The gate before the state: while a state is taken over ([`super::takeover`]), nothing is applied to the one in use,
//! and afterwards not what the new one contains.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::signal::Sender;
use crate::model::MemberId;

/// Pause between two looks at whether an entry is being applied.
const LOOK: Duration = Duration::from_millis(5);
/// Pause between two looks at the time.
const TIME: Duration = Duration::from_secs(1);
/// How long a leader may take to begin: it makes a checkpoint first.
const BEGINS: Duration = Duration::from_secs(30);

/// Whether entries may be applied, and which of them the state contains.
pub struct Gate {
    /// Nothing is applied.
    held: AtomicBool,
    /// An entry is being applied.
    busy: AtomicBool,
    /// Entries below this index are in the state that was taken over.
    inside: AtomicU64,
    /// Index below which raft has passed entries to be applied, since the start.
    passed: AtomicU64,
    stage: parking_lot::Mutex<Stage>,
    /// Counts changes of the stage, and of `held`.
    changes: Sender<u64>,
}

/// How far the present attempt is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// There is none.
    #[default]
    Idle,
    /// This member has asked, and will take the state of that leader.
    Asked(MemberId),
    /// The state arrives.
    Loading,
    /// It is in use.
    Done,
    /// The attempt has failed.
    Failed(String),
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            held: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            inside: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            stage: parking_lot::Mutex::default(),
            changes: Sender::new(0),
        }
    }
}

impl Gate {
    /// Waits until the next entry may be applied; [`Gate::leave`] must follow.
    pub async fn enter(&self) {
        loop {
            self.busy.store(true, Ordering::SeqCst);
            if !self.held.load(Ordering::SeqCst) {
                return;
            }
            self.busy.store(false, Ordering::SeqCst);
            let mut changes = self.changes.subscribe();
            if self.is_held() {
                let _ = changes.changed().await;
            }
        }
    }

    /// The entry with this index is applied, or was skipped.
    pub fn leave(&self, index: u64) {
        self.passed.store(index + 1, Ordering::Relaxed);
        self.busy.store(false, Ordering::SeqCst);
    }

    /// True if the state contains the entry already.
    pub fn is_inside(&self, index: u64) -> bool {
        index < self.inside.load(Ordering::SeqCst)
    }

    /// The state in use contains the entry at `index`, and all before it.
    pub fn contains(&self, index: u64) {
        self.inside.store(index + 1, Ordering::SeqCst);
    }

    /// True if raft does not know yet how far the state is: it makes no snapshot of it.
    pub fn is_ahead(&self) -> bool {
        self.passed.load(Ordering::Relaxed) < self.inside.load(Ordering::SeqCst)
    }

    /// True while nothing is applied.
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    /// Nothing is applied from now on; returns when nothing is being applied.
    pub async fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
        while self.busy.load(Ordering::SeqCst) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Entries are applied again.
    pub fn release(&self) {
        self.held.store(false, Ordering::SeqCst);
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_if_modified(|count| {
            *count += 1;
            true
        });
    }

    /// Sets how far an attempt is.
    pub fn set(&self, stage: Stage) {
        *self.stage.lock() = stage;
        self.changed();
    }

    /// The state of that leader begins to arrive.
    ///
    /// # Errors
    /// If this member has not asked it for one.
    pub fn begin(&self, from: MemberId) -> Result<(), String> {
        let mut stage = self.stage.lock();
        if *stage != Stage::Asked(from) || !self.is_held() {
            return Err("this member has not asked for its state".into());
        }
        *stage = Stage::Loading;
        drop(stage);
        self.changed();
        Ok(())
    }

    /// Waits for the end of the attempt.
    ///
    /// # Errors
    /// Why it has failed.
    pub async fn ended(&self) -> Result<(), String> {
        let (mut changes, asked) = (self.changes.subscribe(), Instant::now());
        loop {
            let stage = self.stage.lock().clone();
            match stage {
                Stage::Done => return Ok(()),
                Stage::Failed(why) => return Err(why),
                Stage::Asked(leader) if asked.elapsed() >= BEGINS => {
                    return Err(format!("member {leader} does not send its state"));
                }
                Stage::Idle => return Err("it was given up".into()),
                // A transfer that stalls is ended by the transport.
                Stage::Asked(_) | Stage::Loading => {}
            }
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = tokio::time::sleep(TIME) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nothing_passes_while_it_is_held_and_nothing_twice_after_it() {
        let gate = Gate::default();
        gate.enter().await;
        let hold = gate.hold();
        tokio::pin!(hold);
        assert!(tokio::time::timeout(TIME, &mut hold).await.is_err(), "an entry is being applied");
        gate.leave(4);
        hold.await;
        assert!(tokio::time::timeout(TIME, gate.enter()).await.is_err(), "it is held");
        gate.contains(6);
        assert!(gate.is_ahead() && gate.is_inside(5) && gate.is_inside(6) && !gate.is_inside(7));
        gate.release();
        for index in 5..=6 {
            gate.enter().await;
            gate.leave(index);
        }
        assert!(!gate.is_ahead());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_leader_that_was_asked_replaces_a_state() {
        let (gate, leader, other) = (Gate::default(), MemberId(1), MemberId(2));
        assert!(gate.begin(leader).is_err(), "nobody has asked");
        gate.hold().await;
        gate.set(Stage::Asked(leader));
        assert!(gate.begin(other).is_err());
        gate.begin(leader).expect("it was asked");
        assert!(gate.begin(leader).is_err(), "once");
        gate.set(Stage::Failed("why".into()));
        assert_eq!(gate.ended().await, Err("why".into()));
        gate.set(Stage::Asked(leader));
        assert!(gate.ended().await.is_err(), "a leader that sends nothing is not waited for");
    }
}
