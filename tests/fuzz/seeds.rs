//! The first files of the corpora: valid inputs, for mutations to start from.

use bytes::Bytes;
use kvd::log::format::FIRST_FRAME;
use kvd::log::{Entry, Group, Log, Payload, Vote, encode_payload};
use kvd::model::{
    Alarm, AlarmKind, Caller, ClusterId, Command, Compare, CompareOp, CompareTarget, Delete, KeyRange, Lease,
    LogPosition, Member, MemberChange, MemberId, Op, OpReply, Proposal, Put, RangeQuery, Reply, Stamp,
    StateDigest, TreeCommand, Ttl, Txn, Version,
};
use kvd::raft::wire::{self, Answer, Ballot, Request, Route, WireError};
use kvd::store::{Options, Store};
use std::sync::Arc;

type Seeds = Vec<(&'static str, Vec<u8>)>;

/// A small store's files of etcd's backend, and their beginnings.
pub fn bbolt() -> Seeds {
    let (_dir, store) = filled();
    let pieces = store.backup().expect("a backup").map(|piece| piece.expect("the backup is read"));
    let whole: Vec<u8> = pieces.flatten().collect();
    let cut = whole[..whole.len() / 2].to_vec();
    vec![("small", whole), ("cut", cut)]
}

fn filled() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(dir.path(), Options::default()).expect("a store in an empty directory");
    for (index, command) in commands().into_iter().enumerate() {
        let position = LogPosition { term: 2, leader: 7, index: index as u64 };
        store.apply(position, &[proposal(Caller::Anonymous, command)]).expect("the commands are applied");
    }
    store.checkpoint().expect("a checkpoint");
    (dir, store)
}

/// A small store's snapshot, and its beginnings.
pub fn snapshot() -> Seeds {
    let (_dir, store) = filled();
    let whole = stream(&store);
    let cut = |length: usize| whole[..length.min(whole.len())].to_vec();
    let empty = tempfile::tempdir().expect("a temporary directory");
    let empty_store = Store::open(empty.path(), Options::default()).expect("a store in an empty directory");
    let nothing = stream(&empty_store);
    vec![("small", whole.clone()), ("empty", nothing), ("head", cut(24)), ("cut", cut(whole.len() / 2))]
}

fn stream(store: &Store) -> Vec<u8> {
    let pieces = store.snapshot().expect("a snapshot").map(|piece| piece.expect("the snapshot is read"));
    pieces.flatten().collect()
}

/// Some of everything a store holds.
fn commands() -> Vec<Command> {
    let put = |key: Bytes, value: Bytes, lease| Command::Put(Put { key, value, lease, ..Put::default() });
    vec![
        Command::LeaseGrant { id: 77, ttl: 60 },
        put("a".into(), "one".into(), 0),
        put("a".into(), "two".into(), 77),
        put(Bytes::from(vec![b'k'; 2000]), "a long key".into(), 77),
        put("zero\0inside".into(), Bytes::from(vec![0; 300]), 0),
        Command::Delete(Delete { range: KeyRange::single("zero\0inside"), prev_kv: false }),
        Command::Member(MemberChange::Add(member())),
        Command::AlarmRaise(Alarm { member: MemberId(7), kind: AlarmKind::NoSpace }),
        Command::ClusterVersion("3.7.0".into()),
        Command::Compact { revision: 2 },
        Command::Tree(TreeCommand::Set {
            path: "/a/b".into(),
            dir: false,
            value: "v".into(),
            ttl: Ttl { seconds: Some(9), refresh: false },
        }),
        Command::Tree(TreeCommand::Delete { path: "/a".into(), dir: false, recursive: true }),
        Command::Downgrade(Version::OWN.before()),
    ]
}

fn member() -> Member {
    Member {
        id: MemberId(7),
        name: "node01".into(),
        peer_urls: vec!["http://192.168.0.61:2380".into()],
        client_urls: vec!["http://192.168.0.61:2379".into()],
        learner: false,
        pending: false,
    }
}

