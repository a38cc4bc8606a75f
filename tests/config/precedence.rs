//! Which source has priority, for every option and every pair of sources.

use kvd::config::options::{self, Kind, OptionSpec};
use kvd::config::{Place, Value};

use crate::world::World;

/// Three different values of an option, if its kind has so many, and the options that must be given with them.
fn three(spec: &OptionSpec) -> Option<[String; 3]> {
    let text = |a: &str, b: &str, c: &str| Some([a.to_string(), b.to_string(), c.to_string()]);
    match (spec.name, spec.kind) {
        ("heartbeat-interval", _) => text("90", "91", "92"),
        ("election-timeout", _) => text("2000", "2001", "2002"),
        ("auto-compaction-retention", _) => text("1", "2", "3"),
        ("auth-token", _) => None,
        ("log-rotation-config-json", _) => text(r#"{"maxsize":1}"#, r#"{"maxsize":2}"#, r#"{"maxsize":3}"#),
        ("bcrypt-cost" | "self-signed-cert-validity", _) => text("5", "6", "7"),
        ("cipher-suites", _) => {
            text("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
        }
        ("log-outputs", _) => text("stderr", "stdout", "/tmp/x.log"),
        ("join-peers", _) => text("a:1", "b:1", "c:1"),
        (_, Kind::Text | Kind::Path) => {
            text("one-of-three-values", "two-of-three-values", "three-of-three-values")
        }
        (_, Kind::List) => text("one", "two", "three"),
        (_, Kind::Number(_) | Kind::Signed) => text("11", "12", "13"),
        (_, Kind::Duration) => text("1s", "2s", "3s"),
        (_, Kind::Seconds | Kind::Millis) => text("1001", "1002", "1003"),
        (_, Kind::ClientUrls) => text("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"),
        (_, Kind::PeerUrls) => text("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"),
        (_, Kind::Origins) => text("http://a:1", "http://b:1", "http://c:1"),
        (_, Kind::Cluster) => text("a=http://a:1", "b=http://b:1", "c=http://c:1"),
        (_, Kind::Choice(choices)) if choices.len() > 2 => text(choices[0], choices[1], choices[2]),
        _ => None,
    }
}

/// Other options that an option needs to be valid.
fn company(spec: &OptionSpec) -> &'static [&'static str] {
    match spec.name {
        "listen-client-urls" => &["--advertise-client-urls=http://a:1"],
        "cert-file" => &["--key-file=k"],
        "key-file" => &["--cert-file=c"],
        "peer-cert-file" => &["--peer-key-file=k", "--peer-trusted-ca-file=t"],
        "peer-key-file" => &["--peer-cert-file=c", "--peer-trusted-ca-file=t"],
        "peer-trusted-ca-file" => &["--peer-cert-file=c", "--peer-key-file=k"],
        "peer-client-cert-file" => &[
            "--peer-client-key-file=k",
            "--peer-cert-file=c",
            "--peer-key-file=k",
            "--peer-trusted-ca-file=t",
        ],
        "peer-client-key-file" => &[
            "--peer-client-cert-file=k",
            "--peer-cert-file=c",
            "--peer-key-file=k",
            "--peer-trusted-ca-file=t",
        ],
        "discovery-endpoints" => &["--discovery-token=t"],
        "discovery-cert" => &["--discovery-key=k"],
        "discovery-key" => &["--discovery-cert=c"],
        "discovery-user" => &["--discovery-password=p"],
        "discovery-token" => &["--discovery-endpoints=http://a:1"],
        _ => &[],
    }
}

fn toml_of(spec: &OptionSpec, text: &str) -> String {
    let value =
        Value::parse(spec.kind, text).unwrap_or_else(|reason| panic!("{}={text}: {reason}", spec.name));
    match spec.key.rsplit_once('.') {
        Some((table, key)) => format!("[{table}]\n{key} = {}\n", value.to_toml(spec.kind)),
        None => format!("{} = {}\n", spec.key, value.to_toml(spec.kind)),
    }
}

#[test]
fn flag_over_environment_over_drop_in_over_file_over_default() {
    let mut tried = 0;
    for spec in options::all().filter(|spec| spec.acts()) {
        let Some([file, variable, flag]) = three(spec) else { continue };
        tried += 1;
        let base = World::default().args(company(spec));
        let with_file = base.clone().toml(&toml_of(spec, &file));
        let with_drop_in = with_file.clone().file("/etc/kv/cluster.toml.d/50-x.toml", &toml_of(spec, &flag));
        let with_variable = with_drop_in.clone().env(&spec.variable(), &variable);
        let with_flag = with_variable.clone().args(&[&format!("-{}={flag}", spec.name)]);
        let in_force = |world: &World| {
            let config = world.config();
            let setting = config.settings().get(spec.name).clone();
            (setting.value.to_text(spec.kind), setting.origin.place())
        };
        let canonical = |text: &str| Value::parse(spec.kind, text).expect("tried above").to_text(spec.kind);
        let (value, origin) = in_force(&with_file);
        assert_eq!(value, canonical(&file), "{}: file", spec.name);
        assert!(
            matches!(origin, Some(Place::File(place)) if place.path.ends_with("cluster.toml")),
            "{}",
            spec.name
        );
        let (value, origin) = in_force(&with_drop_in);
        assert_eq!(value, canonical(&flag), "{}: drop-in", spec.name);
        assert!(
            matches!(origin, Some(Place::File(place)) if place.path.ends_with("50-x.toml")),
            "{}",
            spec.name
        );
        let (value, origin) = in_force(&with_variable);
        assert_eq!(value, canonical(&variable), "{}: variable", spec.name);
        assert!(matches!(origin, Some(Place::Variable(_))), "{}", spec.name);
        let (value, origin) = in_force(&with_flag);
        assert_eq!(value, canonical(&flag), "{}: flag", spec.name);
        assert!(matches!(origin, Some(Place::Flag(_))), "{}", spec.name);
    }
    assert!(tried > 60, "only {tried} options were tried");
}

#[test]
fn sources_merge_option_by_option() {
    let config = World::default()
        .toml("name = \"file\"\nelection-timeout = 3000\n[feature-gates]\nInitialCorruptCheck = true\n")
        .env("ETCD_HEARTBEAT_INTERVAL", "200")
        .env("ETCD_FEATURE_GATES", "CompactHashCheck=true")
        .args(&["-name", "flag", "--experimental-initial-corrupt-check=false"])
        .config();
    assert_eq!(config.member.name, "flag");
    assert_eq!(config.raft.election_timeout.as_millis(), 3000);
    assert_eq!(config.raft.heartbeat_interval.as_millis(), 200);
    assert!(config.features.is_on("CompactHashCheck"));
    assert!(!config.features.is_on("InitialCorruptCheck"), "a later source wins gate by gate");
    assert!(config.features.is_on("FastLeaseKeepAlive"), "a beta gate is on by default");
}

#[test]
fn drop_ins_are_read_in_the_order_of_their_names() {
    let config = World::default()
        .file("/etc/kv/cluster.toml.d/20-b.toml", "name = \"b\"")
        .file("/etc/kv/cluster.toml.d/10-a.toml", "name = \"a\"\nmax-txn-ops = 7")
        .file("/etc/kv/cluster.toml.d/30-c.toml.bak", "name = \"c\"")
        .config();
    assert_eq!((config.member.name.as_str(), config.limits.max_txn_ops), ("b", 7));
}

#[test]
fn the_file_is_named_by_flag_then_by_variables() {
    let world = World::default()
        .file("/a.toml", "name = \"a\"")
        .file("/b.toml", "name = \"b\"")
        .file("/c.toml", "name = \"c\"")
        .toml("name = \"default-file\"");
    assert_eq!(world.config().member.name, "default-file");
    let etcd = world.env("ETCD_CONFIG_FILE", "/a.toml");
    assert_eq!(etcd.config().member.name, "a");
    let own = etcd.env("KVD_CONFIG_FILE", "/b.toml");
    assert_eq!(own.config().member.name, "b");
    assert_eq!(own.args(&["--config-file=/c.toml"]).config().member.name, "c");
}

#[test]
fn without_anything_it_is_a_member_of_its_own() {
    let config = World::default().config();
    assert_eq!(config.member.name, "default");
    assert_eq!(config.member.data_dir.to_str(), Some("default.etcd"));
    assert_eq!(config.addresses.listen_client_urls[0].as_str(), "http://localhost:2379");
    assert_eq!(config.addresses.listen_peer_urls[0].as_str(), "http://localhost:2380");
    assert_eq!(config.addresses.advertise_peer_urls[0].as_str(), "http://localhost:2380");
    assert_eq!(config.bootstrap_problems(), []);
    assert_eq!(config.storage.quota, Some(2_147_483_648));
}

#[test]
fn the_last_of_several_flags_wins_and_an_empty_variable_is_none() {
    let config =
        World::default().env("ETCD_DATA_DIR", "").args(&["-name=a", "--name", "b", "-name", "c"]).config();
    assert_eq!((config.member.name.as_str(), config.member.data_dir.to_str()), ("c", Some("c.etcd")));
}
