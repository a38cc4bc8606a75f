//! The v2 API over restarts, over a change of the leader, and on members that join.

use super::certificates::{certify, has_openssl, make_ca, openssl, secured, until_serving};
use crate::harness::{PATIENCE, Server, Setup, Three, answers, page, subject, tool, until};
use kvd::api::proto::etcdserverpb::MemberAddRequest;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The body of an answer, and its status.
pub(super) async fn ask(server: &Server, method: &str, path: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(server.endpoint()).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body.to_owned())
}

/// The same once the member answers: while leaders change it may say that it does not know the outcome.
async fn settled(server: &Server, method: &str, path: &str, body: &str) -> (u16, String) {
    let begun = Instant::now();
    loop {
        let answer = ask(server, method, path, body).await;
        if answer.0 < 500 || begun.elapsed() > PATIENCE {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn put(server: &Server, path: &str, body: &str) {
    let (status, answer) = settled(server, "PUT", &format!("/v2/keys{path}"), body).await;
    assert!(status < 300, "{path}: {status} {answer}");
}

/// Everything that a client can see of the tree, but what depends on the time.
async fn picture(server: &Server) -> String {
    let (_, nodes) = ask(server, "GET", "/v2/keys?recursive=true", "").await;
    let (_, hidden) = ask(server, "GET", "/v2/keys/_h?recursive=true", "").await;
    let (_, first) = ask(server, "GET", "/v2/keys/?wait=true&recursive=true&waitIndex=1", "").await;
    let head = page(server, "/v2/keys").await;
    let index = head.lines().find(|line| line.starts_with("x-etcd-index")).unwrap_or_default().to_owned();
    let nodes =
        nodes.split("\"ttl\":").map(|part| part.trim_start_matches(char::is_numeric)).collect::<String>();
    format!("{nodes}{hidden}{first}{index}")
}

async fn fill(server: &Server) {
    for (path, body) in [
        ("/a/b", "value=1"),
        ("/a/b", "value=2"),
        ("/d", "dir=true"),
        ("/t", "value=x&ttl=5000"),
        ("/_h/x", "value=hidden"),
    ] {
        put(server, path, body).await;
    }
    assert_eq!(settled(server, "POST", "/v2/keys/q", "value=first").await.0, 201);
    assert_eq!(settled(server, "DELETE", "/v2/keys/d?dir=true", "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tree_survives_a_stop_and_a_kill() {
    let mut server = Setup::of(&subject()).arg("--enable-v2=true").start().await;
    fill(&server).await;
    let before = picture(&server).await;
    assert!(before.contains("\"value\":\"2\"") && before.contains("hidden"), "{before}");
    server.stop().await;
    server.start().await;
    assert_eq!(picture(&server).await, before);
    server.kill();
    server.start().await;
    assert_eq!(picture(&server).await, before);
    // Its indexes go on.
    put(&server, "/n", "value=x").await;
    assert_ne!(picture(&server).await, before);
}

/// The leader counts what its followers acknowledge, and they what they receive.
async fn figures_of_three(three: &Three) {
    let begun = Instant::now();
    loop {
        let mut pages = Vec::new();
        for member in &three.0 {
            pages.push((page(member, "/v2/stats/leader").await, page(member, "/v2/stats/self").await));
        }
        let (leaders, followers): (Vec<_>, Vec<_>) =
            pages.iter().partition(|(of_leader, _)| of_leader.starts_with("HTTP/1.1 200"));
        let counts = |text: &str, name: &str| text.contains(name) && !text.contains(&format!("{name}0"));
        let is_leader = |(of_leader, own): &&(String, String)| {
            let named = of_leader.matches("\"latency\"").count() == 2;
            named
                && counts(of_leader, "\"success\":")
                && counts(own, "\"sendAppendRequestCnt\":")
                && own.contains("StateLeader")
        };
        let is_follower = |(of_leader, own): &&(String, String)| {
            of_leader.ends_with("{\"message\":\"not current leader\"}")
                && counts(own, "\"recvAppendRequestCnt\":")
                && own.contains("StateFollower")
        };
        if leaders.iter().all(is_leader) && followers.iter().all(is_follower) && leaders.len() == 1 {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{pages:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_members_have_one_tree_and_nodes_end_after_a_change_of_the_leader() {
    let mut three = Three::start_with(|_, member| member.add_args(&["--enable-v2=true"])).await;
    let leader = three.leader().await;
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    // What was written through a follower can be read there at once.
    for number in 0..20 {
        put(&three.0[one], "/f", &format!("value={number}")).await;
        let (_, read) = ask(&three.0[one], "GET", "/v2/keys/f", "").await;
        assert!(read.contains(&format!("\"value\":\"{number}\"")), "{read}");
        // And anywhere, if that is asked for.
        let (_, read) = settled(&three.0[other], "GET", "/v2/keys/f?quorum=true", "").await;
        assert!(read.contains(&format!("\"value\":\"{number}\"")), "{read}");
    }
    figures_of_three(&three).await;
    fill(&three.0[one]).await;
    let (_, made) = settled(&three.0[one], "PUT", "/v2/keys/short", "value=x&ttl=5").await;
    let index =
        made.rsplit(':').next().and_then(|rest| rest.trim_end_matches(['}', '\n']).parse::<u64>().ok());
    let since = index.expect("an index") + 1;
    // Whether it waits before or after the leader goes, it gets the end of the node.
    let path = format!("/v2/keys/short?wait=true&waitIndex={since}");
    let wait = ask(&three.0[other], "GET", &path, "");
    let (waited, ()) = tokio::join!(wait, async {
        let pid = rustix::process::Pid::from_raw(three.0[leader].pid() as i32).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("our own child");
    });
    assert!(waited.1.contains("\"action\":\"expire\""), "{waited:?}");
    assert_eq!(settled(&three.0[one], "GET", "/v2/keys/short?quorum=true", "").await.0, 404);
    // The killed one comes back to the same tree.
    three.0[leader].ended().await;
    three.0[leader].start().await;
    answers(&three.0[leader]).await;
    let begun = Instant::now();
    loop {
        let mut pictures = Vec::new();
        for member in &three.0 {
            pictures.push(picture(member).await);
        }
        if pictures.iter().all(|picture| *picture == pictures[0]) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{pictures:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_gets_a_snapshot_gets_the_tree() {
    if !subject().is_kvd() {
        return;
    }
    let often = ["--snapshot-count=10", "--snapshot-catchup-entries=1", "--backend-batch-interval=10ms"];
    let mut three = Three::start_with(|_, member| member.add_args(&often)).await;
    let leader = three.leader().await;
    let late = (leader + 1) % 3;
    three.0[late].stop().await;
    fill(&three.0[leader]).await;
    // Until the log does not reach back to where the other one stopped.
    for number in 0..3000 {
        put(&three.0[leader], &format!("/many/{}", number % 50), "value=x").await;
    }
    three.0[late].start().await;
    answers(&three.0[late]).await;
    let log = three.0[late].log();
    let begun = Instant::now();
    while picture(&three.0[late]).await != picture(&three.0[leader]).await {
        assert!(begun.elapsed() < PATIENCE, "{log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until("the snapshot in the log", || three.0[late].log().contains("snapshot")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_names_the_user_to_the_v2_api() {
    let test = "a_certificate_names_the_user_to_the_v2_api";
    let Some(etcdctl) = tool(test, "3.4.23", "etcdctl").filter(|_| subject().is_kvd() && has_openssl(test))
    else {
        return;
    };
    let mut server = secured(&["--trusted-ca-file=DIR/ca.pem", "--client-cert-auth"]);
    let directory = server.dir().to_path_buf();
    make_ca(&directory);
    for (serial, name) in [(2, "server"), (3, "root"), (4, "ann")] {
        openssl(&directory, &format!("ecparam -genkey -noout -name prime256v1 -out {name}.key"));
        certify(&directory, name, serial, false);
    }
    server.spawn();
    until_serving(&server).await;
    // The output, and whether it was done.
    let run = |version: &str, user: &str, args: &[&str]| {
        let [ca, cert, key] = match version {
            "2" => ["ca-file", "cert-file", "key-file"],
            _ => ["cacert", "cert", "key"],
        };
        let files = [format!("--{ca}=ca.pem"), format!("--{cert}={user}.pem"), format!("--{key}={user}.key")];
        let mut command = Command::new(&etcdctl);
        command.current_dir(&directory).env("ETCDCTL_API", version);
        command.arg(format!("--endpoints=https://{}", server.endpoint())).args(files).args(args);
        let output = command.output().expect("etcdctl runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (said, output.status.success())
    };
    for args in [
        &["user", "add", "root", "--no-password"][..],
        &["user", "add", "ann", "--no-password"],
        &["role", "add", "root"],
        &["user", "grant-role", "root", "root"],
        &["auth", "enable"],
    ] {
        let (said, done) = run("3", "root", args);
        assert!(done, "{args:?}: {said}");
    }
    assert_eq!(run("2", "root", &["set", "/a", "1"]), ("1\n".to_owned(), true));
    assert_eq!(run("2", "root", &["get", "/a"]), ("1\n".to_owned(), true));
    for args in [&["get", "/a"][..], &["set", "/a", "2"], &["rm", "/a"], &["ls", "/"]] {
        let (said, done) = run("2", "ann", args);
        assert!(!done && said.contains("Insufficient credentials"), "{args:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_serves_what_it_has_and_passes_the_rest_to_the_leader() {
    if !subject().is_kvd() {
        return;
    }
    let server = Setup::of(&subject()).start().await;
    let mut learner = Setup::of(&subject()).prepare();
    let add = MemberAddRequest { peer_ur_ls: vec![learner.peer_url()], is_learner: true };
    server.api().cluster.member_add(add).await.expect("a learner");
    learner.add_args(&[
        "--name=learner",
        "--initial-cluster-state=existing",
        &format!("--initial-cluster=node={},learner={}", server.peer_url(), learner.peer_url()),
    ]);
    learner.spawn();
    put(&server, "/a", "value=1").await;
    let begun = Instant::now();
    loop {
        // It may not listen yet.
        let there = TcpStream::connect(learner.endpoint()).await.is_ok();
        if there && ask(&learner, "GET", "/v2/keys/a", "").await.0 == 200 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", learner.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let waited = ask(&learner, "GET", "/v2/keys/a?wait=true&waitIndex=4", "").await;
    assert!(waited.1.contains("\"value\":\"1\""), "{waited:?}");
    // As with etcd 3.4: v2 knows no learners.
    for (method, path, status, seen) in [
        ("PUT", "/v2/keys/a", 200, "\"value\":\"2\""),
        ("POST", "/v2/keys/queue", 201, "\"action\":\"create\""),
        ("GET", "/v2/keys/a?quorum=true", 200, "\"value\":\"2\""),
        ("DELETE", "/v2/keys/a", 200, "\"action\":\"delete\""),
        ("GET", "/v2/keys/a?quorum=true", 404, "Key not found"),
    ] {
        let answer = ask(&learner, method, path, "value=2").await;
        assert!(answer.0 == status && answer.1.contains(seen), "{method} {path}: {answer:?}");
    }
    // What the learner has answered has been applied there.
    assert_eq!(picture(&learner).await, picture(&server).await);
}
