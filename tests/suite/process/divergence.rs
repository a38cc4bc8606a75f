//! A member whose state is not that of the majority says so, serves nothing of it, and is rebuilt; nobody else suffers.

use std::fs;
use std::path::Path;
use std::process::{Command as Program, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kvd::api::proto::etcdserverpb::{
    AlarmRequest, AlarmType, MoveLeaderRequest, PutRequest, RangeRequest, StatusRequest, StatusResponse,
    WatchCreateRequest, WatchRequest, alarm_request, watch_request,
};
use kvd::log::{self, Log, Mode, RealDisk};
use kvd::model::{Caller, Command, Entropy, Proposal, Put, Stamp};
use kvd::store::{CheckpointPolicy, Options, Store};
use tonic::Code;

use crate::harness::{PATIENCE, Server, Setup, Three, answers, page, status, subject};

/// etcd's text of the refusal.
const CORRUPT: &str = "etcdserver: corrupt cluster";

/// Three members with admin sockets, and with these flags.
pub(super) async fn three(flags: &[&str]) -> Three {
    Three::start_with(|_, member| {
        let socket = member.dir().join("admin.sock").display().to_string();
        member.add_args(&[&format!("--admin-socket={socket}")]);
        // No checkpoint but at the end: what is written in between is in the log alone.
        member.add_args(&["--backend-batch-interval=1h", "--backend-batch-limit=1000000"]);
        member.add_args(flags);
    })
    .await
}

/// Has the state of a member become another one: in the place of an entry of the log another one is applied. The member
/// runs again when this returns.
async fn diverge(three: &mut Three, odd: usize) {
    // An orderly end leaves a checkpoint.
    three.0[odd].stop().await;
    three.0[odd].start().await;
    answers(&three.0[odd]).await;
    // What comes now is in the log alone when the member is killed.
    let other = (odd + 1) % 3;
    for number in 0..5 {
        put(&three.0[other], "k", &number.to_string()).await;
    }
    answers(&three.0[odd]).await;
    three.0[odd].kill();
    apply_another_entry(&three.0[odd].data_dir().join("member"));
    three.0[odd].spawn();
}

/// Salts for a log that is only read.
struct Salt;

impl Entropy for Salt {
    fn next(&self) -> u64 {
        7
    }
}

/// In the place of the next entry of the log the store applies another one.
fn apply_another_entry(member: &Path) {
    let disk = RealDisk::open(&member.join("log")).expect("the log of a member that was killed");
    let options = log::Options { mode: Mode::Inline, ..log::Options::new(Arc::new(Salt)) };
    let log = Log::open(Arc::new(disk), options).expect("a log");
    let options = Options { checkpoint: CheckpointPolicy::Manual, ..Options::default() };
    let store = Store::open(&member.join("store"), options).expect("the store of a member that was killed");
    let next = store.applied().expect("the end of an orderly start").index + 1;
    let entries = log.read(next..next + 1, usize::MAX).expect("what was put since");
    let command = Command::Put(Put { key: "other".into(), value: "other".into(), ..Put::default() });
    let proposal = Proposal { stamp: Stamp::default(), caller: Caller::System, command };
    store.apply(entries[0].position, &[proposal]).expect("it is applied");
    store.checkpoint().expect("it is durable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_state_differs_serves_nothing_and_one_command_rebuilds_it() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = three(&[]).await;
    let odd = (three.leader().await + 1) % 3;
    until_compared(&three, odd).await;
    diverge(&mut three, odd).await;
    let (member, others) = (&three.0[odd], [(odd + 1) % 3, (odd + 2) % 3]);
    let mut watch = opened_watch(member).await;
    wait_for(member, "kvd_state_differs", |differs| differs == 1.0).await;
    let log = member.log();
    // If an election made it the leader, the others' reports name it.
    let by = [
        "after the same log entry the state of this member is not the leader's",
        "is not that of the majority",
    ];
    assert!(by.iter().any(|how| log.contains(how)), "{log}");
    for place in others {
        assert_eq!(figure(&three.0[place], "kvd_state_differs").await, Some(0.0), "member {place}");
    }
    // Nothing of it is served, not even a serializable read; its watch has ended.
    until_refused(member).await;
    if let Some(watch) = &mut watch {
        assert_eq!(watch_end(watch).await, Some((Code::DataLoss, CORRUPT.to_string())));
    }
    assert!(page(member, "/health").await.contains("ALARM CORRUPT"));
    let shown = page(member, "/status/data").await;
    assert!(shown.contains("The state of this member is not the others'"), "{shown}");
    let errors = status(member).await.errors;
    assert!(errors.contains(&CORRUPT.to_string()), "{errors:?}");
    // The alarm names it. As in etcd nothing is written, and the others serve reads.
    let id = status(member).await.header.expect("a header").member_id;
    until_alarms(&three.0[others[0]], &[id]).await;
    let refused = try_put(&three.0[others[0]], "k", "refused").await.expect_err("an alarm");
    assert_eq!((refused.code(), refused.message()), (Code::DataLoss, CORRUPT));
    for place in others {
        assert_eq!(get(&three.0[place], "k", false).await, Ok(Some("4".into())), "member {place}");
    }
    // A restart does not forget it.
    three.0[odd].kill();
    three.0[odd].spawn();
    until_refused(&three.0[odd]).await;

    let told = kvctl(&three.0[odd], &["rebuild"]);
    assert!(told.status.success(), "{told:?}");
    rebuilt(&three, odd, id).await;
    // It is a member as before, also after a restart, and can lead.
    three.0[odd].kill();
    three.0[odd].start().await;
    answers(&three.0[odd]).await;
    until_compared(&three, odd).await;
    assert_eq!(figure(&three.0[odd], "kvd_state_differs").await, Some(0.0));
    let leader = three.leader().await;
    let moved = MoveLeaderRequest { target_id: id };
    three.0[leader].api().maintenance.move_leader(moved).await.expect("it is as good as the others");
    put(&three.0[odd], "k", "led by it").await;
    let after = get(&three.0[others[0]], "k", false).await;
    assert_eq!(after, Ok(Some("led by it".into())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_replaces_a_wrong_state_by_itself_if_the_option_says_so() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = three(&["--on-divergence=rebuild"]).await;
    let odd = (three.leader().await + 1) % 3;
    diverge(&mut three, odd).await;
    // The others go on, and no alarm stops them.
    let begun = Instant::now();
    let mut number = 0;
    while figure(&three.0[odd], "kvd_state_replacements_total").await != Some(1.0) {
        match try_put(&three.0[(odd + 1) % 3], "busy", &number.to_string()).await {
            Ok(()) => number += 1,
            // A busy machine may cost an election; an alarm it must not be.
            Err(error) => assert_ne!(error.code(), Code::DataLoss, "{error}"),
        }
        assert!(begun.elapsed() < PATIENCE, "it was not rebuilt: {}", three.0[odd].log());
    }
    assert!(number > 0);
    let id = status(&three.0[odd]).await.header.expect("a header").member_id;
    rebuilt(&three, odd, id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_state_differs_from_the_majoritys_hands_over_first() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = three(&["--on-divergence=rebuild"]).await;
    let odd = three.leader().await;
    let id = status(&three.0[odd]).await.header.expect("a header").member_id;
    // It must lead before anybody has compared, which a busy machine may miss.
    for _ in 0..5 {
        diverge(&mut three, odd).await;
        if led(&three, odd, id).await {
            break;
        }
        rebuilt(&three, odd, id).await;
    }
    rebuilt(&three, odd, id).await;
    let log = three.0[odd].log();
    assert!(log.contains("leadership was handed over, because this member's state is wrong"), "{log}");
    for place in [(odd + 1) % 3, (odd + 2) % 3] {
        let replaced = figure(&three.0[place], "kvd_state_replacements_total").await;
        assert_eq!(replaced, Some(0.0), "member {place} was right");
    }
}

/// Has a member lead, unless its state is replaced before that.
async fn led(three: &Three, place: usize, id: u64) -> bool {
    let begun = Instant::now();
    loop {
        if status(&three.0[place]).await.leader == id {
            return true;
        }
        if figure(&three.0[place], "kvd_state_replacements_total").await == Some(1.0) {
            return false;
        }
        for member in &three.0 {
            // Only the leader does it, once the member has caught up.
            let _ = member.api().maintenance.move_leader(MoveLeaderRequest { target_id: id }).await;
        }
        assert!(begun.elapsed() < PATIENCE, "it never leads: {}", three.0[place].log());
    }
}

/// The leader of three has lost one for good: two are left that differ.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_an_alarm_names_the_cluster_and_an_operator_decides() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = three(&[]).await;
    let leader = three.leader().await;
    let odd = (leader + 1) % 3;
    diverge(&mut three, odd).await;
    three.0[(leader + 2) % 3].kill();
    until_alarms(&three.0[leader], &[0]).await;
    let log = three.0[leader].log() + &three.0[odd].log();
    assert!(log.contains("members' states differ, and no majority of them agrees"), "{log}");
    // Nobody is blamed: both serve reads.
    assert!(get(&three.0[odd], "k", true).await.is_ok());
    let target = status(&three.0[odd]).await;
    let wrong = target.header.expect("a header").member_id;
    let right = status(&three.0[leader]).await.header.expect("a header").member_id;
    let begun = Instant::now();
    while status(&three.0[odd]).await.leader != right {
        let moved = MoveLeaderRequest { target_id: right };
        let moved = three.0[odd].api().maintenance.move_leader(moved).await;
        assert!(moved.is_ok() || begun.elapsed() < PATIENCE, "from {wrong}: {moved:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let told = kvctl(&three.0[odd], &["rebuild"]);
    assert!(told.status.success(), "{told:?}");
    wait_for(&three.0[odd], "kvd_state_replacements_total", |replaced| replaced == 1.0).await;
    let disarm = AlarmRequest {
        action: alarm_request::AlarmAction::Deactivate.into(),
        member_id: 0,
        alarm: AlarmType::Corrupt.into(),
    };
    three.0[leader].api().maintenance.alarm(disarm).await.expect("disarmed");
    put(&three.0[odd], "k", "after").await;
    assert_eq!(get(&three.0[odd], "other", true).await, Ok(None), "what only it had is gone");
}

/// What is left of the cluster is not taken out of service for a state that nobody can send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_another_leader_a_member_is_not_rebuilt() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = three(&[]).await;
    let leader = three.leader().await;
    put(&three.0[leader], "k", "kept").await;
    for other in [(leader + 1) % 3, (leader + 2) % 3] {
        three.0[other].kill();
    }
    let begun = Instant::now();
    while status(&three.0[leader]).await.leader != 0 {
        assert!(begun.elapsed() < PATIENCE, "it leads nobody");
    }
    let told = kvctl(&three.0[leader], &["rebuild"]);
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(!told.status.success() && said.contains("there is no leader whose state"), "{said}");
    assert_eq!(get(&three.0[leader], "k", true).await, Ok(Some("kept".into())));
    assert_eq!(figure(&three.0[leader], "kvd_state_differs").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_member_has_nothing_to_be_rebuilt_from() {
    if !subject().is_kvd() {
        return;
    }
    let mut alone = Setup::of(&subject()).prepare();
    let socket = alone.dir().join("admin.sock").display().to_string();
    alone.add_args(&[&format!("--admin-socket={socket}")]);
    alone.start().await;
    let told = kvctl(&alone, &["rebuild"]);
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(!told.status.success() && said.contains("only member that votes"), "{said}");
    put(&alone, "k", "served on").await;
}

/// In every file below `directory` the value that is there is another one of the same length, with the checksum of that
/// one behind it: what a fault of a program leaves, or of a memory. Others are found earlier (`damage.rs`).
fn damage(directory: &Path, value: &str) -> usize {
    let mut found = 0;
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found += damage(&path, value);
        } else if path.file_name().is_some_and(|name| name == "data.mdb") {
            let mut bytes = fs::read(&path).expect("readable");
            let places: Vec<usize> = bytes
                .windows(value.len())
                .enumerate()
                .filter(|(_, at)| *at == value.as_bytes())
                .map(|(at, _)| at)
                .collect();
            let mut flipped = vec![0; value.len()];
            flipped[0] = 1;
            // A CRC of what differs is the difference of the CRCs.
            let differs = crc32c::crc32c(&flipped) ^ crc32c::crc32c(&vec![0; value.len()]);
            for at in &places {
                bytes[*at] ^= 1;
                let seal = bytes[at + value.len()..].iter_mut().zip(differs.to_be_bytes());
                seal.for_each(|(byte, differs)| *byte ^= differs);
            }
            found += places.len();
            fs::write(&path, bytes).expect("written");
        }
    }
    found
}

/// A value turns over in the file of a member that is off.
async fn damaged(three: &mut Three) -> usize {
    let odd = (three.leader().await + 1) % 3;
    let value = "a value that is found again in a file";
    put(&three.0[odd], "damaged", value).await;
    three.0[odd].stop().await;
    assert!(damage(&three.0[odd].data_dir().join("member/store"), value) > 0);
    odd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_of_the_store_is_found_by_the_periodic_check_of_hashes() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = three(&["--corrupt-check-time=1s"]).await;
    let odd = damaged(&mut three).await;
    three.0[odd].spawn();
    let id = status(&three.0[odd]).await.header.expect("a header").member_id;
    until_alarms(&three.0[(odd + 1) % 3], &[id]).await;
    until_refused(&three.0[odd]).await;
    assert!(kvctl(&three.0[odd], &["rebuild"]).status.success());
    rebuilt(&three, odd, id).await;
    let value = get(&three.0[odd], "damaged", true).await;
    assert_eq!(value, Ok(Some("a value that is found again in a file".into())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_of_the_store_is_found_by_the_check_of_compactions() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = three(&[
        "--feature-gates=CompactHashCheck=true",
        "--compact-hash-check-time=1s",
        "--on-divergence=rebuild",
    ])
    .await;
    let odd = damaged(&mut three).await;
    three.0[odd].start().await;
    answers(&three.0[odd]).await;
    let revision = status(&three.0[odd]).await.header.expect("a header").revision;
    let told = kvctl_to(&three.0[odd], &["compaction", &revision.to_string()]);
    assert!(told.status.success(), "{told:?}");
    wait_for(&three.0[odd], "kvd_state_replacements_total", |replaced| replaced == 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_initial_check_lets_no_client_see_damage() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = three(&["--feature-gates=InitialCorruptCheck=true"]).await;
    let odd = damaged(&mut three).await;
    three.0[odd].spawn();
    // Whatever is asked, and whenever: the damaged value is not the answer.
    let begun = Instant::now();
    loop {
        let read = get(&three.0[odd], "damaged", true).await;
        match read {
            Err((Code::DataLoss, _)) => break,
            Err(_) => assert!(begun.elapsed() < PATIENCE, "{}", three.0[odd].log()),
            Ok(value) => panic!("it serves {value:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let id = status(&three.0[odd]).await.header.expect("a header").member_id;
    until_alarms(&three.0[(odd + 1) % 3], &[id]).await;
}

/// The member serves the same as the others, and its alarm is over.
pub(super) async fn rebuilt(three: &Three, odd: usize, id: u64) {
    wait_for(&three.0[odd], "kvd_state_replacements_total", |replaced| replaced >= 1.0).await;
    answers(&three.0[odd]).await;
    let begun = Instant::now();
    while alarms(&three.0[odd]).await.is_none_or(|alarms| alarms.contains(&id)) {
        assert!(begun.elapsed() < PATIENCE, "{}", three.0[odd].log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    put(&three.0[odd], "rebuilt", "yes").await;
    assert_eq!(get(&three.0[odd], "other", false).await, Ok(None), "what only it had is gone");
    let mut all = Vec::new();
    for member in &three.0 {
        assert_eq!(get(member, "rebuilt", false).await, Ok(Some("yes".into())));
        let range = RangeRequest { key: "\0".into(), range_end: "\0".into(), ..RangeRequest::default() };
        let answer = member.api().kv.range(range).await.expect("all keys").into_inner();
        all.push(answer.kvs);
        // One that differed from a leader that was wrong compares again with the next one.
        wait_for(member, "kvd_state_differs", |differs| differs == 0.0).await;
    }
    assert!(all.iter().all(|keys| *keys == all[0]), "{all:?}");
}

pub(super) fn kvctl(member: &Server, words: &[&str]) -> Output {
    let mut command = Program::new(env!("CARGO_BIN_EXE_kvctl"));
    command.args(words).arg("--admin-socket").arg(member.dir().join("admin.sock"));
    command.output().expect("kvctl runs")
}

fn kvctl_to(member: &Server, words: &[&str]) -> Output {
    let mut command = Program::new(env!("CARGO_BIN_EXE_kvctl"));
    command.arg(format!("--endpoints={}", member.url())).args(words).output().expect("kvctl runs")
}

async fn try_put(member: &Server, key: &str, value: &str) -> Result<(), tonic::Status> {
    let (key, value) = (key.to_string().into(), value.to_string().into());
    member.api().kv.put(PutRequest { key, value, ..PutRequest::default() }).await.map(drop)
}

/// Puts, and again if a busy machine has cost an election.
pub(super) async fn put(member: &Server, key: &str, value: &str) {
    let begun = Instant::now();
    while let Err(error) = try_put(member, key, value).await {
        let may_pass = error.code() == Code::Unavailable && begun.elapsed() < PATIENCE;
        assert!(may_pass, "{error}: {}", member.log());
    }
}

pub(super) async fn get(
    member: &Server,
    key: &str,
    serializable: bool,
) -> Result<Option<String>, (Code, String)> {
    let asked = RangeRequest { key: key.to_string().into(), serializable, ..RangeRequest::default() };
    let answer = member.api().kv.range(asked).await;
    let answer = answer.map_err(|error| (error.code(), error.message().to_string()))?.into_inner();
    Ok(answer.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned()))
}

pub(super) async fn until_refused(member: &Server) {
    let begun = Instant::now();
    loop {
        let read = get(member, "k", true).await;
        if read == Err((Code::DataLoss, CORRUPT.to_string())) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "it serves, {read:?}: {}", member.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // What shows that is served.
    member.api().maintenance.status(StatusRequest {}).await.expect("its status");
}

/// The members with an alarm; `None` if it has no leader that says so.
async fn alarms(member: &Server) -> Option<Vec<u64>> {
    let asked = AlarmRequest { action: alarm_request::AlarmAction::Get.into(), ..AlarmRequest::default() };
    let answer = member.api().maintenance.alarm(asked).await.ok()?.into_inner();
    Some(answer.alarms.iter().map(|alarm| alarm.member_id).collect())
}

pub(super) async fn until_alarms(member: &Server, wanted: &[u64]) {
    let begun = Instant::now();
    while alarms(member).await.as_deref() != Some(wanted) {
        assert!(begun.elapsed() < PATIENCE, "no such alarm: {}", member.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

type Watch = tonic::Streaming<kvd::api::proto::etcdserverpb::WatchResponse>;

/// A watch; none if the member was found to be wrong before it answered.
async fn opened_watch(member: &Server) -> Option<Watch> {
    let begun = Instant::now();
    loop {
        match get(member, "k", true).await {
            Ok(_) => break,
            Err((Code::DataLoss, _)) => return None,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let create = WatchCreateRequest { key: "k".into(), ..WatchCreateRequest::default() };
    let create = WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) };
    let requests = futures_util::StreamExt::chain(
        futures_util::stream::once(async { create }),
        futures_util::stream::pending(),
    );
    Some(member.api().watch.watch(requests).await.ok()?.into_inner())
}

/// With which error a watch ends.
async fn watch_end(watch: &mut Watch) -> Option<(Code, String)> {
    loop {
        match tokio::time::timeout(PATIENCE, watch.message()).await.expect("it ends") {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(error) => return Some((error.code(), error.message().to_string())),
        }
    }
}

/// A figure of its metrics; `None` if it does not serve them yet.
async fn figure(member: &Server, name: &str) -> Option<f64> {
    tokio::net::TcpStream::connect(member.endpoint()).await.ok()?;
    let page = page(member, "/metrics").await;
    let line = page.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

/// Waits until the state of a member has been compared, which all do but the leader: if it leads, it is made to hand over.
async fn until_compared(three: &Three, place: usize) {
    let begun = Instant::now();
    let (member, next) = (&three.0[place], &three.0[(place + 1) % 3]);
    while figure(member, "kvd_state_comparisons_total").await.is_none_or(|compared| compared < 1.0) {
        assert!(begun.elapsed() < PATIENCE, "nothing is compared: {}", member.log());
        let (own, other) = (status(member).await, status(next).await);
        let id = |answer: &StatusResponse| answer.header.as_ref().expect("a header").member_id;
        if own.leader == id(&own) {
            // It may have lost leadership meanwhile.
            let moved = MoveLeaderRequest { target_id: id(&other) };
            let _ = member.api().maintenance.move_leader(moved).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub(super) async fn wait_for(member: &Server, name: &str, is_right: impl Fn(f64) -> bool) {
    let begun = Instant::now();
    while !figure(member, name).await.is_some_and(&is_right) {
        assert!(begun.elapsed() < PATIENCE, "{name} never came: {}", member.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
