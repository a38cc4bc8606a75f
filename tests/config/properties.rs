//! Properties that hold for any input. Inputs are drawn from a seed that a failure prints; `KVD_TEST_SEED=N` replays
//! it.

use std::path::{Path, PathBuf};

use kvd::config::cli::{clear_toml, convert, text_of};
use kvd::config::options::{self, Kind, OptionSpec};
use kvd::config::source::{read_environment, read_flags, read_toml};
use kvd::config::{Url, UrlUse, Value, parse_duration};

use crate::world::World;

/// A small generator (SplitMix64): enough for drawing inputs, and the same on every machine.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

fn seed() -> u64 {
    let given = std::env::var("KVD_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        now.as_nanos() as u64
    })
}

fn replay(seed: u64, what: &str) -> String {
    format!("{what}\nreplay: KVD_TEST_SEED={seed} cargo test --test config properties")
}

/// A valid value of an option, in the form of a flag.
fn some_value(draw: &mut Draw, spec: &OptionSpec) -> String {
    let odd = ["x", "a b", "\"quoted\"", "back\\slash", "tab\tend", "umlaut-ä", "#hash", "[x]", "'"];
    match (spec.name, spec.kind) {
        ("name", _) => draw.pick(&["n", "node-1", "a.b", "ü", "with space", "q\"q"]).to_string(),
        ("auto-compaction-retention", _) => draw.pick(&["0", "1", "24"]).to_string(),
        ("auth-token", _) => {
            draw.pick(&["simple", "jwt,pub-key=a,priv-key=b,sign-method=RS256,ttl=10m"]).to_string()
        }
        ("log-rotation-config-json", _) => draw.pick(&["{}", r#"{"maxsize":5,"compress":true}"#]).to_string(),
        ("log-outputs", _) => draw.pick(&["default", "stderr,stdout", "/var/log/a b.log"]).to_string(),
        ("cipher-suites", _) => draw.pick(&["", "TLS_AES_128_GCM_SHA256"]).to_string(),
        ("join-peers", _) => draw.pick(&["", "a:1,b:2"]).to_string(),
        ("heartbeat-interval", _) => draw.pick(&["1", "100", "99ms", "100500us"]).to_string(),
        ("election-timeout", _) => draw.pick(&["1000", "5s", "50000"]).to_string(),
        (_, Kind::Text | Kind::Path | Kind::Anything) => draw.pick(&odd).to_string(),
        (_, Kind::Bool) => draw.pick(&["true", "false"]).to_string(),
        (_, Kind::Number(max)) => (draw.next() % max.max(1)).to_string(),
        (_, Kind::Signed) => (draw.next() as i64).to_string(),
        (_, Kind::Duration) => draw.pick(&["0", "1ns", "1h2m3.004s", "15us", "2540400h"]).to_string(),
        (_, Kind::Millis | Kind::Seconds) => draw.pick(&["1", "77", "1h", "1500ms"]).to_string(),
        (_, Kind::ClientUrls) => {
            draw.pick(&["http://127.0.0.1:1", "http://[::1]:2,http://127.0.0.1:2"]).to_string()
        }
        (_, Kind::PeerUrls) => {
            draw.pick(&["http://127.0.0.1:1", "quic://[::1]:2,https://127.0.0.1:2"]).to_string()
        }
        (_, Kind::List) => draw.pick(&["", "a", "a,b c", "\"x\",y"]).to_string(),
        (_, Kind::Origins) => draw.pick(&["*", "", "http://a:1"]).to_string(),
        (_, Kind::Choice(choices)) => draw.pick(choices).to_string(),
        (_, Kind::Cluster) => draw
            .pick(&["a=http://a:1", "n=http://127.0.0.1:1,n=http://127.0.0.1:2,q\"=http://b:1"])
            .to_string(),
        (_, Kind::Gates) => {
            draw.pick(&["AllAlpha=true,LeaseCheckpoint=true", "PriorityRequest=t"]).to_string()
        }
    }
}

#[test]
fn a_configuration_written_as_toml_is_read_back_as_the_same() {
    let seed = seed();
    let mut draw = Draw(seed);
    let mut compared = 0;
    for _ in 0..200 {
        let specs: Vec<&OptionSpec> = options::all().filter(|spec| spec.acts()).collect();
        let mut world = World::default();
        for _ in 0..draw.below(8) {
            let spec = draw.pick(&specs);
            let value = some_value(&mut draw, spec);
            world = world.args(&[&format!("--{}={value}", spec.name)]);
        }
        let Ok((config, _)) = world.read().into_result() else { continue };
        compared += 1;
        let toml = clear_toml(&config);
        let again =
            World::default().file("/x.toml", &toml).args(&["--config-file=/x.toml"]).read().into_result();
        let again = match again {
            Ok((again, _)) => again,
            Err(findings) => {
                panic!("{}", replay(seed, &format!("{:?}\n{toml}\n{}", world.arguments, text_of(&findings))))
            }
        };
        assert!(again == config, "{}", replay(seed, &format!("{:?}\n{toml}", world.arguments)));
    }
    assert!(compared > 30, "{}", replay(seed, &format!("only {compared} configurations were valid")));
}

#[test]
fn values_are_read_back_from_their_own_text_and_toml() {
    let seed = seed();
    let mut draw = Draw(seed);
    for spec in options::all().filter(|spec| spec.acts()) {
        for _ in 0..20 {
            let text = some_value(&mut draw, spec);
            let Ok(value) = Value::parse(spec.kind, &text) else { panic!("{}", replay(seed, spec.name)) };
            assert_eq!(
                Value::parse(spec.kind, &value.to_text(spec.kind)).as_ref(),
                Ok(&value),
                "{}",
                replay(seed, spec.name)
            );
        }
    }
}

/// Pieces that the readers treat specially, combined at random.
const PIECES: [&str; 42] = [
    "name",
    "=",
    "\"",
    "'",
    "[",
    "]",
    "[[",
    "{",
    "}",
    ",",
    ".",
    "\n",
    "\r\n",
    "\t",
    " ",
    "#",
    "-",
    "--",
    ":",
    "//",
    "http",
    "1",
    "0x",
    "true",
    "initial-cluster",
    "cluster-secret",
    "feature-gates",
    "client-transport-security",
    "é",
    "\u{0}",
    "\u{feff}",
    "\\",
    "1979-05-27",
    "1e9",
    "inf",
    "&a",
    "*a",
    "|",
    "%",
    "heartbeat-interval",
    "ETCD_NAME=",
    "$",
];

#[test]
fn no_text_makes_a_reader_panic() {
    let seed = seed();
    let mut draw = Draw(seed);
    for _ in 0..200 {
        let mut text = String::new();
        for _ in 0..draw.below(24) {
            text.push_str(draw.pick::<&str>(&PIECES));
        }
        let toml = read_toml(PathBuf::from("/x"), &text);
        let _ = text_of(&toml.diagnostics);
        let _ = convert(Path::new("/x"), &text, &World::default());
        let _ = Url::parse(&text, UrlUse::Client);
        let _ = Url::parse(&text, UrlUse::Peer);
        let _ = parse_duration(&text);
        let arguments: Vec<String> = text.split(' ').map(str::to_string).collect();
        let _ = text_of(&read_flags(&arguments).diagnostics);
        let variables = [(format!("ETCD_{text}"), text.clone()), ("ETCD_NAME".to_string(), text.clone())];
        let _ = text_of(&read_environment(&variables).diagnostics);
        let _ = World::default()
            .toml(&text)
            .args(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
            .invoke();
        for spec in options::all() {
            let _ = Value::parse(spec.kind, &text);
        }
    }
}

#[test]
fn a_secret_is_never_shown() {
    let secret = "correct-horse-battery";
    let file = format!("cluster-secret = \"{secret}\"\n");
    let worlds = [
        World::default().toml(&file),
        World::default().toml(&format!("cluster-secret = \"{secret}\n")),
        World::default().toml(&format!("cluster-secret = [\"{secret}\"]\n")),
        World::default().toml(&format!("{file}{file}")),
        World::default().toml(&format!("{file}cluster-secret-file = \"/x\"\n")),
        World::default().toml(&format!("cluster-secret = [\n\"{secret}\"\n]\n")),
        World::default().toml(&format!("cluster-secret = \"\"\"\n{secret}\n")),
        World::default().toml(&format!("cluster-secret \"{secret}\"\n")),
        World::default().toml(&format!("clustersecret = \"{secret}\"\n")),
        World::default().toml(&format!(
            "discovery-config = {{ client = {{ auth = {{ password = \"{secret}\", nope = 1 }} }} }}\n"
        )),
        World::default().args(&[&format!("--cluster-secert={secret}")]),
        World::default().env("KVD_CLUSTER_SECERT", secret),
        World::default().env("KVD_CLUSTER_SECRET", secret),
        World::default().env("KVD_CLUSTER_SECRET", secret).env("KVD_CLUSTER_SECRET_FILE", "/x"),
        World::default().args(&[&format!("--cluster-secret={secret}"), "--cluster-secret-file=/x"]),
        World::default().args(&["--cluster-secret", secret]),
        World::default()
            .toml(&format!("[discovery-config.client.auth]\npassword = \"{secret}\"\nnope = 1\n")),
    ];
    for world in worlds {
        for command in [
            &["check"][..],
            &["check", "--json"],
            &["config", "show", "--origin"],
            &["config", "show", "--json"],
            &["config", "diff"],
            &[],
        ] {
            let mut now = world.clone();
            now.arguments =
                command.iter().map(|word| word.to_string()).chain(world.arguments.clone()).collect();
            let answer = now.invoke();
            let told = format!("{}{}", answer.out, answer.err);
            assert!(!told.contains(secret), "{command:?} {world:?}\n{told}");
        }
        if let Some(config) = world.read().config {
            assert!(!format!("{:?}", config.peer_tls.cluster_secret).contains(secret));
            assert!(!format!("{config:?}").contains(secret), "Debug of a Config shows a secret");
        }
    }
}
