//! The longest time without an acknowledged write during an event in a cluster. There is one writer per member,
//! whatever happens to the member: a write that is not answered in time is followed by another one at once.

use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::load;
use crate::report::{Metric, Sample};
use crate::server::Server;
use crate::wire::Wire;
use kvd::api::proto::etcdserverpb::kv_client::KvClient;
use rustix::process::Signal;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long a writer waits for an answer: short compared with an election. Requests in progress at the failure of the
/// leader are lost; with a longer deadline the gaps of both servers would be multiples of it.
const REQUEST: Duration = Duration::from_millis(50);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a writer waits before another attempt.
const PAUSE: Duration = Duration::from_millis(2);
/// How long writes are observed after an event, at least, and how long the cluster works well before the next event.
const LOOK: Duration = Duration::from_secs(3);
/// The deadline after which a cluster counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the leader fails in one run.
const FAILOVERS: usize = 5;
/// How long an operator takes from adding a member to starting it.
const OPERATOR: Duration = Duration::from_secs(5);

/// How a leader fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// SIGKILL: its sockets are closed, and connections to it refused.
    Kill,
    /// SIGSTOP: its connections stay open, and nobody is notified.
    Stop,
    /// SIGTERM: it may transfer its leadership.
    Term,
}

/// Writers and their record.
struct Writers {
    board: Rc<Board>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Board {
    /// When writes were acknowledged, in order.
    acknowledged: RefCell<Vec<Instant>>,
    /// Writes that a server refused or did not answer in time.
    failed: Cell<u64>,
}

impl Writers {
    fn new() -> Writers {
        Writers { board: Rc::default(), tasks: Vec::new() }
    }

    /// Adds a writer, at `server`.
    fn add(&mut self, server: &Server) {
        let seed = self.tasks.len() as u64;
        self.tasks.push(tokio::task::spawn_local(write(server.port(), seed, self.board.clone())));
    }

    /// The longest time without an acknowledged write that began or ended after `from`, until now.
    fn longest_gap(&self, from: Instant) -> Duration {
        let acknowledged = self.board.acknowledged.borrow();
        let first = acknowledged.partition_point(|at| *at <= from).saturating_sub(1);
        let times: Vec<Instant> = acknowledged[first..].iter().copied().chain([Instant::now()]).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// Waits for a while, and then until there has been no longer gap between acknowledged writes for a second.
    async fn go_on(&self) -> Result<(), String> {
        let start = Instant::now();
        tokio::time::sleep(LOOK).await;
        while self.longest_gap(Instant::now() - Duration::from_secs(1)) > Duration::from_millis(500) {
            if start.elapsed() > PATIENCE {
                return Err("no writes are acknowledged any more".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn write(port: u16, seed: u64, board: Rc<Board>) {
    let mut dice = Dice::new(seed);
    loop {
        if let Ok(Ok(wire)) = tokio::time::timeout(CONNECT, Wire::connect(port)).await {
            let mut kv = KvClient::new(wire);
            while let Ok(Ok(_)) = tokio::time::timeout(REQUEST, kv.put(load::random_put(&mut dice))).await {
                board.acknowledged.borrow_mut().push(Instant::now());
            }
            board.failed.set(board.failed.get() + 1);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Lets the leader fail several times.
pub async fn failover(
    row: &'static str,
    cluster: &mut Cluster,
    failure: Failure,
) -> Result<Vec<Sample>, String> {
    let mut writers = Writers::new();
    cluster.members.iter().for_each(|member| writers.add(member));
    let mut samples = Vec::new();
    let mut add = |metric, value| samples.push(Sample { row, metric, value });
    for _ in 0..FAILOVERS {
        writers.go_on().await?;
        let leader = cluster.leader().await?;
        let failed = writers.board.failed.get();
        let from = Instant::now();
        cluster.members[leader].signal(match failure {
            Failure::Kill => Signal::KILL,
            Failure::Stop => Signal::STOP,
            Failure::Term => Signal::TERM,
        })?;
        writers.go_on().await?;
        add(Metric::Gap, writers.longest_gap(from).as_secs_f64());
        let from = Instant::now();
        let member = &mut cluster.members[leader];
        if failure == Failure::Stop {
            member.signal(Signal::CONT)?;
        } else {
            member.ended().await?;
            member.launch()?;
        }
        member.answered().await?;
        writers.go_on().await?;
        add(Metric::ReturnGap, writers.longest_gap(from).as_secs_f64());
        add(Metric::Failed, (writers.board.failed.get() - failed) as f64);
    }
    Ok(samples)
}

/// Grows a cluster of one member to three.
pub async fn grow(row: &'static str, cluster: &mut Cluster) -> Result<Vec<Sample>, String> {
    let mut writers = Writers::new();
    writers.add(&cluster.members[0]);
    writers.go_on().await?;
    let from = Instant::now();
    for _ in 0..2 {
        let mut added = cluster.add().await?;
        tokio::time::sleep(OPERATOR).await;
        added.launch()?;
        cluster.members.push(added);
        if let Some(added) = cluster.members.last_mut() {
            added.answered().await?;
            writers.add(added);
        }
        writers.go_on().await?;
    }
    cluster.leader().await?;
    let (gap, failed) = (writers.longest_gap(from), writers.board.failed.get());
    let values = [(Metric::Gap, gap.as_secs_f64()), (Metric::Failed, failed as f64)];
    Ok(values.map(|(metric, value)| Sample { row, metric, value }).to_vec())
}
