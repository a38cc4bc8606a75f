//! A majority is lost for good: what is left becomes a new cluster, and members of the former one that come back are
//! refused.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use kvd::api::proto::etcdserverpb::{
    DeleteRangeRequest, MemberListRequest, PutRequest, RangeRequest, WatchCreateRequest, WatchRequest,
    watch_request,
};

use crate::harness::{PATIENCE, Server, Setup, answers, members, status, subject, until};

/// A cluster of so many members, answering.
async fn cluster(size: usize) -> Vec<Server> {
    members(&subject(), size, |_, _| {}).await
}

fn kvctl(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kvctl")).args(words).output().expect("kvctl runs")
}

/// The output of a command that succeeds.
fn done(words: &[&str]) -> String {
    let output = kvctl(words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The error of a command that fails.
fn refused(words: &[&str]) -> String {
    let output = kvctl(words);
    assert!(!output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

async fn put(member: &Server, key: &str, value: &str) -> i64 {
    let begun = Instant::now();
    loop {
        let (key, value) = (key.to_string().into(), value.to_string().into());
        let put = PutRequest { key, value, ..PutRequest::default() };
        match member.api().kv.put(put).await {
            Ok(answer) => return answer.into_inner().header.expect("a header").revision,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}: {}", member.log()),
        }
    }
}

async fn get(member: &Server, key: &str) -> Option<String> {
    let range = RangeRequest { key: key.to_string().into(), ..RangeRequest::default() };
    let answer = member.api().kv.range(range).await.expect("an answer").into_inner();
    answer.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The new member, on the URLs of the one whose data it has.
async fn started(of: &Server, data: &Path) -> Server {
    let mut member = Setup::of(&subject()).bare().prepare();
    let own = of.arguments();
    member.add_args(&own.iter().map(String::as_str).collect::<Vec<_>>());
    member.add_args(&[&format!("--data-dir={}", text(data))]);
    let client = member.url();
    member
        .add_args(&[&format!("--listen-client-urls={client}"), &format!("--advertise-client-urls={client}")]);
    member.spawn();
    answers(&member).await;
    member
}

/// A watcher that has seen `revision` of the former cluster is told that it is compacted.
async fn is_told(member: &Server, revision: i64) {
    let create =
        WatchCreateRequest { key: "k".into(), start_revision: revision + 1, ..WatchCreateRequest::default() };
    let create = WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) };
    let requests = futures_util::StreamExt::chain(
        futures_util::stream::once(async { create }),
        futures_util::stream::pending(),
    );
    let mut answers = member.api().watch.watch(requests).await.expect("a watch").into_inner();
    loop {
        let answer = answers.message().await.expect("an answer").expect("it is canceled first");
        if answer.canceled {
            assert!(answer.compact_revision > revision, "{answer:?}");
            return;
        }
        assert!(answer.events.is_empty(), "{answer:?}");
    }
}

/// Of so many members a minority is left. It is recovered; an old member that comes back is refused by a line on both
/// sides, and changes nothing.
async fn recover(size: usize) {
    if !subject().is_kvd() {
        return;
    }
    let mut members = cluster(size).await;
    for number in 0..20 {
        put(&members[number % size], "k", &number.to_string()).await;
    }
    put(&members[0], "gone", "soon").await;
    let delete = DeleteRangeRequest { key: "gone".into(), ..DeleteRangeRequest::default() };
    members[0].api().kv.delete_range(delete).await.expect("deleted");
    let before = put(&members[0], "last", "acknowledged").await;
    // All that are left have it.
    for member in &members {
        assert_eq!(get(member, "last").await.as_deref(), Some("acknowledged"));
    }
    let former = status(&members[0]).await.header.expect("a header").cluster_id;
    let first = text(&members[0].data_dir());
    // The name comes with its first checkpoint.
    until("the member's name", || done(&["recover", "plan", &first]).contains(" m0 ")).await;
    let running = done(&["recover", "plan", &first]);
    assert!(running.contains("this member runs"), "{running}");
    assert!(running.contains("stop those that run, and plan again"), "{running}");
    let all: Vec<String> = members.iter().map(|member| text(&member.data_dir())).collect();
    let words: Vec<&str> = ["recover", "plan"].into_iter().chain(all.iter().map(String::as_str)).collect();
    assert!(done(&words).contains("a majority of the voters of cluster"));
    let used = refused(&["recover", "apply", &all[0], "--data-dir=/nowhere"]);
    assert!(used.contains("in use"), "{used}");
    assert_eq!(get(&members[0], "k").await.as_deref(), Some("19"), "it goes on");
    members.iter_mut().for_each(Server::kill);

    let left: Vec<String> = members[..size / 2].iter().map(|member| text(&member.data_dir())).collect();
    let words = |name: &'static str, dirs: &[String]| -> Vec<String> {
        ["recover", name].into_iter().map(str::to_string).chain(dirs.iter().cloned()).collect()
    };
    let run = |words: Vec<String>| done(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let plan = run(words("plan", &left));
    for member in &members[size / 2..] {
        let id = format!("(m{})", members.iter().position(|one| one.url() == member.url()).expect("there"));
        assert!(plan.contains(&id), "{id} is missing: {plan}");
    }
    assert!(plan.contains(&format!("up to revision {before}")), "{plan}");
    // With a majority there is nothing to recover.
    let all: Vec<String> = members.iter().map(|member| text(&member.data_dir())).collect();
    assert!(run(words("plan", &all)).contains("start them, and nothing is lost"));
    let new = tempfile::Builder::new().prefix("kvd-suite-").tempdir().expect("a directory");
    let data = new.path().join("data");
    let mut apply = words("apply", &all);
    apply.push(format!("--data-dir={}", text(&data)));
    let too_early = refused(&apply.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(too_early.contains("a majority of the voters is here"), "{too_early}");
    assert!(!data.exists());

    let mut apply = words("apply", &left);
    apply.push(format!("--data-dir={}", text(&data)));
    let told = run(apply.clone());
    assert!(told.contains("of the new cluster"), "{told}");
    let again = refused(&apply.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(again.contains("not empty"), "{again}");
    let best = (0..size / 2).find(|number| told.contains(&format!("(m{number}) of the new cluster")));
    let best = best.expect("one of those that are left");
    let recovered = started(&members[best], &data).await;
    let header = status(&recovered).await.header.expect("a header");
    assert_ne!(header.cluster_id, former);
    assert!(header.revision >= before + 1_000_000_000, "{header:?}");
    assert_eq!(get(&recovered, "k").await.as_deref(), Some("19"));
    assert_eq!(get(&recovered, "last").await.as_deref(), Some("acknowledged"));
    assert_eq!(get(&recovered, "gone").await, None);
    is_told(&recovered, before).await;
    put(&recovered, "after", "written").await;
    let list = recovered.api().cluster.member_list(MemberListRequest { linearizable: true }).await;
    assert_eq!(list.expect("a list").into_inner().members.len(), 1);

    // A lost one comes back: both say why it is refused, and it leads nobody.
    let back = &mut members[size - 1];
    back.spawn();
    let refusal = "the cluster was recovered without this member, as cluster";
    until("it is refused", || back.log().contains(refusal)).await;
    until("the new cluster says so", || recovered.log().contains(refusal)).await;
    assert_eq!(status(back).await.leader, 0);
    assert_eq!(get(&recovered, "after").await.as_deref(), Some("written"));

    // A new member joins with empty directories.
    let mut joins = Setup::of(&subject()).bare().prepare();
    let (client, peer) = (joins.url(), joins.peer_url());
    let data = joins.data_dir().display().to_string();
    joins.add_args(&[
        "--name=joins",
        &format!("--data-dir={data}"),
        &format!("--listen-client-urls={client}"),
        &format!("--advertise-client-urls={client}"),
        &format!("--listen-peer-urls={peer}"),
        &format!("--initial-advertise-peer-urls={peer}"),
        "--initial-cluster-state=existing",
        &format!("--join-peers={}", members[best].peer_url()),
    ]);
    joins.spawn();
    answers(&joins).await;
    assert_eq!(get(&joins, "last").await.as_deref(), Some("acknowledged"));
    assert_eq!(get(&joins, "after").await.as_deref(), Some("written"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_becomes_a_new_cluster_and_the_others_are_refused() {
    recover(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_five_become_a_new_cluster_and_the_others_are_refused() {
    recover(5).await;
}
