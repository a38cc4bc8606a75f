//! Members that send impossible messages: no member accepts them, and no process ends because of them.

use bytes::Bytes;
use openraft::raft::AppendEntriesRequest;

use super::*;
use crate::log::{Payload, Vote};
use crate::model::LogPosition;
use crate::peer::{Channel, Pending, Pieces, Transport, TransportError};
use crate::raft::topics::Topic;
use crate::raft::types::{Types, from_vote};
use crate::raft::wire::{Answer, Ballot, Request, Route, WireError, decode, encode};

const CLUSTER: ClusterId = ClusterId(77);

fn vote(term: u64, voted_for: u64, committed: bool) -> Vote {
    Vote { term, voted_for, committed }
}

fn at(term: u64, index: u64) -> LogPosition {
    LogPosition { term, leader: 0, index }
}

/// Small dice, so that a failure can be replayed by its seed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let named = std::env::var("KVD_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed: u64 = named.unwrap_or_else(rand::random);
        println!("replay with: KVD_SEED={seed} cargo test --lib raft::tests::hostile");
        Self(seed | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// A cluster with some history, and the follower that gets the false messages.
struct Victim {
    cluster: Cluster,
    leader: u64,
    id: u64,
    /// The member in whose name the false messages are sent.
    liar: u64,
}

impl Victim {
    async fn new() -> Self {
        let cluster = Cluster::new(3).await;
        let leader = cluster.leader().await;
        for n in 0..20 {
            cluster.node(leader).propose(Caller::Anonymous, put(&format!("k{n}"), "v")).await.unwrap();
        }
        let id = leader % 3 + 1;
        until("replicated", || value(&cluster.store(id), "k19").is_some()).await;
        let liar = 6 - leader - id;
        Self { cluster, leader, id, liar }
    }

    fn node(&self) -> Node {
        self.cluster.node(self.id)
    }

    fn end(&self) -> LogPosition {
        self.node().0.options.log.bounds().last.unwrap()
    }

    async fn tell(&self, request: &Request) -> Result<Answer, WireError> {
        self.tell_bytes(&encode(self.route(), request).unwrap()).await
    }

    async fn tell_bytes(&self, bytes: &[u8]) -> Result<Answer, WireError> {
        let answer = self.node().serve(MemberId(self.liar), bytes).await?;
        decode(&answer, Route { from: MemberId(self.id), to: MemberId(self.liar), ..self.route() })
    }

    async fn offer(&self, request: &Request, body: Vec<Bytes>) -> Result<Answer, WireError> {
        let body: Pieces = Box::new(body.into_iter().map(Ok));
        let bytes = encode(self.route(), request).unwrap();
        let answer = self.node().serve_snapshot(MemberId(self.liar), &bytes, body).await?;
        decode(&answer, Route { from: MemberId(self.id), to: MemberId(self.liar), ..self.route() })
    }

    fn route(&self) -> Route {
        Route { cluster: CLUSTER, from: MemberId(self.liar), to: MemberId(self.id) }
    }

    /// All members run and have what was written, and the cluster accepts more.
    async fn is_unharmed(&self) {
        for id in self.cluster.running() {
            self.cluster.node(id).pulse().await.unwrap();
        }
        let written = async {
            while self.cluster.node(self.id).propose(Caller::Anonymous, put("after", "all")).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), written).await.unwrap();
        for id in self.cluster.running() {
            let store = self.cluster.store(id);
            until("replicated", || value(&store, "after").is_some()).await;
            assert!((0..20).all(|n| value(&store, &format!("k{n}")).as_deref() == Some("v")), "member {id}");
        }
    }
}

