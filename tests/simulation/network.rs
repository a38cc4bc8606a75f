//! A network in which messages are delayed, lost, or delivered while their answers are lost.
//!
//! Messages of one channel (a stream for one kind of message) between two members arrive in order, as on a QUIC stream.
//! A lost message does not delay those behind it, as if a new connection had been made. Nothing arrives twice. Answers
//! come in the order that real streams allow, and a message that is longer than a frame may be does not arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kvd::model::{Command, MemberChange, MemberId};
use kvd::peer::{Channel, Pending, Pieces, Transport, TransportError};
use kvd::raft::wire::{Answer as WireAnswer, Request, Route, decode};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::dice::Dice;
use super::journal::Journal;
use super::machine::{CLUSTER, Process};

type Answer = Result<Bytes, TransportError>;
type Link = (MemberId, MemberId);

/// How long a silent connection is still considered alive.
const IDLE: Duration = Duration::from_millis(1000);

/// Most bytes of a message: the limit of an append, plus one large command. Real frames may have sixteen times as many;
/// a weight that is wrong by that much would go unnoticed there.
const FRAME: usize = (4 << 20) + (512 << 10);

/// The network. Clones share it.
#[derive(Clone)]
pub struct Network(Arc<Mutex<Links>>, Journal);

struct Links {
    dice: Dice,
    up: BTreeMap<MemberId, Up>,
    lives: u64,
    cut: BTreeSet<Link>,
    /// When a link got its present state.
    changed: BTreeMap<Link, Instant>,
    /// The shortest and longest delay of a message in microseconds, and those of single members.
    delay: (i64, i64),
    slow: BTreeMap<MemberId, (i64, i64)>,
    /// How many of a thousand messages are lost, and of a thousand answers.
    lost: i64,
    channels: BTreeMap<(Link, u8), mpsc::UnboundedSender<Parcel>>,
    last_arrival: BTreeMap<(Link, u8), Instant>,
    snapshots: u64,
    /// Answers that are not raft's may take seconds.
    slow_answers: bool,
    /// How often a member has asked whether another's process has ended.
    questions: usize,
}

/// A member's process. A new process has another number.
#[derive(Clone)]
struct Up {
    life: u64,
    process: Option<Process>,
    since: Instant,
}

struct Parcel {
    /// The process that sent it, and is to get the answer.
    sender: u64,
    arrives: Instant,
    fate: Fate,
    body: Body,
    back: oneshot::Sender<Answer>,
}

enum Body {
    Call(Bytes),
    Snapshot(Bytes, Vec<io::Result<Bytes>>),
}

/// The fate of a message, drawn before it leaves.
struct Fate {
    lost: bool,
    answer_lost: bool,
    answer_takes: Duration,
    /// Additional delay of the answer, if it is one that may be slow.
    slow: Duration,
    /// Whether the sender notices before sending anything that there is no way.
    noticed: bool,
}

impl Network {
    /// A network without faults.
    pub fn new(dice: Dice, journal: Journal) -> Self {
        let links = Links {
            dice,
            up: BTreeMap::new(),
            lives: 0,
            cut: BTreeSet::new(),
            changed: BTreeMap::new(),
            delay: (100, 1000),
            slow: BTreeMap::new(),
            lost: 0,
            channels: BTreeMap::new(),
            last_arrival: BTreeMap::new(),
            snapshots: 0,
            slow_answers: false,
            questions: 0,
        };
        Self(Arc::new(Mutex::new(links)), journal)
    }

    /// From now on some answers that are not raft's take seconds.
    pub fn answer_slowly(&self, slowly: bool) {
        self.0.lock().slow_answers = slowly;
    }

    /// The outgoing side of a member's new process, which cannot be reached yet.
    pub fn exit(&self, from: MemberId) -> Arc<dyn Transport> {
        let mut links = self.0.lock();
        links.lives += 1;
        let life = links.lives;
        links.up.insert(from, Up { life, process: None, since: Instant::now() });
        Arc::new(Exit { network: self.clone(), from, life })
    }

    /// From now on the member can be reached.
    pub fn attach(&self, member: MemberId, process: Process) {
        if let Some(up) = self.0.lock().up.get_mut(&member) {
            up.process = Some(process);
            up.since = Instant::now();
        }
    }

    /// The member's process is gone: its messages are no longer delivered.
    pub fn detach(&self, member: MemberId) {
        self.0.lock().up.remove(&member);
    }

