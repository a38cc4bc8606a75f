//! A cluster of three is restored from the backup of one member.

use kvd::api::proto::etcdserverpb as pb;
use kvd::api::proto::etcdserverpb::watch_request::RequestUnion;

use super::picture::{fill, picture};
use super::{kvctl, restore_by, succeeds, text, to_come};
use crate::harness::{Server, Setup, Three, answers, subject, until};

async fn put(server: &Server, key: &str) -> i64 {
    let request = pb::PutRequest { key: key.to_owned().into(), value: "v".into(), ..Default::default() };
    let answer = server.api().kv.put(request).await.expect("a put");
    answer.into_inner().header.expect("a header").revision
}

/// Restores all three members of `cluster` from a backup, and starts them.
async fn restored(file: &std::path::Path, more: &[&str]) -> Vec<Server> {
    let mut members: Vec<Server> = (0..3).map(|_| Setup::of(&subject()).bare().prepare()).collect();
    let named = |(number, member): (usize, &Server)| format!("m{number}={}", member.peer_url());
    let cluster = members.iter().enumerate().map(named).collect::<Vec<_>>().join(",");
    for (number, member) in members.iter_mut().enumerate() {
        let (client, peer) = (member.url(), member.peer_url());
        let data = format!("--data-dir={}", member.data_dir().display());
        let (name, cluster) = (format!("--name=m{number}"), format!("--initial-cluster={cluster}"));
        let own = format!("--initial-advertise-peer-urls={peer}");
        let wal = format!("--wal-dir={}", member.dir().join("wal").display());
        let mut args = vec!["snapshot", "restore", text(file), &name, &data, &cluster, &own, &wal];
        args.extend(more);
        succeeds(kvctl(), &args);
        let (listen, advertise) =
            (format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}"));
        let peers = format!("--listen-peer-urls={peer}");
        member.add_args(&[&name, &data, &cluster, &own, &wal, &listen, &advertise, &peers]);
        member.spawn();
    }
    for member in &members {
        answers(member).await;
    }
    members
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_are_restored_and_a_watcher_never_goes_back() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = Three::start().await;
    let compacted = fill(&three.0[0]).await;
    let before = picture(&three.0[0], compacted).await;
    let file = three.0[0].dir().join("saved.db");
    let endpoints = format!("--endpoints={}", three.0[1].endpoint());
    succeeds(kvctl(), &[&endpoints, "snapshot", "save", text(&file)]);
    // What is written after the backup is lost, and clients have seen it.
    let mut seen = 0;
    for key in 0..20 {
        seen = put(&three.0[0], &format!("lost/{key}")).await;
    }
    for member in &mut three.0 {
        member.kill();
    }

    let plain = restored(&file, &[]).await;
    for member in &plain {
        assert_eq!(picture(member, compacted).await, before);
    }
    let list = pb::MemberListRequest { linearizable: true };
    let members = plain[0].api().cluster.member_list(list).await.expect("a list").into_inner().members;
    let mut urls: Vec<String> = members.iter().flat_map(|member| member.peer_ur_ls.clone()).collect();
    let mut wanted: Vec<String> = plain.iter().map(Server::peer_url).collect();
    urls.sort();
    wanted.sort();
    assert_eq!(urls, wanted, "members exactly as asked");
    drop(plain);

    let raised = restored(&file, &["--bump-revision=1000", "--mark-compacted"]).await;
    let now = put(&raised[0], "new").await;
    assert_eq!(now, before.revision + 1001);
    assert!(now > seen, "no client sees a revision twice");
    // A watcher that goes on where it was gets no event of another history: it has to read again.
    let create = |start_revision| pb::WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(pb::WatchCreateRequest {
            key: "\0".into(),
            range_end: "\0".into(),
            start_revision,
            ..Default::default()
        })),
    };
    for member in &raised {
        let requests = tokio_stream_of(vec![create(seen + 1), create(now)]);
        let mut answers = member.api().watch.watch(requests).await.expect("a watch").into_inner();
        let (mut cancelled, mut revisions) = (0, Vec::new());
        while cancelled == 0 || revisions.is_empty() {
            let answer = answers.message().await.expect("an answer").expect("more");
            if answer.canceled {
                assert_eq!(answer.compact_revision, before.revision + 1000);
                cancelled += 1;
            }
            revisions
                .extend(answer.events.iter().map(|event| event.kv.as_ref().expect("a key").mod_revision));
        }
        assert_eq!((cancelled, revisions), (1, vec![now]));
    }
}

