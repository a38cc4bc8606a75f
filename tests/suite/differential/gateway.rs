//! The JSON gateway beside a real etcd's: every method with good and bad bodies; status, headers and body must be equal.
//!
//! Allowed differences, which are masked: ids of cluster and member, terms, sizes, hashes and indexes, ports in URLs, tokens,
//! and what `protojson` varies from one build to the next so that nobody relies on it: spaces in JSON, and the kind of
//! space in its errors. Three differences are kvd's own and are not asked about here: a stream whose requests are no JSON
//! ends with the error, range streams have a path, and a watch with a wrong token is refused as a whole.

pub mod client;
mod steps;

use client::{Answer, ask};
use serde_json::Value;
use steps::{Step, steps};

use crate::harness::{Program, Server, Setup, heavy, reference, subject};

/// A server and what its answers gave for later requests.
struct Side {
    server: Server,
    token: String,
    learner: String,
}

impl Side {
    async fn of(program: &Program, flags: &[&str]) -> Side {
        let setup = flags.iter().fold(Setup::of(program), |setup, flag| setup.arg(*flag));
        let server = setup.start().await;
        Side { server, token: String::new(), learner: String::new() }
    }

    /// What the server answers, with everything masked that may differ.
    async fn run(&mut self, step: &Step<'_>) -> String {
        let fill = |text: &str| text.replace("$token", &self.token).replace("$learner", &self.learner);
        let (headers, body) = (fill(&step.headers), fill(step.body));
        let what = (step.method, step.path);
        let answer = ask(&self.server.endpoint(), what, &headers, &body, step.lines).await;
        for line in &answer.lines {
            if let Ok(value) = serde_json::from_str::<Value>(line) {
                let text = |value: &Value| value.as_str().map(str::to_owned);
                if let Some(token) = value.get("token").and_then(text) {
                    self.token = token;
                }
                if let Some(id) = value.pointer("/member/ID").and_then(text) {
                    self.learner = id;
                }
            }
        }
        let is_chunked = answer.headers.contains_key("transfer-encoding");
        // Otherwise that is up to the library.
        let framed =
            if headers.contains("TE: ") { format!("chunked: {is_chunked}\n") } else { String::new() };
        shown(&answer) + &framed
    }
}

fn shown(answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.status);
    for name in ["content-type", "grpc-metadata-content-type", "www-authenticate", "allow", "trailer"] {
        if let Some(value) = answer.headers.get(name) {
            text += &format!("{name}: {value}\n");
        }
    }
    if !answer.trailers.is_empty() {
        text += &format!("trailers: {}\n", answer.trailers);
    }
    for line in &answer.lines {
        match serde_json::from_str::<Value>(line) {
            Ok(mut value) => {
                mask(&mut value);
                text += &format!("{value}\n");
            }
            Err(_) => text += &format!("{line:?}\n"),
        }
    }
    text
}

/// Hides what may differ.
fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let differs = matches!(
                    &name[..],
                    "cluster_id"
                        | "member_id"
                        | "memberID"
                        | "raft_term"
                        | "leader"
                        | "raftTerm"
                        | "raftIndex"
                        | "raftAppliedIndex"
                        | "dbSize"
                        | "dbSizeInUse"
                        | "hash"
                        | "token"
                        | "remaining_bytes"
                        | "blob"
                );
                // Chosen ids are long, those of the test short.
                let chosen = name == "ID" && value.as_str().is_some_and(|id| id.len() > 12);
                if differs || chosen {
                    *value = Value::String("…".into());
                } else {
                    mask(value);
                }
                // Their order is that of chosen ids, or of moments.
                if let ("members" | "leases", Value::Array(values)) = (&name[..], value) {
                    values.sort_by_key(Value::to_string);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::String(text) => {
            *text = text.replace('\u{a0}', " ");
            // What etcd's gateway says of a deadline depends on which of its two ends notices first.
            if text == "stream terminated by RST_STREAM with error code: CANCEL" {
                *text = "context deadline exceeded".into();
            }
            if let Some((begin, _)) = text.split_once("127.0.0.1:") {
                *text = format!("{begin}127.0.0.1:…");
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differential_json_requests_get_equal_answers() {
    let test = "differential_json_requests_get_equal_answers";
    let Some(reference) = reference(test).filter(|reference| reference.level() >= (3, 7)) else { return };
    let _turn = heavy().await;
    let flags = ["--bcrypt-cost=4"];
    let (mut ours, mut theirs) = (Side::of(&subject(), &flags).await, Side::of(&reference, &flags).await);
    let mut differences = Vec::new();
    let steps = steps();
    for step in &steps {
        let (ours, theirs) = (ours.run(step).await, theirs.run(step).await);
        if ours != theirs {
            let Step { method, path, headers, body, .. } = step;
            differences.push(format!("{method} {path} {headers:?} {body:?}\nkvd:  {ours}\netcd: {theirs}"));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    let paths: std::collections::BTreeSet<&str> = steps.iter().map(|step| step.path).collect();
    for rule in kvd::api::rules::RULES {
        // The one path that etcd does not have.
        let asked = rule.json.iter().all(|path| *path == "/v3/kv/rangestream" || paths.contains(path));
        assert!(asked, "no step asks {}", rule.path);
    }
}

/// The filters before the gateway: status and headers; the text of the refusal is kvd's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differential_json_requests_pass_the_same_filters() {
    let test = "differential_json_requests_pass_the_same_filters";
    let Some(reference) = reference(test).filter(|reference| reference.level() >= (3, 7)) else { return };
    let _turn = heavy().await;
    let body = r#"{"key":"Zm9v"}"#;
    for flags in [
        &["--cors=http://page:80,http://other:80", "--host-whitelist=localhost,a.example"][..],
        &["--cors=*"],
        &["--enable-grpc-gateway=false"],
    ] {
        let (ours, theirs) = (Side::of(&subject(), flags).await, Side::of(&reference, flags).await);
        for method in ["POST", "GET", "OPTIONS"] {
            for path in ["/v3/kv/range", "/v3beta/kv/range", "/v3/none", "/version", "/debug/vars"] {
                for headers in [
                    "",
                    "Host: a.example:99\r\n",
                    "Host: evil\r\n",
                    "Origin: http://page:80\r\n",
                    "Origin: http://evil\r\n",
                    "Host: evil\r\nOrigin: http://page:80\r\n",
                ] {
                    let mut seen = Vec::new();
                    for side in [&ours, &theirs] {
                        let answer = ask(&side.server.endpoint(), (method, path), headers, body, None).await;
                        let names = [
                            "access-control-allow-origin",
                            "access-control-allow-methods",
                            "access-control-allow-headers",
                            "content-type",
                        ];
                        let found = names.map(|name| answer.headers.get(name).cloned());
                        seen.push((answer.status, found));
                    }
                    let is_foreign = method == "POST"
                        && headers.contains("evil")
                        && headers.contains("Origin")
                        && flags[0].contains("page");
                    if is_foreign && seen[1].0 != 421 && !headers.contains("page") {
                        // etcd does what a form of any page says.
                        assert_eq!(seen[0].0, 403, "{flags:?} {method} {path} {headers:?}");
                        continue;
                    }
                    assert_eq!(seen[0], seen[1], "{flags:?} {method} {path} {headers:?}");
                }
            }
        }
    }
}
