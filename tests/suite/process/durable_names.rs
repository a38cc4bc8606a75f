//! A power failure after the first acknowledged write: the bytes were flushed, and so were the names of their files, up
//! to the directory that existed before. Checked by the daemon's system calls.

use crate::harness::{Server, Setup, free_port, strace, subject, until};
use kvd::api::proto::etcdserverpb::PutRequest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The system calls that make names, and those that make them durable.
const CALLS: &str = "trace=mkdir,mkdirat,openat,rename,renameat,renameat2,fsync,fdatasync";

/// Names that were made, and the ones among them that a power failure would lose.
#[derive(Default)]
struct Names {
    made: BTreeSet<PathBuf>,
    volatile: BTreeSet<PathBuf>,
}

impl Names {
    fn read(trace: &str) -> Names {
        let mut names = Names::default();
        let mut unfinished = BTreeMap::new();
        for line in trace.lines() {
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let call = call.trim_start();
            if let Some(begun) = call.strip_suffix("<unfinished ...>") {
                unfinished.insert(thread, begun.to_owned());
            } else if let Some((_, rest)) = call.strip_prefix("<... ").and_then(|call| call.split_once('>')) {
                let begun = unfinished.remove(thread).unwrap_or_default();
                names.call(&format!("{begun}{rest}"));
            } else {
                names.call(call);
            }
        }
        names
    }

    fn call(&mut self, call: &str) {
        let Some((call, outcome)) = call.rsplit_once(") ") else { return };
        if outcome.trim_start().starts_with("= -1") {
            return;
        }
        let quoted: Vec<&str> = call.split('"').skip(1).step_by(2).collect();
        let name = call.split('(').next().unwrap_or_default();
        match (name, quoted.as_slice()) {
            ("mkdir" | "mkdirat", [path]) => self.make(path),
            ("openat", [path]) if call.contains("O_CREAT") => self.make(path),
            ("rename" | "renameat" | "renameat2", [from, to]) => {
                self.volatile.remove(Path::new(from));
                self.make(to);
            }
            ("fsync" | "fdatasync", _) => {
                let path = call.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>'));
                let dir = Path::new(path.map_or("", |(path, _)| path));
                self.volatile.retain(|made| made.parent() != Some(dir));
            }
            _ => {}
        }
    }

    fn make(&mut self, path: &str) {
        self.made.insert(path.into());
        self.volatile.insert(path.into());
    }
}

/// The names that the traced server made until it is killed.
async fn names_of(server: &mut Server, trace: &Path) -> Names {
    server.kill();
    let read = || std::fs::read_to_string(trace).unwrap_or_default();
    until("the end of the trace", || read().contains("+++ killed by SIGKILL")).await;
    Names::read(&read())
}

fn traced(server: &mut Server) -> PathBuf {
    let trace = server.dir().join("trace");
    let path = trace.display().to_string();
    server.through(&["strace", "-D", "-f", "-y", "-s", "4096", "-o", &path, "-e", CALLS].map(String::from));
    trace
}

/// Every useful name below the test's directory is durable.
fn check(names: &Names, server: &Server, expected: &[&str]) {
    for name in expected {
        let path = server.dir().join(name);
        assert!(names.made.contains(&path), "{name} was not made: {:?}", names.made);
    }
    // Locks are meaningless after a restart, and temporary files are made anew.
    let useless = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name == "LOCK" || name == "lock.mdb" || name.ends_with(".tmp") || name.ends_with(".new")
    };
    let lost: Vec<&PathBuf> = names
        .volatile
        .iter()
        .filter(|path| path.starts_with(server.dir()) && path.exists() && !useless(path))
        .collect();
    assert!(lost.is_empty(), "a power failure takes {lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_first_acknowledged_write_every_name_is_durable() {
    let test = "after_the_first_acknowledged_write_every_name_is_durable";
    if !subject().is_kvd() || !strace(test) {
        return;
    }
    let mut server = Setup::of(&subject()).prepare();
    let deep = server.dir().join("deep/data");
    server.add_args(&[&format!("--data-dir={}", deep.display())]);
    let trace = traced(&mut server);
    server.start().await;
    let request = PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    server.api().kv.put(request).await.expect("a put");
    let names = names_of(&mut server, &trace).await;
    let expected = [
        "deep",
        "deep/data",
        "deep/data/member",
        "deep/data/member/identity",
        "deep/data/member/log",
        "deep/data/member/log/identity",
        "deep/data/member/log/0000000000000001.seg",
        "deep/data/member/store",
        "deep/data/member/store/identity",
        "deep/data/member/store/CURRENT",
        "deep/data/member/store/state-1",
        "deep/data/member/store/state-1/data.mdb",
    ];
    check(&names, &server, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_a_member_makes_keep_their_names() {
    let test = "certificates_that_a_member_makes_keep_their_names";
    if !subject().is_kvd() || !strace(test) {
        return;
    }
    let mut server = Setup::of(&subject()).prepare();
    let url = format!("https://127.0.0.1:{}", free_port());
    server.add_args(&["--auto-tls", &format!("--listen-client-urls={url}")]);
    server.add_args(&[&format!("--advertise-client-urls={url}")]);
    let trace = traced(&mut server);
    server.spawn();
    until("clients are let in", || server.log().contains("ready to serve client requests")).await;
    let names = names_of(&mut server, &trace).await;
    let expected = [
        "data/fixtures",
        "data/fixtures/client",
        "data/fixtures/client/cert.pem",
        "data/fixtures/client/key.pem",
    ];
    check(&names, &server, &expected);
}

#[test]
fn a_name_is_durable_once_its_directory_was_flushed_after_it_was_made() {
    let made = "1 mkdir(\"/d\", 0700) = 0\n2 openat(AT_FDCWD</>, \"/d/f.new\", O_WRONLY|O_CREAT, 0600) = 3</d/f.new>\n\
                2 fsync(3</d/f.new>) = 0\n2 rename(\"/d/f.new\", \"/d/f\") = 0\n";
    let names = |more: &str| Names::read(&format!("{made}{more}")).volatile.into_iter().collect::<Vec<_>>();
    assert_eq!(names(""), [Path::new("/d"), Path::new("/d/f")]);
    assert_eq!(names("1 fsync(4</d>) = 0\n"), [Path::new("/d")]);
    let torn = "1 fsync(4</d> <unfinished ...>\n2 fsync(5</>) = 0\n1 <... fsync resumed>) = -1 EIO (error)\n";
    assert_eq!(names(torn), [Path::new("/d/f")]);
    let whole = "1 fsync(4</d> <unfinished ...>\n2 fsync(5</>) = 0\n1 <... fsync resumed>)          = 0\n";
    assert_eq!(names(whole), [] as [&Path; 0]);
}
