//! A first start that is cut off: at any moment, the next start completes it.

use crate::harness::{Dice, Server, Setup, heavy, seed, strace, subject};
use kvd::api::proto::etcdserverpb::{MemberListRequest, PutRequest};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// System calls that write to a disk.
const WRITES: [&str; 8] =
    ["mkdir", "rename", "fsync", "fdatasync", "ftruncate", "pwrite64", "pwritev", "writev"];

/// A moment of the kill: when a thread enters this system call for the n-th time, perhaps only on the log's first file.
#[derive(Clone, Copy, Debug)]
struct Step {
    call: &'static str,
    nth: usize,
    log_only: bool,
}

/// The command that runs a program and kills it at a step.
fn killing(server: &Server, Step { call, nth, log_only }: Step) -> Vec<String> {
    let mut command: Vec<String> = ["strace", "-D", "-f", "-qq", "-o", "/dev/null"].map(String::from).into();
    if log_only {
        let path = server.data_dir().join("member/log/0000000000000001.seg");
        command.extend(["-P".to_owned(), path.display().to_string()]);
    }
    command.extend(["-e".to_owned(), format!("trace={call}")]);
    command.extend(["-e".to_owned(), format!("inject={call}:signal=KILL:when={nth}")]);
    command
}

/// Starts it so that it is killed at a step; false if it answers before that step.
async fn killed_at(server: &mut Server, step: Step) -> bool {
    server.through(&killing(server, step));
    server.spawn();
    let killed = match server.answers().await {
        Ok(()) => {
            server.kill();
            false
        }
        Err(status) => {
            assert_eq!(status.signal(), Some(9), "{step:?}: {status}\n{}", server.log());
            server.ended().await;
            true
        }
    };
    server.through(&[]);
    killed
}

async fn put(server: &Server) {
    let request = PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    server.api().kv.put(request).await.expect("a put");
}

async fn names(server: &Server) -> Vec<String> {
    let request = MemberListRequest { linearizable: true };
    let answer = server.api().cluster.member_list(request).await.expect("the members");
    answer.into_inner().members.into_iter().map(|member| member.name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_step_of_its_first_start_a_member_begins_again() {
    let test = "killed_at_every_step_of_its_first_start_a_member_begins_again";
    if !subject().is_kvd() || !strace(test) {
        return;
    }
    let _turn = heavy().await;
    let mut steps = 0;
    for log_only in [false, true] {
        for call in WRITES {
            // The log's thread writes as long as the member runs; the founders are among the first writes.
            for nth in 1..=if log_only { 3 } else { usize::MAX } {
                let mut server = Setup::of(&subject()).prepare();
                if !killed_at(&mut server, Step { call, nth, log_only }).await {
                    break;
                }
                steps += 1;
                server.start().await;
                put(&server).await;
            }
        }
    }
    println!("killed at {steps} steps");
    assert!(steps >= 40, "{steps} steps only");
}

/// Members of one new cluster, not started yet.
fn three() -> Vec<Server> {
    let mut servers: Vec<Server> = (0..3).map(|_| Setup::of(&subject()).prepare()).collect();
    let all: Vec<String> =
        servers.iter().enumerate().map(|(n, server)| format!("m{n}={}", server.peer_url())).collect();
    for (n, server) in servers.iter_mut().enumerate() {
        server.add_args(&[&format!("--name=m{n}"), &format!("--initial-cluster={}", all.join(","))]);
    }
    servers
}

/// Starts the members that do not run; all answer, each under its name.
async fn all_answer(servers: &mut [Server], what: &str) {
    for server in servers.iter_mut() {
        if !server.is_running() {
            server.spawn();
        }
    }
    for server in servers.iter_mut() {
        if let Err(status) = server.answers().await {
            panic!("{what}: {status}\n{}", server.log());
        }
    }
    put(&servers[0]).await;
    assert_eq!(names(&servers[1]).await.len(), 3, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_steps_of_their_first_start_three_members_become_a_cluster() {
    let test = "killed_at_steps_of_their_first_start_three_members_become_a_cluster";
    if !subject().is_kvd() || !strace(test) {
        return;
    }
    let _turn = heavy().await;
    let step = |call, nth, log_only| Step { call, nth, log_only };
    let flushes = (1..20).step_by(3).map(|nth| step("fsync", nth, false));
    let names = (1..6).map(|nth| step("rename", nth, false));
    let founding =
        ["pwrite64", "fdatasync"].into_iter().flat_map(|call| [step(call, 1, true), step(call, 2, true)]);
    for (round, step) in flushes.chain(names).chain(founding).enumerate() {
        let mut servers = three();
        // All of them, or one that finds a cluster when it restarts.
        let victims = if round % 2 == 0 { 3 } else { 1 };
        for server in &mut servers[victims..] {
            server.spawn();
        }
        for server in &mut servers[..victims] {
            server.through(&killing(server, step));
            server.spawn();
        }
        for server in &mut servers[..victims] {
            // It may be past this step and wait for others, which wait for it.
            let _ = tokio::time::timeout(Duration::from_secs(3), server.ended()).await;
            server.kill();
            server.through(&[]);
        }
        all_answer(&mut servers, &format!("{step:?} of {victims} members")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_of_its_first_start_a_member_begins_again() {
    if !subject().is_kvd() {
        return;
    }
    let _turn = heavy().await;
    let mut dice = Dice::new(seed("killed_at_any_moment_of_its_first_start_a_member_begins_again"));
    for round in 1..=16 {
        let mut server = Setup::of(&subject()).prepare();
        for _ in 0..=dice.below(3) {
            server.spawn();
            tokio::time::sleep(Duration::from_micros(dice.below(round * 20_000) as u64)).await;
            server.kill();
        }
        server.start().await;
        put(&server).await;
    }
    for round in 1..=4 {
        let mut servers = three();
        for server in &mut servers {
            server.spawn();
        }
        for server in &mut servers {
            tokio::time::sleep(Duration::from_micros(dice.below(round * 100_000) as u64)).await;
            server.kill();
        }
        all_answer(&mut servers, &format!("round {round}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_steps_of_its_first_start_a_joiner_joins_once() {
    let test = "killed_at_steps_of_its_first_start_a_joiner_joins_once";
    if !subject().is_kvd() || !strace(test) {
        return;
    }
    let _turn = heavy().await;
    let mut steps = 0;
    for (call, stride) in [("rename", 1), ("fsync", 3), ("pwrite64", 4)] {
        for nth in (1..).step_by(stride) {
            let founder = Server::of(&subject()).await;
            let mut joiner = Setup::of(&subject()).prepare();
            joiner.add_args(&["--name=joiner", "--initial-cluster-state=existing"]);
            joiner.add_args(&[&format!("--join-peers={}", founder.peer_url())]);
            let killed = killed_at(&mut joiner, Step { call, nth, log_only: false }).await;
            joiner.start().await;
            assert_eq!(names(&founder).await.len(), 2, "{call} {nth}: it was added once");
            if !killed {
                break;
            }
            steps += 1;
        }
    }
    assert!(steps >= 10, "{steps} steps only");
}