    /// How often a member has asked whether another's process has ended.
    pub fn questions(&self) -> usize {
        self.0.lock().questions
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

    /// The delay of messages, in microseconds.
    pub fn set_delay(&self, least: i64, most: i64) {
        let mut links = self.0.lock();
        links.delay = (least, most);
        links.slow.clear();
    }

    /// The delay of messages from and to one member.
    pub fn slow_down(&self, member: MemberId, least: i64, most: i64) {
        self.0.lock().slow.insert(member, (least, most));
    }

    /// How many of a thousand messages, and of as many answers, are lost.
    pub fn lose(&self, of_a_thousand: i64) {
        self.0.lock().lost = of_a_thousand;
    }

    /// How many snapshots have been received completely.
    pub fn snapshots(&self) -> u64 {
        self.0.lock().snapshots
    }

    fn send(
        &self,
        from: (MemberId, u64),
        to: MemberId,
        channel: u8,
        body: Body,
    ) -> oneshot::Receiver<Answer> {
        let (back, answer) = oneshot::channel();
        let mut links = self.0.lock();
        if !links.is_up(from.0, from.1) {
            // Dropped: a process that is gone gets no answer.
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
        let key = (link, channel);
        let earliest = links.last_arrival.get(&key).copied();
        let arrives = (Instant::now() + takes).max(earliest.unwrap_or_else(Instant::now));
        links.last_arrival.insert(key, arrives);
        let network = self.clone();
        let sender = links.channels.entry(key).or_insert_with(|| {
            let (sender, parcels) = mpsc::unbounded_channel();
            tokio::spawn(network.carry(link, parcels));
            sender
        });
        // The carrier lives as long as the runtime.
        let _ = sender.send(Parcel { sender: from.1, arrives, fate, body, back });
        answer
    }

    /// Delivers the messages of one channel.
    async fn carry(self, link: Link, mut parcels: mpsc::UnboundedReceiver<Parcel>) {
        while let Some(parcel) = parcels.recv().await {
            if parcel.arrives > Instant::now() {
                tokio::time::sleep_until(parcel.arrives).await;
            }
            let Parcel { sender, fate, body, back, .. } = parcel;
            match self.receiver(link, &fate) {
                Ok((process, life)) => {
                    let network = self.clone();
                    tokio::spawn(async move {
                        let answer = network.deliver(link, process, life, body, fate).await;
                        // The sender may have given up, or be gone: what is left of a process that crashed must not
                        // commit anything by an answer that no process gets.
                        if network.0.lock().is_up(link.0, sender) {
                            let _ = back.send(answer);
                        }
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

    /// The process that receives a message, if it arrives.
    fn receiver(&self, link: Link, fate: &Fate) -> Result<(Process, u64), TransportError> {
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

    async fn deliver(&self, (from, to): Link, process: Process, life: u64, body: Body, fate: Fate) -> Answer {
        let is_snapshot = matches!(body, Body::Snapshot(..));
        let (node, thread) = (&process.node, &process.threads[0]);
        let (request, answer) = match body {
            Body::Call(request) => {
                let answer = thread.run(node.serve(from, &request)).await;
                (request, answer)
            }
            Body::Snapshot(request, pieces) => {
                let pieces = Box::new(pieces.into_iter());
                let answer = thread.run(node.serve_snapshot(from, &request, pieces)).await;
                (request, answer)
            }
        };
        if let Ok(answer) = &answer
            && self.0.lock().is_up(to, life)
        {
            self.keeps_its_word((from, to), &process, &request, answer);
        }
        tokio::time::sleep(fate.slow).await;
        let lost = |why: &str| Err(TransportError::Lost(why.to_string()));
        {
            let mut links = self.0.lock();
            if !links.is_up(to, life) {
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

    /// What a member acknowledges must be on its disk.
    fn keeps_its_word(&self, (from, to): Link, process: &Process, request: &[u8], answer: &[u8]) {
        use WireAnswer::{Appended, Installed, Voted};
        let Ok(said) = decode(answer, Route { cluster: CLUSTER, from: to, to: from }) else { return };
        // Others promise nothing, and their requests take longer to decode than to deliver.
        if !matches!(said, Appended | Installed(_) | Voted { granted: true, .. }) {
            return;
        }
        let Ok(asked) = decode::<Request>(request, Route { cluster: CLUSTER, from, to }) else { return };
        if let Some(what) = process.promises.broken_by(process, &asked, &said) {
            let what = format!("member {to} {what}");
            self.1.note(&what);
            self.1.broken(what);
        }
    }
}

impl Links {
    /// Whether this process of the member is the one that runs, or that is being started.
    fn is_up(&self, member: MemberId, life: u64) -> bool {
        self.up.get(&member).is_some_and(|up| up.life == life)
    }

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

/// A renewal of a lease, or a membership change: requests for which the leader may have to wait.
fn may_be_slow((from, to): Link, request: &[u8]) -> bool {
    match decode(request, Route { cluster: CLUSTER, from, to }) {
        Ok(Request::Service { .. }) => true,
        Ok(Request::Propose(asked)) => {
            matches!(&asked[..], [(_, Command::Member(change))] if !matches!(change, MemberChange::Publish { .. }))
        }
        _ => false,
    }
}

/// A process's access to the network.
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
        channel: Channel,
        request: Bytes,
        timeout: Duration,
    ) -> Pending<Answer> {
        let channel = match channel {
            Channel::Control => 0,
            Channel::Append => 1,
            Channel::Forward => 2,
            Channel::Service => 4,
        };
        let answer = self.network.send((self.from, self.life), to, channel, Body::Call(request));
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

    fn is_gone(&self, member: MemberId) -> Pending<bool> {
        let network = self.network.clone();
        let ways = [(self.from, member), (member, self.from)];
        Box::pin(async move {
            let (takes, is_told) = {
                let mut links = network.0.lock();
                links.questions += 1;
                let (least, most) = links.delay;
                let takes = links.dice.within(2 * least, 2 * most) as u64;
                let is_lost = links.dice.within(0, 999) < links.lost;
                let is_cut = ways.iter().any(|way| links.cut.contains(way));
                (Duration::from_micros(takes), !is_lost && !is_cut)
            };
            tokio::time::sleep(takes).await;
            is_told && !network.0.lock().up.contains_key(&member)
        })
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
