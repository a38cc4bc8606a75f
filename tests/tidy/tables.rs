//! The agreed tables: rooms, directions, the rooms of foreign crates, and the exceptions with their reasons.

/// The rooms of `src/`.
pub const ROOMS: &[&str] = &[
    "api", "auth", "backup", "bbolt", "client", "config", "ctl", "daemon", "files", "join", "lease", "log",
    "member", "model", "offline", "peer", "pki", "raft", "store", "watch",
];

/// Which room may use which; `*` is all of them, `room::module` only that module.
pub const MAY_USE: &[(&str, &[&str])] = &[
    ("bin", &["daemon", "ctl"]),
    (
        "daemon",
        &[
            "member", "api", "auth", "backup", "config", "files", "join", "lease", "log", "model", "peer",
            "pki", "raft", "store", "watch",
        ],
    ),
    (
        "member",
        &[
            "api", "auth", "client", "config", "files", "join", "lease", "log", "model", "peer", "pki",
            "raft", "store", "watch",
        ],
    ),
    ("offline", &["api", "bbolt", "files", "join", "log", "member", "model", "raft", "store"]),
    ("backup", &["api", "files", "model", "offline", "raft", "store"]),
    ("api", &["raft", "watch", "lease", "auth", "store", "pki", "model"]),
    ("join", &["raft", "client", "peer", "pki", "files", "model"]),
    ("client", &["api::proto", "config", "pki"]),
    ("raft", &["store", "log", "peer", "model"]),
    ("watch", &["store", "model"]),
    ("lease", &["model"]),
    ("auth", &["model"]),
    ("peer", &["pki", "model"]),
    ("store", &["auth", "bbolt", "files", "model"]),
    ("log", &["files", "model"]),
    ("pki", &["files", "model"]),
    ("config", &["model"]),
    ("ctl", &["api::proto", "backup", "client", "config", "offline", "pki", "model"]),
    ("bbolt", &[]),
    ("files", &[]),
    ("model", &[]),
];

/// Foreign crates, the rooms that may name them, and what the others do instead.
pub const CRATES: &[(&str, &[&str], &str)] = &[
    ("openraft", &["raft"], "use model's words and raft::Node"),
    ("openraft_rt", &["raft"], "use tokio"),
    ("openraft_rt_tokio", &["raft"], "use tokio"),
    ("ring", &["pki", "peer", "auth"], "ask pki for keys"),
    ("x509_parser", &["pki", "auth"], "ask pki what stands in a certificate"),
    ("bcrypt", &["auth"], "ask auth about passwords"),
    ("p256", &["pki"], "ask pki about certificates"),
    ("p384", &["pki"], "ask pki about certificates"),
    ("p521", &["auth", "pki"], "ask auth about tokens, pki about certificates"),
    ("rsa", &["pki"], "ask pki for keys"),
    ("quinn", &["peer"], "use peer's frames and streams"),
    ("rcgen", &["pki"], "ask pki for an identity"),
    ("heed", &["store"], "use store's reads"),
    ("tonic", &["api", "client", "ctl"], "return a refusal; api/status.rs turns it into a code"),
    ("tonic_prost", &["api", "ctl"], "use model's words"),
    ("tonic_reflection", &["api"], "it is part of the faces"),
    ("axum", &["api", "ctl"], "it is part of the faces"),
    ("hickory_resolver", &["client"], "ask client for services"),
    ("opentelemetry", &["api"], "return what happened; api's spans describe calls"),
    ("opentelemetry_sdk", &["api"], "return what happened; api's spans describe calls"),
    ("opentelemetry_otlp", &["api"], "return what happened; api's spans describe calls"),
    ("pprof", &["api"], "profiles are asked for at /debug/pprof"),
    ("sd_notify", &["daemon"], "return what happened; daemon tells systemd"),
    ("tracing_journald", &["daemon"], "log through tracing; daemon chooses where it goes"),
    ("tracing_subscriber", &["daemon", "ctl"], "log through tracing; daemon chooses where it goes"),
    ("mimalloc", &["bin"], "the allocator is chosen by the binaries"),
];

const CLOCKS_AND_DICE: &[&str] = &["SystemTime", "Instant::now", "rand"];
const LOCAL: &[&str] =
    &["options", "Options", "inner", "Inner", "settings", "Settings", "config", "Config", "env"];