/// Impossible messages, each for one reason: the vote, the order, the committed position.
fn lies(victim: &Victim) -> Vec<Request> {
    let (liar, end) = (victim.liar, victim.end());
    let term = victim.node().term() + 1;
    let good = vote(term, liar, true);
    let next = at(term, end.index + 1);
    let append = |vote, previous, entries: &[LogPosition], committed| Request::Append {
        vote,
        previous,
        entries: entries.iter().map(|at| (*at, Payload::Blank)).collect(),
        committed,
    };
    let ballot = |vote, last| Ballot { vote, last, transfer: true };
    let votes = [
        vote(term, victim.id, true),
        vote(term, victim.leader, true),
        vote(term, 0x7777_7777, true),
        vote(0, liar, true),
        vote(u64::MAX, liar, true),
        vote(u64::MAX - 1, liar, true),
        vote(1 << 62, liar, true),
        vote(term, liar, false),
    ];
    let mut lies = Vec::new();
    for bad in votes {
        lies.push(append(bad, Some(end), &[next], None));
        lies.push(Request::Transfer { from: bad, to: victim.id, last: None });
        lies.push(Request::Vote(ballot(Vote { committed: !bad.committed, ..bad }, Some(end))));
        lies.push(Request::PreVote(ballot(Vote { committed: !bad.committed, ..bad }, Some(end))));
    }
    let far = at(term, u64::MAX);
    lies.extend([
        Request::Vote(ballot(vote(term, liar, false), Some(at(term + 1, 5)))),
        Request::Vote(ballot(vote(term, liar, false), Some(far))),
        append(good, Some(far), &[], None),
        append(good, Some(at(term + 1, 5)), &[], None),
        append(good, None, &[at(term, 1)], None),
        append(good, Some(end), &[at(term, end.index + 2)], None),
        append(good, Some(end), &[next, next], None),
        append(good, Some(end), &[next, at(term - 1, end.index + 2)], None),
        append(good, Some(end), &[far], None),
        // A committed entry with another term.
        append(good, Some(at(term, 3)), &[], None),
        append(good, Some(at(0, 0)), &[at(term, 1), at(term, 2)], None),
        // The committed position contradicts the entries.
        append(good, Some(end), &[next], Some(at(0, end.index + 9))),
        append(good, Some(end), &[next], Some(at(term - 1, end.index + 1))),
        append(good, Some(end), &[], Some(far)),
        append(good, Some(end), &[], Some(at(term, 2))),
        Request::Transfer { from: good, to: victim.id, last: Some(far) },
        Request::Snapshot { vote: good, position: end, config: None },
    ]);
    let config = |bytes: &'static [u8]| Payload::Membership { raft: Bytes::from_static(bytes), change: None };
    // No voters; an empty set of voters; a voter that is not a member; nothing; another version.
    for bytes in [&b"\x01\0\0"[..], b"\x01\x01\0\0", b"\x01\x01\x01\x05\0", b"", b"\x09"] {
        let entries = vec![(next, config(bytes))];
        lies.push(Request::Append { vote: good, previous: Some(end), entries, committed: None });
    }
    lies
}

#[tokio::test(start_paused = true)]
async fn requests_that_cannot_be_true_are_refused() {
    let victim = Victim::new().await;
    for lie in lies(&victim) {
        let told = victim.tell(&lie).await;
        assert!(matches!(told, Err(WireError::Untrue(_))), "{lie:?}: {told:?}");
        victim.node().pulse().await.unwrap();
    }
    // None of it had an effect: the leader is still the same.
    assert_eq!(victim.cluster.leader().await, victim.leader);
    victim.is_unharmed().await;
    victim.cluster.shut_down().await;
}

/// Why the checks are needed: raft trusts its peers.
#[tokio::test(start_paused = true)]
async fn raft_itself_ends_over_a_lie() {
    let victim = Victim::new().await;
    let request = AppendEntriesRequest::<Types> {
        vote: from_vote(vote(victim.node().term() + 1, victim.liar, true)),
        prev_log_id: Some(crate::raft::types::log_id(at(99, 3))),
        entries: Vec::new(),
        leader_commit: None,
    };
    // Outside of the simulated members' own tasks, so that its panic is seen and not passed on.
    let raft = victim.node().0.raft().unwrap().clone();
    let told = tokio::spawn(async move { raft.append_entries(request).await.map(drop) }).await;
    assert!(told.is_err() || told.is_ok_and(|told| told.is_err()), "then this check is not needed any more");
}

