//! A network in which messages take their time, get lost, or arrive while their answers get lost.
//!
//! Messages of one lane between two members arrive in order, as on a stream; one that is lost does not hold up those
//! behind it, as though a new connection had been made. Nothing arrives twice. Answers go back as the real lanes let
//! them, and what is longer than a frame may be does not arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kvd::model::{Command, MemberChange, MemberId};
use kvd::peer::{Lane, Pending, Pieces, Transport, TransportError};
use kvd::raft::wire::{Request, Route, decode};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::dice::Dice;
use super::machine::{CLUSTER, Process};

type Answer = Result<Bytes, TransportError>;
type Link = (MemberId, MemberId);

/// How long a connection is believed in that brings nothing any more.
const IDLE: Duration = Duration::from_millis(1000);

/// Most bytes of a message: what an append is cut to, and one large command. Real frames may have sixteen times as many,
/// of which a weight that is wrong by so much makes use.
const FRAME: usize = (4 << 20) + (512 << 10);

/// The network. Clones share it.
#[derive(Clone)]
pub struct Network(Arc<Mutex<Links>>);

struct Links {
    dice: Dice,
    up: BTreeMap<MemberId, Up>,
    lives: u64,
    cut: BTreeSet<Link>,
    /// Since when a link is as it is.
    changed: BTreeMap<Link, Instant>,
    /// Microseconds a message takes at least and at most, and of those of some members.
    delay: (i64, i64),
    slow: BTreeMap<MemberId, (i64, i64)>,
    /// Of a thousand messages, and of a thousand answers.
    lost: i64,
    lanes: BTreeMap<(Link, u8), mpsc::UnboundedSender<Parcel>>,
    last_arrival: BTreeMap<(Link, u8), Instant>,
    last_answered: BTreeMap<(Link, u8), oneshot::Receiver<()>>,
    snapshots: u64,
    /// Answers that are not raft's own may take seconds.
    slow_answers: bool,
}

/// A member's process. A new one has another life.
#[derive(Clone)]
struct Up {
    life: u64,
    process: Option<Process>,
    since: Instant,
}

struct Parcel {
    arrives: Instant,
    fate: Fate,
    body: Body,
    back: oneshot::Sender<Answer>,
    /// Ends when the one before on this lane is answered, where answers keep their order.
    turn: Option<oneshot::Receiver<()>>,
    /// Dropped when this one is.
    answered: Option<oneshot::Sender<()>>,
}

enum Body {
    Call(Bytes),
    Snapshot(Bytes, Vec<io::Result<Bytes>>),
}

/// What the dice say of a message before it leaves.
struct Fate {
    lost: bool,
    answer_lost: bool,
    answer_takes: Duration,
    /// What the answer takes beside, where it is one that may be slow.
    slow: Duration,
    /// Whether the sender finds out before anything left, where there is no way.
    noticed: bool,
}

impl Network {
    /// A network on which all is well.
    pub fn new(dice: Dice) -> Self {
        Self(Arc::new(Mutex::new(Links {
            dice,
            up: BTreeMap::new(),
            lives: 0,
            cut: BTreeSet::new(),
            changed: BTreeMap::new(),
            delay: (100, 1000),
            slow: BTreeMap::new(),
            lost: 0,
            lanes: BTreeMap::new(),
            last_arrival: BTreeMap::new(),
            last_answered: BTreeMap::new(),
            snapshots: 0,
            slow_answers: false,
        })))
    }

    /// From now on some answers that are not raft's own take seconds.
    pub fn answer_slowly(&self, slowly: bool) {
        self.0.lock().slow_answers = slowly;
    }

    /// The way out of a member's new process, which cannot be reached yet.
    pub fn exit(&self, from: MemberId) -> Arc<dyn Transport> {
        let mut links = self.0.lock();
        links.lives += 1;
        let life = links.lives;
        links.up.insert(from, Up { life, process: None, since: Instant::now() });
        Arc::new(Exit { network: self.clone(), from, life })
    }

    /// From now on the member answers.
    pub fn attach(&self, member: MemberId, process: Process) {
        if let Some(up) = self.0.lock().up.get_mut(&member) {
            up.process = Some(process);
            up.since = Instant::now();
        }
    }

    /// The member's process is gone: nothing it says is heard any more.
    pub fn detach(&self, member: MemberId) {
        self.0.lock().up.remove(&member);
    }