const WRITES: &[&str] = &["store.apply", "store.apply_membership", "store.apply_blank"];

const READS: &[&str] = &[
    "store.range",
    "store.page",
    "store.get",
    "store.read_txn",
    "store.events",
    "store.leases",
    "store.lease",
    "store.lease_keys",
    "store.hash",
    "store.hash_kv",
    "store.snapshot",
    "store.backup",
    "store.tree",
    "node.read_index",
];
const FRAMING: &[&str] = &["tonic", "http", "http_body", "Status::", "api::grpc", "api::http", "api::json"];

/// Rules that are expressed by an absence: rooms or modules, words that must not occur in them, and why.
pub const ABSENT: &[(&[&str], &[&str], &str)] = &[
    (
        &["model", "bbolt"],
        &["tokio", "async", "std::fs", "std::net"],
        "it does nothing to the world: a file is read and written by whoever opens it",
    ),
    (
        &["model", "store/apply", "store/tree"],
        CLOCKS_AND_DICE,
        "the leader stamps time and ids into the command",
    ),
    (
        &["store/apply", "store/tree"],
        LOCAL,
        "settings differ between members: decide before the command is proposed",
    ),
    (
        &["store/apply", "store/tree"],
        &["HashMap", "HashSet"],
        "their order differs between members: use a BTreeMap or a Vec",
    ),
    (&["store", "log"], &["tokio", "async"], "it is synchronous and runs on threads of its own"),
    (&["api", "watch", "lease", "auth"], WRITES, "only raft writes: propose a command"),
    (&["api"], READS, "read through api/reads, which asks for permission and knows what takes long"),
    (&["api/rpc"], FRAMING, "handlers give messages and refusals; framing is the faces'"),
    (
        &[
            "api", "auth", "backup", "bbolt", "client", "config", "join", "lease", "log", "member", "model",
            "offline", "peer", "pki", "raft", "store", "watch",
        ],
        &["process::exit", "process::abort"],
        "return the error: only daemon ends the process",
    ),
];

/// Files with unsafe code, and the reason.
pub const UNSAFE_FILES: &[(&str, &str)] = &[
    ("src/store/lmdb.rs", "heed opens an environment by a memory map, which another process could change"),
    ("src/daemon/sockets.rs", "sockets that systemd passes come as numbers, which nobody owns yet"),
];

/// Files of a room that still use each other in a circle, and why; a file that is in none any more is taken out.
pub const CIRCLES: &[(&[&str], &str)] = &[
    (&["src/api/server/authority.rs", "src/api/server/frames.rs"], "a frame is read for its authority"),
    (
        &[
            "src/api/server/connection.rs",
            "src/api/server/listen.rs",
            "src/api/server/mod.rs",
            "src/api/server/socket.rs",
        ],
        "the server owns its listeners and connections, which share its state",
    ),
    (
        &[
            "src/config/cli/diff.rs",
            "src/config/cli/from_etcd/command.rs",
            "src/config/cli/from_etcd/manifest.rs",
            "src/config/cli/from_etcd/mod.rs",
            "src/config/cli/from_etcd/shell.rs",
            "src/config/cli/from_etcd/unit.rs",
            "src/config/cli/from_etcd/yaml.rs",
            "src/config/cli/mod.rs",
            "src/config/cli/show.rs",
        ],
        "the folder dispatches to its commands, which use its answers",
    ),
];

/// Folders of the top level.
pub const ROOT_FOLDERS: &[&str] = &["src", "packaging", "config", "man", "tests", ".ci", ".cargo", ".config"];

/// Files of the top level.
pub const ROOT_FILES: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
    "rustfmt.toml",
    "clippy.toml",
    "deny.toml",
    "rust-toolchain.toml",
    ".gitignore",
    ".gitattributes",
];

/// A finding that is accepted as it is.
pub struct Exception {
    /// The rule's name, as its message begins.
    pub rule: &'static str,
    /// The file, or the folder with a closing `/`.
    pub path: &'static str,
    /// Part of the finding's text.
    pub what: &'static str,
    /// Why it is accepted; for the reader.
    #[allow(dead_code)]
    pub reason: &'static str,
}

/// Every exception to every rule.
pub const EXCEPTIONS: &[Exception] = &[Exception {
    rule: "absent",
    path: "src/api/reads/",
    what: "read through api/reads",
    reason: "it is the one way on which requests read",
}];