#[tokio::test(start_paused = true)]
async fn garbage_is_survived() {
    let victim = Victim::new().await;
    let mut dice = Dice::new();
    // Each has two reasons for a refusal: a change that removes one leaves the other.
    let stranger = |vote: Vote| Vote { voted_for: 0x7777_7777_7777, ..vote };
    let bases: Vec<Vec<u8>> = lies(&victim)
        .into_iter()
        .map(|lie| match lie {
            Request::Append { vote, previous, entries, committed } => {
                Request::Append { vote: stranger(vote), previous, entries, committed }
            }
            Request::Vote(ballot) => Request::Vote(Ballot { vote: stranger(ballot.vote), ..ballot }),
            Request::PreVote(ballot) => Request::PreVote(Ballot { vote: stranger(ballot.vote), ..ballot }),
            Request::Transfer { from, to, last } => Request::Transfer { from: stranger(from), to, last },
            other => other,
        })
        .chain([
            Request::Propose(Vec::new()),
            Request::ReadIndex,
            Request::Service { topic: Topic::LEASES, question: Bytes::from_static(b"\xff") },
        ])
        .map(|request| encode(victim.route(), &request).unwrap().to_vec())
        .collect();
    for _ in 0..5_000 {
        let mut bytes = bases[dice.below(bases.len())].clone();
        for _ in 0..=dice.below(3) {
            // The route stays unchanged: it was checked before.
            let place = 25 + dice.below(bytes.len() - 25 + 1);
            match dice.below(4) {
                0 => bytes.truncate(place),
                1 => bytes.insert(place.min(bytes.len()), dice.below(256) as u8),
                _ if place < bytes.len() => bytes[place] ^= 1 << dice.below(8),
                _ => {}
            }
            if bytes.len() <= 25 {
                break;
            }
        }
        let _ = victim.tell_bytes(&bytes).await;
    }
    victim.is_unharmed().await;
    victim.cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn snapshots_are_held_against_their_header_and_what_is_there() {
    let victim = Victim::new().await;
    let term = victim.node().term() + 1;
    let good = vote(term, victim.liar, true);
    let end = victim.end();
    let store = victim.cluster.store(victim.leader);
    store.checkpoint().unwrap();
    let reader = store.snapshot().unwrap();
    let header = reader.header().clone();
    let body: Vec<Bytes> = reader.map(Result::unwrap).collect();
    let offer = |vote, position, config| {
        let request = Request::Snapshot { vote, position, config };
        let body = body.clone();
        let victim = &victim;
        async move { victim.offer(&request, body).await }
    };
    let config = header.raft_membership.clone();
    let beyond = at(term, end.index + 100);
    for (lie, position, config) in [
        (vote(term, victim.id, true), beyond, config.clone()),
        (vote(term, victim.liar, false), beyond, config.clone()),
        (vote(u64::MAX, victim.liar, true), beyond, config.clone()),
        (good, at(term + 1, end.index + 100), config.clone()),
        (good, at(0, end.index + 100), config.clone()),
        (good, at(term, u64::MAX), config.clone()),
        (good, beyond, Some((at(term, end.index + 200), Bytes::from_static(b"\x01")))),
        (good, beyond, Some((at(0, 0), Bytes::from_static(b"\x01")))),
        (good, beyond, Some((config.clone().unwrap().0, Bytes::from_static(b"\x01\x01\x01\x05\x01\x05\0")))),
    ] {
        let told = offer(lie, position, config).await;
        assert!(matches!(told, Err(WireError::Untrue(_))), "{lie:?} {position:?}: {told:?}");
    }
    // An old vote: the body is not read.
    let nobody = || -> Pieces { Box::new(std::iter::from_fn(|| panic!("nobody asked for it"))) };
    let old = Request::Snapshot { vote: vote(1, victim.liar, true), position: at(1, 500), config: None };
    let newer =
        Request::Vote(Ballot { vote: vote(term, victim.liar, false), last: Some(end), transfer: true });
    assert!(matches!(victim.tell(&newer).await, Ok(Answer::Voted { granted: true, .. })));
    let bytes = encode(victim.route(), &old).unwrap();
    let answer = victim.node().serve_snapshot(MemberId(victim.liar), &bytes, nobody()).await;
    let back = Route { from: MemberId(victim.id), to: MemberId(victim.liar), ..victim.route() };
    assert_eq!(decode(&answer.unwrap(), back), Ok(Answer::Installed(vote(term, victim.liar, false))));
    // A position that contradicts what is committed here: a higher term at a lower index.
    let told = offer(good, at(term, 3), None).await;
    assert!(matches!(told, Err(WireError::Untrue(_))), "{told:?}");
    // No more than this member has: not read either.
    let request =
        Request::Snapshot { vote: good, position: header.position.unwrap(), config: config.clone() };
    let bytes = encode(victim.route(), &request).unwrap();
    assert!(victim.node().serve_snapshot(MemberId(victim.liar), &bytes, nobody()).await.is_ok());
    // Another state than the header says.
    let told = offer(good, beyond, config.clone()).await;
    assert!(matches!(&told, Ok(Answer::Failed(why)) if why.contains("another state")), "{told:?}");
    victim.is_unharmed().await;
    victim.cluster.shut_down().await;
}

/// A transport that replaces some answers by false ones.
struct Lying {
    inner: Arc<dyn Transport>,
    from: MemberId,
    liar: MemberId,
    round: Arc<Mutex<u64>>,
}

impl Lying {
    fn lie(&self, request: &[u8]) -> Option<Bytes> {
        let route = Route { cluster: CLUSTER, from: self.from, to: self.liar };
        let back = Route { from: self.liar, to: self.from, ..route };
        let mut round = self.round.lock();
        *round += 1;
        let lie = match decode::<Request>(request, route).ok()? {
            Request::Append { vote, .. } => match *round % 8 {
                0 => {
                    Answer::HigherVote(Vote { term: vote.term + 1, voted_for: self.from.0, committed: true })
                }
                1 => Answer::HigherVote(Vote { term: u64::MAX, voted_for: self.liar.0, committed: true }),
                2 => Answer::HigherVote(Vote { term: 0, ..vote }),
                3 => Answer::Failed("x".repeat(1 << 20)),
                4 => Answer::Installed(vote),
                _ => Answer::Conflict,
            },
            Request::Vote(Ballot { vote, .. }) | Request::PreVote(Ballot { vote, .. }) => {
                let stands = Vote {
                    term: vote.term + 1,
                    voted_for: self.from.0,
                    committed: (*round).is_multiple_of(2),
                };
                Answer::Voted {
                    vote: stands,
                    granted: (*round).is_multiple_of(3),
                    last: Some(at(u64::MAX, u64::MAX)),
                }
            }
            Request::Snapshot { vote, .. } => {
                Answer::Installed(Vote { voted_for: self.from.0, term: vote.term + 1, ..vote })
            }
            _ => return None,
        };
        encode(back, &lie).ok()
    }
}

impl Transport for Lying {
    fn call(
        &self,
        to: MemberId,
        urls: &[String],
        channel: Channel,
        request: Bytes,
        timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>> {
        match self.lie(&request).filter(|_| to == self.liar) {
            Some(lie) => Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(lie)
            }),
            None => self.inner.call(to, urls, channel, request, timeout),
        }
    }

    fn send_snapshot(
        &self,
        to: MemberId,
        urls: &[String],
        request: Bytes,
        body: Pieces,
        timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>> {
        match self.lie(&request).filter(|_| to == self.liar) {
            Some(lie) => Box::pin(std::future::ready(Ok(lie))),
            None => self.inner.send_snapshot(to, urls, request, body, timeout),
        }
    }

    fn connected_for(&self, to: MemberId) -> Option<Duration> {
        self.inner.connected_for(to)
    }
}

/// Members 1 and 2 get only false answers from member 3.
#[tokio::test(start_paused = true)]
async fn answers_that_cannot_be_true_are_not_believed() {
    let cluster = Cluster::with(3, |options| {
        let (from, liar) = (options.id, MemberId(3));
        if from != liar {
            let inner = options.transport.clone();
            options.transport = Arc::new(Lying { inner, from, liar, round: Arc::default() });
        }
        options.election = Duration::from_millis(1000);
    })
    .await;
    // Member 3 does not take part.
    cluster.network.mute(MemberId(3), true);
    let leader = cluster.leader_among(&[1, 2]).await;
    for n in 0..50 {
        while cluster.node(leader).propose(Caller::Anonymous, put("k", &n.to_string())).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    for id in [1, 2] {
        cluster.node(id).pulse().await.unwrap();
        until("replicated", || value(&cluster.store(id), "k").as_deref() == Some("49")).await;
    }
    // The operator is informed that member 3 is out of order.
    let leader = cluster.leader_among(&[1, 2]).await;
    until("it is told", || {
        cluster.node(leader).replication_faults().iter().any(|(id, _)| *id == MemberId(3))
    })
    .await;
    let longest = cluster.node(leader).replication_faults().iter().map(|(_, why)| why.len()).max();
    assert!(longest < Some(1000), "a text of {longest:?} bytes");
    // After it is no longer a member, nothing is reported.
    let node = cluster.node(leader);
    let remove = || node.propose(Caller::Anonymous, Command::Member(MemberChange::Remove(MemberId(3))));
    while !matches!(remove().await, Ok(_) | Err(Refusal::MemberNotFound)) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until("it is forgotten", || node.replication_faults().is_empty()).await;
    cluster.shut_down().await;
}

async fn asked(node: &Node, from: u64, request: &Request) -> Option<Answer> {
    let route = Route { cluster: CLUSTER, from: MemberId(from), to: MemberId(1) };
    let bytes = encode(route, request).unwrap();
    let served = node.serve(MemberId(from), &bytes);
    let answer = tokio::time::timeout(Duration::from_secs(2), served).await.ok()?.unwrap();
    Some(decode(&answer, Route { from: MemberId(1), to: MemberId(from), ..route }).unwrap())
}

/// A member of three whose others exist in the test's messages only.
async fn one_of_three() -> Cluster {
    let (network, machines) = (Loopback::default(), BTreeMap::new());
    let mut cluster = Cluster { network, machines, settings: |_| {}, stores: store_options() };
    cluster.start(1, (1..=3).map(member).collect()).await;
    cluster
}

/// Entries of term 5 after `previous`, sent by the leader of a term.
fn entries_of_5(
    leader: Vote,
    previous: LogPosition,
    indexes: std::ops::RangeInclusive<u64>,
    committed: Option<LogPosition>,
) -> Request {
    let entries = indexes.map(|index| (at(5, index), Payload::Blank)).collect();
    Request::Append { vote: leader, previous: Some(previous), entries, committed }
}

#[tokio::test(start_paused = true)]
async fn entries_that_wait_for_room_are_not_acknowledged_to_the_next_leader() {
    let cluster = one_of_three().await;
    let (node, disk) = (cluster.node(1), cluster.machines[&1].disk.clone());
    let first = entries_of_5(vote(5, 2, true), at(0, 1), 2..=10, None);
    assert_eq!(asked(&node, 2, &first).await, Some(Answer::Appended));
    disk.set_room(Some(0));
    let waits = entries_of_5(vote(5, 2, true), at(5, 10), 11..=1010, None);
    assert_eq!(asked(&node, 2, &waits).await, None);
    // The vote needs so little room that it is written before them.
    let ballot = Ballot { vote: vote(6, 3, false), last: Some(at(5, 1010)), transfer: true };
    let voted = asked(&node, 3, &Request::Vote(ballot)).await;
    assert!(matches!(voted, Some(Answer::Voted { granted: true, .. })), "{voted:?}");
    let again = entries_of_5(vote(6, 3, true), at(5, 10), 11..=1010, None);
    let probe = Request::Append {
        vote: vote(6, 3, true),
        previous: Some(at(5, 1010)),
        entries: Vec::new(),
        committed: None,
    };
    let committed = entries_of_5(vote(6, 3, true), at(5, 10), 11..=1010, Some(at(5, 1010)));
    assert_eq!(asked(&node, 3, &again).await, None);
    assert_eq!(asked(&node, 3, &probe).await, None);
    assert_eq!(asked(&node, 3, &committed).await, None);
    // Nor is a snapshot that holds no more than what waits.
    let from_3 = Route { cluster: CLUSTER, from: MemberId(3), to: MemberId(1) };
    let offer = Request::Snapshot { vote: vote(6, 3, true), position: at(5, 1000), config: None };
    let offer = encode(from_3, &offer).unwrap();
    let offered = node.serve_snapshot(MemberId(3), &offer, Box::new(std::iter::empty()));
    assert!(tokio::time::timeout(Duration::from_secs(2), offered).await.is_err());
    assert_eq!(open_log(&disk.after_kill()).bounds().last, Some(at(5, 10)));
    disk.set_room(None);
    // Without a thread, it tries again only if it is asked to.
    node.0.options.log.flush();
    until("there is room", || node.0.options.log.is_written(at(5, 1010))).await;
    assert_eq!(asked(&node, 3, &again).await, Some(Answer::Appended));
    assert_eq!(open_log(&disk.after_kill()).bounds().last, Some(at(5, 1010)));
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_deposed_leader_calls_committed_hides_no_snapshot() {
    let cluster = one_of_three().await;
    let node = cluster.node(1);
    let first = entries_of_5(vote(5, 2, true), at(0, 1), 2..=10, None);
    assert_eq!(asked(&node, 2, &first).await, Some(Answer::Appended));
    let ballot = Ballot { vote: vote(6, 3, false), last: Some(at(5, 30)), transfer: true };
    let voted = asked(&node, 3, &Request::Vote(ballot)).await;
    assert!(matches!(voted, Some(Answer::Voted { granted: true, .. })), "{voted:?}");
    let late = entries_of_5(vote(5, 2, true), at(5, 10), 11..=30, Some(at(5, 30)));
    let refused = asked(&node, 2, &late).await;
    assert!(matches!(refused, Some(Answer::HigherVote(_))), "{refused:?}");
    let route = Route { cluster: CLUSTER, from: MemberId(3), to: MemberId(1) };
    let request = Request::Snapshot { vote: vote(6, 3, true), position: at(5, 25), config: None };
    let body: Pieces = Box::new(std::iter::empty());
    // It reads the body, which is empty here, and so reports that it could not take it.
    let answer = node.serve_snapshot(MemberId(3), &encode(route, &request).unwrap(), body).await.unwrap();
    let answer = decode::<Answer>(&answer, Route { from: MemberId(1), to: MemberId(3), ..route });
    assert!(matches!(answer, Ok(Answer::Failed(_))), "{answer:?}");
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_gets_one_state_at_a_time() {
    let cluster = Cluster::new(3).await;
    let leader = cluster.leader().await;
    let node = cluster.node(leader);
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    // It waits until the entry is applied, which it never is.
    let ask = async |from: u64| {
        let route = Route { cluster: CLUSTER, from: MemberId(from), to: MemberId(leader) };
        let request = encode(route, &Request::WantState { beyond: u64::MAX - 1 }).unwrap();
        let answer = node.serve(MemberId(from), &request).await.unwrap();
        decode(&answer, Route { from: MemberId(leader), to: MemberId(from), ..route }).unwrap()
    };
    assert!(matches!(ask(others[0]).await, Answer::StateFollows));
    for _ in 0..3 {
        let Answer::Failed(why) = ask(others[0]).await else { panic!("a second one is sent beside it") };
        assert!(why.contains("on its way"), "{why}");
    }
    assert!(matches!(ask(others[1]).await, Answer::StateFollows));
    // The first one has come to its end.
    let ended = || node.0.states_sent.lock().is_empty();
    until("it ends", ended).await;
    assert!(matches!(ask(others[0]).await, Answer::StateFollows));
    cluster.shut_down().await;
}
