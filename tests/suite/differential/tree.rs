//! The v2 API beside that of a real etcd 3.4: random requests on nodes, and waits for them; status, headers and body must be
//! equal. `KVD_SEED=N cargo test --test suite differential_v2` replays a run, `KVD_OPS=N` makes it longer.
//!
//! Allowed differences, which are masked: raft's index and term, the time of day at which a node ends and the seconds until
//! then, and the order of nodes, which etcd leaves to chance.

mod asked;
mod http;

use asked::{Asked, Generator};
use http::{Open, ask};
use serde_json::Value;

use super::gateway::client::Answer;
use crate::harness::{Dice, PATIENCE, Program, Server, Setup, heavy, seed, subject, tool};

/// Requests of a run unless `KVD_OPS` says otherwise.
const STEPS: usize = 3000;

/// The etcd that serves v2.
const VERSION: &str = "3.4.23";

async fn pair(test: &str) -> Option<[Server; 2]> {
    tool(test, VERSION, "etcd")?;
    let etcd = Setup::of(&Program::Etcd(VERSION.into())).arg("--enable-v2=true").start().await;
    let pair = [Server::of(&subject()).await, etcd];
    for server in &pair {
        // etcd's own first changes: both begin with the same index.
        let begun = std::time::Instant::now();
        loop {
            let answer = ask(&server.endpoint(), &Asked::get("/v2/keys")).await;
            if answer.headers.get("x-etcd-index").is_some_and(|index| index == "3") {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{answer:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    Some(pair)
}

/// An answer without what may differ.
fn shown(answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.status);
    for name in ["content-type", "x-etcd-index", "allow", "location", "x-content-type-options"] {
        if let Some(value) = answer.headers.get(name) {
            text += &format!("{name}: {value}\n");
        }
    }
    for name in ["x-etcd-cluster-id", "x-raft-index", "x-raft-term"] {
        text += &format!("{name}: {}\n", answer.headers.contains_key(name));
    }
    for line in &answer.lines {
        text += &masked(line);
        text.push('\n');
    }
    text
}

fn masked(line: &str) -> String {
    let mut line = line.to_owned();
    // Whole seconds after its end a node shows how many; within the first one it shows nothing. How late an end is, is chance.
    while let Some(at) = line.find(",\"ttl\":-") {
        let number = at + ",\"ttl\":-".len();
        let digits = line[number..].bytes().take_while(u8::is_ascii_digit).count();
        line.replace_range(at..number + digits, "");
    }
    let Ok(mut value) = serde_json::from_str::<Value>(&line) else { return format!("{line:?}") };
    mask(&mut value);
    // The fields' order counts, too.
    let names: Vec<&str> = line.split('"').filter(|word| NAMES.contains(word)).collect();
    format!("{value} {}", if value["node"]["nodes"].is_null() { names.join(" ") } else { String::new() })
}

const NAMES: &[&str] = &[
    "action",
    "node",
    "prevNode",
    "key",
    "value",
    "dir",
    "expiration",
    "ttl",
    "nodes",
    "modifiedIndex",
    "createdIndex",
    "errorCode",
    "message",
    "cause",
    "index",
];

fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (&name[..], &mut *value) {
                    ("expiration", Value::String(time)) => {
                        assert!(time.ends_with('Z') && time.len() >= 20, "{time}");
                        *value = "…".into();
                    }
                    ("ttl", Value::Number(_)) => *value = "…".into(),
                    ("nodes", Value::Array(nodes)) => {
                        nodes.iter_mut().for_each(mask);
                        nodes.sort_by_key(|node| node["key"].to_string());
                    }
                    (_, value) => mask(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(mask),
        _ => {}
    }
}

/// Asks both; panics if they differ.
async fn both(pair: &[Server; 2], asked: &Asked, what: &str) -> Answer {
    let (one, other) = (pair[0].endpoint(), pair[1].endpoint());
    let (kvd, etcd) = tokio::join!(ask(&one, asked), ask(&other, asked));
    let (ours, theirs) = (shown(&kvd), shown(&etcd));
    assert!(ours == theirs, "{what}: {asked}\n--- kvd\n{ours}\n--- etcd\n{theirs}\n{kvd:?}\n{etcd:?}");
    kvd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differential_v2_requests_get_equal_answers() {
    let test = "differential_v2_requests_get_equal_answers";
    let Some(pair) = pair(test).await else { return };
    let _turn = heavy().await;
    let seed = seed(test);
    let count = std::env::var("KVD_OPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS);
    let mut generator = Generator::new(Dice::new(seed));
    for step in 0..count {
        let what = format!("KVD_SEED={seed}, step {step}");
        match generator.dice.below(40) {
            0 => wait(&pair, &mut generator, &what).await,
            1 if step % 3 == 0 => stream(&pair, &mut generator, &what).await,
            _ => {
                let asked = generator.next();
                let answer = both(&pair, &asked, &what).await;
                generator.learn(&answer);
            }
        }
    }
}

/// A wait for one change, which one of a few writes or the last one ends.
async fn wait(pair: &[Server; 2], generator: &mut Generator, what: &str) {
    let (path, asked) = generator.wait(false);
    let mut open = Vec::new();
    for server in pair {
        open.push(Open::new(&server.endpoint(), &asked).await);
    }
    for _ in 0..generator.dice.below(4) {
        let write = generator.write();
        both(pair, &write, what).await;
    }
    if open[0].status() == 200 {
        // Whatever was there, this is a change of the path itself.
        both(pair, &Asked::delete(&path), what).await;
        // More than once: a wait may be for an index that is still to come.
        for _ in 0..3 {
            let answer = both(pair, &Asked::set(&path, "end"), what).await;
            if !matches!(answer.status, 200 | 201) {
                return;
            }
        }
    }
    let mut seen = Vec::new();
    for one in open {
        seen.push(shown(&one.whole().await));
    }
    assert!(seen[0] == seen[1], "{what}: {asked}\n--- kvd\n{}\n--- etcd\n{}", seen[0], seen[1]);
}

/// A stream of changes, up to a last one that both see.
async fn stream(pair: &[Server; 2], generator: &mut Generator, what: &str) {
    let (path, asked) = generator.wait(true);
    let mut open = Vec::new();
    for server in pair {
        open.push(Open::new(&server.endpoint(), &asked).await);
    }
    for _ in 0..20 {
        let write = generator.write();
        let answer = both(pair, &write, what).await;
        generator.learn(&answer);
    }
    both(pair, &Asked::delete(&path), what).await;
    let answer = both(pair, &Asked::set(&path, "the-end-of-it"), what).await;
    if !matches!(answer.status, 200 | 201) {
        return;
    }
    let mut seen = Vec::new();
    for one in open {
        seen.push(shown(&one.until("the-end-of-it").await));
    }
    assert!(seen[0] == seen[1], "{what}: {asked}\n--- kvd\n{}\n--- etcd\n{}", seen[0], seen[1]);
}

/// What random requests seldom meet: bodies, paths and parameters at their edges, one after another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differential_v2_edges_get_equal_answers() {
    let test = "differential_v2_edges_get_equal_answers";
    let Some(pair) = pair(test).await else { return };
    let mut differences = Vec::new();
    let steps: Vec<Asked> = include_str!("tree/edges.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(Asked::line)
        .collect();
    for asked in &steps {
        let mut seen = Vec::new();
        for server in &pair {
            let answer = ask(&server.endpoint(), asked).await;
            let port = server.endpoint().rsplit(':').next().unwrap_or_default().to_owned();
            let peer = server.peer_url().rsplit(':').next().unwrap_or_default().to_owned();
            seen.push(shown(&answer).replace(&port, "PORT").replace(&peer, "PEER"));
        }
        if seen[0] != seen[1] {
            differences.push(format!("{asked}\n--- kvd\n{}\n--- etcd\n{}", seen[0], seen[1]));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        steps.len(),
        differences.join("\n")
    );
}

/// Nodes end by themselves, and those who wait are told. One ends after the other has: which of two is the first is chance,
/// and so is what a slow machine does before a second is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differential_v2_nodes_end_alike() {
    let test = "differential_v2_nodes_end_alike";
    let Some(pair) = pair(test).await else { return };
    let put = |path: &str, body: &str| Asked::form("PUT", path, body);
    for asked in [
        put("/v2/keys/d", "dir=true"),
        put("/v2/keys/d/a", "value=x"),
        put("/v2/keys/d/_h", "value=x"),
        put("/v2/keys/r", "value=x&ttl=1000"),
        put("/v2/keys/r", "refresh=true&prevExist=true&ttl=2000"),
    ] {
        both(&pair, &asked, test).await;
    }
    for ending in [put("/v2/keys/d", "dir=true&prevExist=true&ttl=1"), put("/v2/keys/z", "value=x&ttl=0")] {
        let mut open = Vec::new();
        for server in &pair {
            let all = Asked::get("/v2/keys/?wait=true&recursive=true&stream=true");
            open.push(Open::new(&server.endpoint(), &all).await);
        }
        both(&pair, &ending, test).await;
        let mut seen = Vec::new();
        for one in open {
            let answer = one.until("\"action\":\"expire\"").await;
            seen.push(answer.lines.iter().map(|line| masked(line)).collect::<Vec<_>>());
        }
        assert_eq!(seen[0], seen[1], "{ending}");
        assert_eq!(seen[0].len(), 2, "one change and one end: {:?}", seen[0]);
    }
    both(&pair, &Asked::get("/v2/keys/?recursive=true"), test).await;
}