/// Requests of the JSON gateway.
pub fn json() -> Seeds {
    let seed = |name, text: &str| (name, text.as_bytes().to_vec());
    vec![
        seed("put", r#"{"key":"Zm9v","value":"YmFy","lease":"12","prevKv":true}"#),
        seed("range", r#"{"key":"AA","range_end":"AA==","limit":1e1,"sort_order":"DESCEND","sortTarget":3}"#),
        seed(
            "txn",
            r#"{"compare":[{"key":"YQ==","target":"VERSION","result":3,"version":0}],
                "success":[{"request_put":{"key":"YQ==","value":"-_-_"}},{"requestTxn":{"failure":[{}]}}],"x":[1,{"y":null}]}"#,
        ),
        seed("watch", r#"{"create_request":{"key":"Zm9v","start_revision":-1,"filters":["NOPUT",1]}} {}"#),
        seed("member", r#"{"peerURLs":["http://a:1","\u00e4\ud83d\ude00\n"],"isLearner":false}"#),
        seed("odd", r#"{"key":null,"rev\u0069sion":0.50e1,"limit":-0,"\ud800":1}"#),
    ]
}

/// A client's first frames: requests with headers of every form, and control frames; and the server's.
pub fn http2() -> Seeds {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = payload.len() as u8;
        [&[0, 0, length, kind, flags, 0, 0, 0, stream][..], payload].concat()
    };
    let hello =
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[0, 3, 0, 0, 0, 100])].concat();
    let with = |frames: &[Vec<u8>]| [hello.clone(), frames.concat()].concat();
    let literal = frame(1, 4, 1, b"\x83\x86\x41\x0bhttp://a:24\x44\x02/x");
    let indexed = frame(1, 4, 3, b"\x83\x86\xbe\x44\x02/x");
    let split = [frame(1, 0, 5, b"\x83\x86\x01"), frame(9, 4, 5, b"\x04a:24")].concat();
    let padded = frame(1, 4 | 8 | 32, 7, b"\x02\x00\x00\x00\x00\x10\x83\x86\x00\x00");
    let control = [frame(6, 0, 0, &[0; 8]), frame(8, 0, 0, &[0, 0, 1, 0]), frame(2, 0, 1, &[0; 5])].concat();
    let reset = frame(3, 0, 1, &[0, 0, 0, 8]);
    vec![
        ("requests", with(&[literal, frame(0, 1, 1, b"message"), indexed])),
        ("continued", with(&[split])),
        ("padded", with(&[padded, reset.clone()])),
        ("control", with(&[control])),
        ("refusals", [reset, frame(7, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 11])].concat()),
        ("http1", b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
    ]
}

/// The bytes of streams between members.
pub fn channel() -> Seeds {
    let greeting = [3, 0, 7, 0xac, 2, 8, 9, 10, 0, 0, 0, 0, 5, b'0', b'.', b'1', b'.', b'0'];
    let framed = [&(greeting.len() as u32).to_le_bytes()[..], &greeting].concat();
    vec![
        ("greeting", [&[0][..], &greeting].concat()),
        ("framed", framed),
        ("answer", b"\x00fine".to_vec()),
        ("rejected", vec![1, 2, 3]),
    ]
}

/// Texts with the form of tokens.
pub fn token() -> Seeds {
    let head = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    let claims = "eyJ1c2VybmFtZSI6ImFubiIsInJldmlzaW9uIjoxLCJleHAiOjE4MDAwMDAzMDB9";
    vec![
        ("simple", b"AQAAAAAAAAAHAAAAAAAAAAEAAAAAAAAAA2Fubg.17".to_vec()),
        ("web", format!("{head}.{claims}.c2lnbmF0dXJl").into_bytes()),
        ("none", format!("eyJhbGciOiJub25lIn0.{claims}.").into_bytes()),
    ]
}

/// Entries, votes, a truncation: the content of the log's file after its header.
pub fn log() -> Seeds {
    let (disk, options, name) = crate::entries::new_log();
    let log = Log::open(Arc::new(disk.clone()), options).expect("the log opens");
    let done = || Box::new(|result: Result<(), _>| result.expect("it is written"));
    let entry = |index, payload| Entry { position: LogPosition { term: 2, leader: 7, index }, payload };
    log.save_vote(Vote { term: 2, voted_for: 7, committed: true }, done()).expect("a vote");
    log.append(vec![entry(0, Payload::Blank)], done()).expect("a blank entry");
    for (index, payload) in payloads().into_iter().enumerate() {
        log.append(vec![entry(1 + index as u64, payload)], done()).expect("an entry");
    }
    log.truncate_after(Some(LogPosition { term: 2, leader: 7, index: 2 })).expect("a truncation");
    log.set_committed(LogPosition { term: 2, leader: 7, index: 1 });
    log.append(vec![entry(3, Payload::Blank)], done()).expect("an entry");
    let frames = disk.with_file(&name, |file| file[FIRST_FRAME as usize..].to_vec()).expect("the log's file");
    let end = frames.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    let whole = frames[..end].to_vec();
    vec![("cut", whole[..end / 2].to_vec()), ("frames", whole), ("nothing", Vec::new())]
}

/// One payload of each kind.
fn payloads() -> Vec<Payload> {
    let digest = Some(StateDigest { index: 2, scheme: 1, value: [7; 32] });
    let proposals = commands().into_iter().map(|command| proposal(user(), command)).collect();
    vec![
        Payload::Blank,
        Payload::Group(Arc::new(Group { digest, proposals })),
        Payload::Group(Arc::new(vec![proposal(Caller::Anonymous, Command::Txn(txn()))].into())),
        Payload::Membership { raft: Bytes::from_static(b"\x01configuration"), change: None },
    ]
}

fn proposal(caller: Caller, command: Command) -> Proposal {
    Proposal { stamp: Stamp { time_ms: 1_700_000_000_000, tenant: 3 }, caller, command }
}

fn user() -> Caller {
    Caller::user("alice", 9)
}

/// A transaction with another one inside.
fn txn() -> Txn {
    let compare =
        Compare { range: KeyRange::single("a"), op: CompareOp::Greater, target: CompareTarget::Version(0) };
    let put = Op::Put(Put { key: "a".into(), value: "b".into(), ..Put::default() });
    let inner = Txn { compares: Vec::new(), success: vec![put.clone()], failure: Vec::new() };
    let get = Op::Range(RangeQuery::current(KeyRange::all()));
    Txn { compares: vec![compare], success: vec![put, Op::Txn(inner)], failure: vec![get] }
}

/// A payload of nested transactions, written by hand because encoding it would use as much stack as decoding.
pub fn nested_payload(depth: usize) -> Vec<u8> {
    let encoded = |txn: Txn| {
        let mut bytes = Vec::new();
        let group = Payload::Group(Arc::new(vec![proposal(Caller::Anonymous, Command::Txn(txn))].into()));
        encode_payload(&group, &mut bytes).expect("it can be encoded");
        bytes
    };
    // No compares; one success, which is a transaction (operation 3): the inner one; no failures.
    let (before, behind) = ([0, 1, 3], [0]);
    let flat = encoded(Txn::default());
    let (start, empty) = flat.split_at(flat.len() - 3);
    let nested = |depth| [start, &before.repeat(depth), empty, &behind.repeat(depth)].concat();
    let once = Txn { success: vec![Op::Txn(Txn::default())], ..Txn::default() };
    assert_eq!(nested(1), encoded(once), "transactions are encoded in another way");
    nested(depth)
}

/// An answer with nested replies of transactions, also written by hand.
pub fn nested_answer(depth: usize) -> Vec<u8> {
    let route = Route { cluster: ClusterId(5), from: MemberId(7), to: MemberId(8) };
    let encoded = |replies: Vec<OpReply>| {
        let reply = Reply::Op(OpReply::Txn { revision: 0, succeeded: false, replies });
        let outcomes = vec![Ok(reply)];
        wire::encode(route, &Answer::Proposed { outcomes, index: 0 }).expect("it can be encoded").to_vec()
    };
    let flat = encoded(Vec::new());
    // The last byte is the index; before it is the innermost reply: kind 3, revision, branch, no replies.
    let (start, rest) = flat.split_at(flat.len() - 5);
    let nested = |depth| [start, &[3, 0, 0, 1].repeat(depth), rest].concat();
    let once = encoded(vec![OpReply::Txn { revision: 0, succeeded: false, replies: Vec::new() }]);
    assert_eq!(nested(1), once, "replies are encoded in another way");
    nested(depth)
}

/// Payloads, each by itself.
pub fn payload() -> Seeds {
    let names = ["blank", "group", "txn", "membership"];
    let encoded = payloads().into_iter().map(|payload| {
        let mut bytes = Vec::new();
        encode_payload(&payload, &mut bytes).expect("it can be encoded");
        bytes
    });
    names.into_iter().zip(encoded).collect()
}

/// Requests and answers between members.
pub fn message() -> Seeds {
    let route = Route { cluster: ClusterId(5), from: MemberId(7), to: MemberId(8) };
    let position = LogPosition { term: 2, leader: 7, index: 3 };
    let vote = Vote { term: 2, voted_for: 7, committed: true };
    let ballot = Ballot { vote, last: Some(position), transfer: false };
    let entries = payloads().into_iter().map(|payload| (position, payload)).collect();
    let requests = [
        ("append", Request::Append { vote, previous: Some(position), entries, committed: Some(position) }),
        ("vote", Request::Vote(ballot)),
        ("transfer", Request::Transfer { from: vote, to: 8, last: None }),
        (
            "snapshot",
            Request::Snapshot { vote, position, config: Some((position, Bytes::from_static(b"\x01"))) },
        ),
        ("propose", Request::Propose(commands().into_iter().map(|command| (user(), command)).collect())),
        ("read-index", Request::ReadIndex),
    ];
    let answers = [
        ("answer-voted", Answer::Voted { vote, granted: true, last: None }),
        ("answer-failed", Answer::Failed("no".into())),
        ("answer-index", Answer::ReadIndex(300)),
    ];
    let bytes = |result: Result<Bytes, WireError>| result.expect("it can be encoded").to_vec();
    let requests = requests.iter().map(|(name, request)| (*name, bytes(wire::encode(route, request))));
    requests.chain(answers.iter().map(|(name, answer)| (*name, bytes(wire::encode(route, answer))))).collect()
}

/// One of each kind of row.
pub fn tables() -> Seeds {
    let postcard = |bytes: Result<Vec<u8>, postcard::Error>| bytes.expect("it can be encoded");
    let lease = Lease { id: 77, ttl: 60, remaining_ms: Some(57_000) };
    vec![
        ("version", b"kvd-store\0\0\0\x01".to_vec()),
        ("record-deleted", vec![0]),
        ("record-inline", b"\x01\xac\x02\x01\0value".to_vec()),
        ("record-chunked", b"\x02\xac\x02\x01\0\x80\x80\x40".to_vec()),
        ("current", b"\xac\x02\0\x01\xac\x02\x01\0value".to_vec()),
        ("history", b"\x01some/key".to_vec()),
        ("old", b"some/key\0\xffx\0\0\0\0\0\0\0\0\x01\x2c\0\0\0\0".to_vec()),
        ("old-marker", [&[b'k'; 900][..], b"\0\x01"].concat()),
        ("attached", b"\0\0\0\0\0\0\0\x4d\0some/key".to_vec()),
        ("lease", postcard(postcard::to_allocvec(&lease))),
        ("member", postcard(postcard::to_allocvec(&member()))),
    ]
}

/// Configurations, good and bad.
pub fn toml() -> Seeds {
    let texts = [
        (
            "single",
            "name = \"node01\"\ndata-dir = \"/var/lib/kv\"\nlisten-client-urls = \"http://127.0.0.1:2379\"\n",
        ),
        (
            "three",
            "name = 'node01'\ninitial-cluster-state = \"new\"\ninitial-cluster-token = \"a\"\n\
             listen-peer-urls = [\"http://10.0.0.1:2380\"]\ninitial-advertise-peer-urls = \"http://10.0.0.1:2380\"\n\
             [initial-cluster]\nnode01 = \"http://10.0.0.1:2380\"\nnode02 = \"http://10.0.0.2:2380\"\n\
             node03 = [\"https://10.0.0.3:2380\", \"quic://[fd00::3]:2380\"]\n",
        ),
        (
            "flat",
            "initial-cluster = \"a=http://10.0.0.1:2380,b=http://10.0.0.2:2380\"\nheartbeat-interval = 100\n",
        ),
        (
            "durations",
            "heartbeat-interval = \"100ms\"\nelection-timeout = \"1.5s\"\nauto-compaction-retention = \"1h\"\n",
        ),
        (
            "security",
            "[client-transport-security]\ncert-file = \"/a\"\nkey-file = \"/b\"\nclient-cert-auth = true\n\
             [peer-transport-security]\nauto-tls = true\n",
        ),
        ("join", "initial-cluster-state = \"existing\"\n[join]\nendpoints = [\"https://10.0.0.1:2379\"]\n"),
        ("unknown", "nmae = \"x\"\n[cluster]\nx = 1\n"),
        ("types", "name = 1\nmax-txn-ops = \"many\"\nquota-backend-bytes = 1e9\nlisten-client-urls = true\n"),
        ("broken", "name = \"x\nlisten-client-urls = [\n[[a]]\n[a.b]\na.b.c = 1\n"),
        ("twice", "name = \"a\"\nname = \"b\"\n"),
        ("odd", "\u{feff}name = \"\"\"\n\u{e9}\\u00e9\\\n  \"\"\"\n'' = 1979-05-27T07:32:00Z\n"),
    ];
    texts.map(|(name, text)| (name, text.as_bytes().to_vec())).to_vec()
}

/// URLs and durations, good and bad.
pub fn url() -> Seeds {
    let texts = [
        ("http", "http://127.0.0.1:2379"),
        ("https", "https://node01.example.com:2379"),
        ("quic", "quic://[fe80::1%25eth0]:2380"),
        ("six", "http://[::]:2379"),
        ("unix", "unix:///run/kv/kvd.sock"),
        ("unixs", "unixs://localhost:0"),
        ("path", "http://127.0.0.1:2379/path?query#fragment"),
        ("user", "http://user:secret@host:2379"),
        ("port", "http://host:65536"),
        ("upper", " HTTP://HOST:02379 "),
        ("duration", "1h30m0.5s"),
        ("fractions", "-1.000000001h.5us3\u{b5}s4\u{3bc}s"),
        ("overflow", "9223372036854775807ns9999999h"),
    ];
    texts.map(|(name, text)| (name, text.as_bytes().to_vec())).to_vec()
}

/// Chains that Go has judged, the CA first, and a revocation list.
pub fn certificate() -> Seeds {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let table = include_str!("../golden/pki/go.txt");
    let all: Vec<_> = CertificateDer::pem_slice_iter(table.as_bytes()).map(|der| der.expect("PEM")).collect();
    let chain = |name: &str| {
        let case = table.split("\n\n").find(|case| case.starts_with(&format!("case {name}\n")));
        let numbers = case.expect("a case").lines().filter_map(|line| {
            line.strip_prefix("root ").or(line.strip_prefix("shown "))?.parse::<usize>().ok()
        });
        numbers.flat_map(|number| all[number - 1].to_vec()).collect::<Vec<u8>>()
    };
    vec![
        ("chain", chain("chain with its root")),
        ("crossed", chain("cross-signed, the old CA is trusted")),
        ("constraints", chain("constraints: URI with a user and a port")),
        ("addresses", chain("constraints: address excluded")),
        ("policies", chain("policies demanded and there")),
        ("p521", chain("key P-521, client")),
        ("ed25519", chain("CA's key Ed25519")),
        ("pss", chain("signature RSA PSS SHA-256")),
        ("usages", chain("usage unknown of the CA between, client")),
        ("list", revocations()),
    ]
}

fn revocations() -> Vec<u8> {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod,
        KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
    };
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let issuer = Issuer::new(params, KeyPair::generate().expect("a key"));
    let revoked = |number: u64| RevokedCertParams {
        serial_number: SerialNumber::from(number),
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: Some(date_time_ymd(2025, 1, 1)),
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2026, 2, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked(5), revoked(128)],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&issuer).expect("signed").der().to_vec()
}