    /// Cuts these directions and no others.
    pub fn cut(&self, cut: BTreeSet<Link>) {
        let mut links = self.0.lock();
        let now = Instant::now();
        let before = std::mem::replace(&mut links.cut, cut);
        let changed: Vec<Link> = before.symmetric_difference(&links.cut).copied().collect();
        for link in changed {
            links.changed.insert(link, now);
        }
    }

    /// How long messages take, in microseconds.
    pub fn set_delay(&self, least: i64, most: i64) {
        let mut links = self.0.lock();
        links.delay = (least, most);
        links.slow.clear();
    }

    /// How long messages from and to one member take.
    pub fn slow_down(&self, member: MemberId, least: i64, most: i64) {
        self.0.lock().slow.insert(member, (least, most));
    }

    /// How many of a thousand messages, and of as many answers, are lost.
    pub fn lose(&self, of_a_thousand: i64) {
        self.0.lock().lost = of_a_thousand;
    }

    /// How many snapshots have been taken to their end.
    pub fn snapshots(&self) -> u64 {
        self.0.lock().snapshots
    }

    fn send(&self, from: (MemberId, u64), to: MemberId, lane: u8, body: Body) -> oneshot::Receiver<Answer> {
        let (back, answer) = oneshot::channel();
        let mut links = self.0.lock();
        if links.up.get(&from.0).is_none_or(|up| up.life != from.1) {
            // Dropped: nobody hears of a process that is gone.
            return answer;
        }
        if let Body::Call(request) = &body
            && request.len() > FRAME
        {
            let _ =
                back.send(Err(TransportError::Unreachable(format!("a frame of {} bytes", request.len()))));
            return answer;
        }
        let link = (from.0, to);
        let (takes, fate) = links.fate(link, &body);
        let key = (link, lane);
        let (answered, next) = oneshot::channel();
        let turn = if in_order(lane) { links.last_answered.insert(key, next) } else { None };
        let earliest = links.last_arrival.get(&key).copied();
        let arrives = (Instant::now() + takes).max(earliest.unwrap_or_else(Instant::now));
        links.last_arrival.insert(key, arrives);
        let network = self.clone();
        let sender = links.lanes.entry(key).or_insert_with(|| {
            let (sender, parcels) = mpsc::unbounded_channel();
            tokio::spawn(network.carry(link, parcels));
            sender
        });
        // The carrier lives as long as the runtime.
        let _ = sender.send(Parcel { arrives, fate, body, back, turn, answered: Some(answered) });
        answer
    }

    /// Brings the messages of one lane.
    async fn carry(self, link: Link, mut parcels: mpsc::UnboundedReceiver<Parcel>) {
        while let Some(parcel) = parcels.recv().await {
            if parcel.arrives > Instant::now() {
                tokio::time::sleep_until(parcel.arrives).await;
            }
            let Parcel { fate, body, back, turn, answered, .. } = parcel;
            match self.at_the_door(link, &fate) {
                Ok((process, life)) => {
                    let network = self.clone();
                    tokio::spawn(async move {
                        let answer = network.deliver(link, process, life, body, fate, turn).await;
                        drop(answered);
                        // The sender may have given up.
                        let _ = back.send(answer);
                    });
                }
                Err(error @ TransportError::Unreachable(_)) => drop(back.send(Err(error))),
                Err(error) => {
                    tokio::spawn(async move {
                        tokio::time::sleep(IDLE).await;
                        let _ = back.send(Err(error));
                    });
                }
            }
        }
    }

    /// Who takes a message in, if it gets there.
    fn at_the_door(&self, link: Link, fate: &Fate) -> Result<(Process, u64), TransportError> {
        let links = self.0.lock();
        let gone = || TransportError::Unreachable(format!("nobody answers at {}", link.1));
        let cut = links.cut.contains(&link) || links.cut.contains(&(link.1, link.0)) && fate.noticed;
        if cut && fate.noticed {
            return Err(gone());
        }
        if cut || fate.lost {
            return Err(TransportError::Lost("it did not arrive".into()));
        }
        let up = links.up.get(&link.1).ok_or_else(gone)?;
        Ok((up.process.clone().ok_or_else(gone)?, up.life))
    }