/// What was restored is in no log: a member that joins later gets it as a snapshot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_joins_later_gets_what_was_restored() {
    if !subject().is_kvd() {
        return;
    }
    let server = Server::of(&subject()).await;
    let compacted = fill(&server).await;
    let file = server.dir().join("saved.db");
    let endpoints = format!("--endpoints={}", server.endpoint());
    succeeds(kvctl(), &[&endpoints, "snapshot", "save", text(&file)]);
    let mut first = to_come(&subject());
    restore_by(kvctl(), &["snapshot", "restore", text(&file)], &first);
    first.start().await;
    put(&first, "after").await;
    let wanted = picture(&first, compacted).await;
    let mut second = Setup::of(&subject()).bare().prepare();
    let (client, peer) = (second.url(), second.peer_url());
    let endpoints = format!("--endpoints={}", first.endpoint());
    succeeds(kvctl(), &[&endpoints, "member", "add", "second", &format!("--peer-urls={peer}")]);
    second.add_args(&[
        "--name=second",
        &format!("--data-dir={}", second.data_dir().display()),
        &format!("--listen-client-urls={client}"),
        &format!("--advertise-client-urls={client}"),
        &format!("--listen-peer-urls={peer}"),
        &format!("--initial-advertise-peer-urls={peer}"),
        &format!("--initial-cluster=node={},second={peer}", first.peer_url()),
        "--initial-cluster-state=existing",
    ]);
    second.spawn();
    answers(&second).await;
    assert_eq!(picture(&second, compacted).await, wanted);
}

/// Requests, and then a stream that stays open.
fn tokio_stream_of(requests: Vec<pb::WatchRequest>) -> impl futures_util::Stream<Item = pb::WatchRequest> {
    use futures_util::StreamExt;
    futures_util::stream::iter(requests).chain(futures_util::stream::pending())
}

/// Two backups of different dates must not become one cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_were_restored_from_different_backups_refuse_each_other() {
    if !subject().is_kvd() {
        return;
    }
    let server = Server::of(&subject()).await;
    let endpoints = format!("--endpoints={}", server.endpoint());
    let mut members: Vec<Server> = (0..2).map(|_| Setup::of(&subject()).bare().prepare()).collect();
    let cluster = format!("--initial-cluster=m0={},m1={}", members[0].peer_url(), members[1].peer_url());
    for (number, member) in members.iter_mut().enumerate() {
        put(&server, &format!("k{number}")).await;
        let file = server.dir().join(format!("{number}.db"));
        succeeds(kvctl(), &[&endpoints, "snapshot", "save", text(&file)]);
        let data = format!("--data-dir={}", member.data_dir().display());
        let (name, own) =
            (format!("--name=m{number}"), format!("--initial-advertise-peer-urls={}", member.peer_url()));
        succeeds(kvctl(), &["snapshot", "restore", text(&file), &name, &data, &cluster, &own]);
        let (client, peer) = (
            format!("--listen-client-urls={}", member.url()),
            format!("--listen-peer-urls={}", member.peer_url()),
        );
        let advertise = format!("--advertise-client-urls={}", member.url());
        member.add_args(&[&name, &data, &cluster, &own, &client, &advertise, &peer]);
        member.spawn();
    }
    let refused = || members.iter().any(|member| member.log().contains("epoch mismatch"));
    until("they refuse each other", refused).await;
}