    async fn deliver(
        &self,
        (from, to): Link,
        process: Process,
        life: u64,
        body: Body,
        fate: Fate,
        turn: Option<oneshot::Receiver<()>>,
    ) -> Answer {
        let is_snapshot = matches!(body, Body::Snapshot(..));
        let (node, thread) = (&process.node, &process.threads[0]);
        let answer = match body {
            Body::Call(request) => thread.run(node.serve(from, &request)).await,
            Body::Snapshot(request, pieces) => {
                thread.run(node.serve_snapshot(from, &request, Box::new(pieces.into_iter()))).await
            }
        };
        tokio::time::sleep(fate.slow).await;
        if let Some(turn) = turn {
            // The one before was answered, or it was lost.
            let _ = turn.await;
        }
        let lost = |why: &str| Err(TransportError::Lost(why.to_string()));
        {
            let mut links = self.0.lock();
            if links.up.get(&to).is_none_or(|up| up.life != life) {
                // It crashed before it could answer.
                return lost("the process ended");
            }
            links.snapshots += u64::from(is_snapshot);
        }
        tokio::time::sleep(fate.answer_takes).await;
        let cut = self.0.lock().cut.contains(&(to, from));
        if cut || fate.answer_lost {
            tokio::time::sleep(IDLE).await;
            return lost("the answer was lost");
        }
        answer.map_err(|error| TransportError::Lost(error.to_string()))
    }
}

impl Links {
    fn fate(&mut self, link: Link, body: &Body) -> (Duration, Fate) {
        let (least, most) =
            [link.0, link.1].iter().filter_map(|id| self.slow.get(id)).max().copied().unwrap_or(self.delay);
        let takes = |dice: &mut Dice| Duration::from_micros(dice.within(least, most) as u64);
        let there = takes(&mut self.dice) * if matches!(body, Body::Snapshot(..)) { 50 } else { 1 };
        let slow = match body {
            Body::Call(request) if self.slow_answers && may_be_slow(link, request) && self.dice.one_in(3) => {
                Duration::from_millis(self.dice.within(1500, 4000) as u64)
            }
            _ => Duration::ZERO,
        };
        let fate = Fate {
            lost: self.dice.within(0, 999) < self.lost,
            answer_lost: self.dice.within(0, 999) < self.lost,
            answer_takes: takes(&mut self.dice),
            slow,
            noticed: self.dice.one_in(2),
        };
        (there, fate)
    }
}

/// True where the answers of a lane keep the order of its requests: no real one's do, since what is slow would hold back
/// what is urgent.
fn in_order(_lane: u8) -> bool {
    false
}

/// A renewal of a lease, or a change of members: what the leader may have to wait for.
fn may_be_slow((from, to): Link, request: &[u8]) -> bool {
    match decode(request, Route { cluster: CLUSTER, from, to }) {
        Ok(Request::Desk(_)) => true,
        Ok(Request::Propose(commands)) => {
            matches!(&commands[..], [Command::Member(change)] if !matches!(change, MemberChange::Publish { .. }))
        }
        _ => false,
    }
}

/// A process's way into the network.
struct Exit {
    network: Network,
    from: MemberId,
    life: u64,
}

async fn within(timeout: Duration, answer: oneshot::Receiver<Answer>) -> Answer {
    match tokio::time::timeout(timeout, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(TransportError::Unreachable("this process is gone".into())),
        Err(_) => Err(TransportError::Timeout),
    }
}

impl Transport for Exit {
    fn call(
        &self,
        to: MemberId,
        _: &[String],
        lane: Lane,
        request: Bytes,
        timeout: Duration,
    ) -> Pending<Answer> {
        let lane = match lane {
            Lane::Control => 0,
            Lane::Append => 1,
            Lane::Forward => 2,
            Lane::Desk => 4,
        };
        let answer = self.network.send((self.from, self.life), to, lane, Body::Call(request));
        Box::pin(within(timeout, answer))
    }

    fn send_snapshot(
        &self,
        to: MemberId,
        _: &[String],
        request: Bytes,
        body: Pieces,
        timeout: Duration,
    ) -> Pending<Answer> {
        let pieces = body.collect();
        let answer = self.network.send((self.from, self.life), to, 3, Body::Snapshot(request, pieces));
        Box::pin(within(timeout, answer))
    }

    fn connected_for(&self, to: MemberId) -> Option<Duration> {
        let links = self.network.0.lock();
        let both = [(self.from, to), (to, self.from)];
        if both.iter().any(|link| links.cut.contains(link)) {
            return None;
        }
        let ends = [links.up.get(&self.from)?.since, links.up.get(&to)?.since];
        let changes = both.iter().filter_map(|link| links.changed.get(link).copied());
        ends.into_iter().chain(changes).max().map(|since| since.elapsed())
    }
}
