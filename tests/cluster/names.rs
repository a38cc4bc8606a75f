//! Members and clients that find a cluster by SRV records of DNS, from a real DNS server on a host of the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::net::{Host, Net};
use super::program::{Program, installed, skip, subject};
use super::server::{PATIENCE, Server};

const HOSTS: [(&str, &str); 4] =
    [("dns", "10.99.0.53"), ("one", "10.99.0.1"), ("two", "10.99.0.2"), ("three", "10.99.0.3")];

/// The DNS server of the hosts, and the file that names it to them.
struct Dns<'n> {
    net: &'n Net,
    server: Option<Child>,
}

impl<'n> Dns<'n> {
    /// Every host asks the one named `dns`, which does not answer yet.
    fn of(net: &'n Net) -> Self {
        for (name, _) in HOSTS {
            // iproute2 shows these files to whatever it runs in the namespace.
            let folder = folder(&net.host(name));
            fs::create_dir_all(&folder).expect("a directory of the namespace");
            let address = net.host("dns").address;
            let text = format!("nameserver {address}\noptions timeout:1 attempts:1\n");
            fs::write(folder.join("resolv.conf"), text).expect("written");
        }
        Self { net, server: None }
    }

    /// Starts the server with these records: `service,host,port` each.
    fn start(&mut self, services: &[&str]) {
        let host = self.net.host("dns");
        let mut command = host.command(Path::new("dnsmasq"));
        command.args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]);
        command.args(["--user=root", "--bind-interfaces", "--local=/example.org/", "--log-facility=-"]);
        command.arg(format!("--listen-address={}", host.address));
        for (name, address) in HOSTS {
            command.arg(format!("--host-record={name}.example.org,{address}"));
        }
        command.args(services.iter().map(|service| format!("--srv-host={service}")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.server = Some(command.spawn().expect("dnsmasq starts"));
        until("DNS answers", || {
            client(&host, Path::new("getent"), &["ahostsv4", "one.example.org"]).status.success()
        });
    }

    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Drop for Dns<'_> {
    fn drop(&mut self) {
        self.stop();
        for (name, _) in HOSTS {
            let _ = fs::remove_dir_all(folder(&self.net.host(name)));
        }
    }
}

fn folder(host: &Host) -> PathBuf {
    Path::new("/etc/netns").join(&host.namespace)
}

/// True if there is a DNS server; otherwise says what is missing.
fn can_be_asked(test: &str) -> bool {
    let found = Command::new("dnsmasq").arg("--version").stdout(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    skip(test, "dnsmasq is not installed (tests/provide installs dnsmasq-base)");
    false
}

fn member(net: &Net, program: &Program, name: &str, dir: &Path) -> Server {
    Server::new(net.host(name), &program.path(), &dir.join(name))
}

fn flags(net: &Net, name: &str, peer_url: &str, more: &[&str]) -> Vec<String> {
    let address = net.host(name).address;
    let mut flags = vec![
        format!("--name={name}"),
        "--data-dir=data".to_owned(),
        format!("--listen-client-urls=http://{address}:2379"),
        format!("--advertise-client-urls=http://{address}:2379"),
        format!("--listen-peer-urls=http://{address}:2380"),
        format!("--initial-advertise-peer-urls={peer_url}"),
    ];
    flags.extend(more.iter().map(|flag| (*flag).to_owned()));
    flags
}

/// What a client prints on a host.
fn client(host: &Host, program: &Path, args: &[&str]) -> Output {
    let mut command = host.command(program);
    command.args(args).env_remove("ETCDCTL_ENDPOINTS").stdin(Stdio::null());
    command.output().expect("the client runs")
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "gave up waiting for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

const MEMBERS: [&str; 3] = [
    "_etcd-server._tcp.example.org,one.example.org,2380",
    "_etcd-server._tcp.example.org,two.example.org,2380",
    "_etcd-server._tcp.example.org,three.example.org,2380",
];
const CLIENTS: [&str; 2] = [
    "_etcd-client._tcp.example.org,two.example.org,2379",
    "_etcd-client-ssl-red._tcp.example.org,one.example.org,2379",
];

/// The cluster that `program` makes of the records, as `etcdctl member list` prints it.
fn cluster(net: &Net, dns: &mut Dns<'_>, program: &Program) -> String {
    let temporary = tempfile::tempdir().expect("a directory");
    let mut members: Vec<Server> =
        ["one", "two", "three"].map(|name| member(net, program, name, temporary.path())).into();
    dns.stop();
    if !program.is_kvd() {
        // etcd gives up if DNS does not answer.
        dns.start(&[&MEMBERS[..], &CLIENTS].concat());
    }
    for (member, peer) in members.iter_mut().zip([
        "http://one.example.org:2380",
        "http://10.99.0.2:2380",
        "http://three.example.org:2380",
    ]) {
        let name = member.host.name.clone();
        member.start(&flags(net, &name, peer, &["--discovery-srv=example.org"]), &[]);
    }
    if program.is_kvd() {
        until("the member says that it waits for DNS", || {
            members[0].log().contains("error querying DNS SRV records")
        });
        assert!(members.iter_mut().all(Server::is_running), "{}", members[0].log());
        dns.start(&[&MEMBERS[..], &CLIENTS].concat());
    }
    let etcdctl = installed("3.7.3", "etcdctl");
    let list = ["--discovery-srv=example.org", "member", "list"];
    let mut printed = String::new();
    until("three members", || {
        let output = client(&net.host("three"), &etcdctl, &list);
        printed = String::from_utf8_lossy(&output.stdout).into_owned();
        // Each has told the others its name and where it serves clients.
        printed.matches(", started, ").count() == 3 && printed.matches(", http://10.99.0.").count() == 3
    });
    if program.is_kvd() {
        clients_are_alike(net, &etcdctl);
    }
    let mut lines: Vec<&str> = printed.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// kvctl and etcdctl do the same with DNS. Only kvctl does it for the commands about endpoints, too.
fn clients_are_alike(net: &Net, etcdctl: &Path) {
    let kvctl = PathBuf::from(env!("CARGO_BIN_EXE_kvctl"));
    let health = client(&net.host("three"), &kvctl, &["-d", "example.org", "endpoint", "health"]);
    let health = String::from_utf8_lossy(&health.stdout).into_owned();
    assert!(health.starts_with("http://two.example.org.:2379 is healthy"), "{health}");
    for (arguments, words) in [
        (&["--discovery-srv=example.org", "put", "a", "b"][..], "OK"),
        (&["-d", "example.org", "get", "a"], "a\nb"),
        (
            &["-d", "example.org", "--insecure-discovery=false", "--command-timeout=1s", "get", "a"],
            "ignoring discovered",
        ),
        (
            &["-d", "nowhere.example.org", "get", "a"],
            "dns lookup errors: lookup _etcd-client-ssl._tcp.nowhere",
        ),
        (
            &["-d", "example.org", "--discovery-srv-name=blue", "get", "a"],
            "_etcd-client-ssl-blue._tcp.example.org",
        ),
    ] {
        let outputs =
            [etcdctl, kvctl.as_path()].map(|program| client(&net.host("three"), program, arguments));
        let said = outputs.each_ref().map(|output| {
            let both = [&output.stdout[..], &output.stderr[..]].concat();
            String::from_utf8_lossy(&both).into_owned()
        });
        assert!(said.iter().all(|said| said.contains(words)), "{arguments:?}: {said:?}");
        assert_eq!(outputs[0].status.code(), outputs[1].status.code(), "{arguments:?}: {said:?}");
        if !arguments.contains(&"--insecure-discovery=false") {
            assert_eq!(said[0], said[1], "{arguments:?}");
        }
    }
}

/// The members of an etcd and of a kvd that asked the same DNS have the same ids.
pub fn members_are_found(test: &str) {
    if !can_be_asked(test) || !subject().is_kvd() {
        return;
    }
    let net = Net::new(&HOSTS);
    let mut dns = Dns::of(&net);
    let ours = cluster(&net, &mut dns, &subject());
    assert!(ours.contains("one, http://one.example.org:2380, http://10.99.0.1:2379"), "{ours}");
    let etcd = Program::Etcd("3.7.3".to_owned());
    if etcd.path().exists() {
        assert_eq!(ours, cluster(&net, &mut dns, &etcd));
    }
}

/// What a member without its record says, beside what etcd says.
pub fn mistakes(test: &str) {
    if !can_be_asked(test) || !subject().is_kvd() {
        return;
    }
    let net = Net::new(&HOSTS);
    let mut dns = Dns::of(&net);
    dns.start(&[
        MEMBERS[0],
        "_etcd-server-ssl-red._tcp.example.org,two.example.org,2380",
        "_etcd-server-ssl-red._tcp.example.org,three.example.org,2380",
    ]);
    let said = |program: &Program, peer: &str, more: &[&str]| {
        let temporary = tempfile::tempdir().expect("a directory");
        let mut member = member(&net, program, "two", temporary.path());
        member.start(&flags(&net, "two", peer, more), &[]);
        let status = member.ended();
        assert!(!status.success(), "{}", member.log());
        // etcd writes JSON.
        member.log().replace("\\\"", "\"").replace("\\n", "\n")
    };
    let etcd = Program::Etcd("3.7.3".to_owned());
    for (peer, more, words) in [
        (
            "http://10.99.0.2:2380",
            &["--discovery-srv=example.org"][..],
            &["cannot find local etcd member \"two\" in SRV records"][..],
        ),
        (
            "http://10.99.0.2:2380",
            &["--discovery-srv=nowhere.example.org"],
            &[
                "error querying DNS SRV records for _etcd-server-ssl lookup _etcd-server-ssl._tcp.nowhere.example.org on \
                 10.99.0.53:53: no such host",
                "error querying DNS SRV records for _etcd-server lookup _etcd-server._tcp.nowhere.example.org on \
                 10.99.0.53:53: no such host",
            ],
        ),
        (
            "http://10.99.0.2:2380",
            &["--discovery-srv=example.org", "--discovery-srv-name=red"],
            &["cannot find local etcd member \"two\" in SRV records"],
        ),
    ] {
        for program in [&etcd, &subject()] {
            if program.path().exists() {
                let said = said(program, peer, more);
                assert!(words.iter().all(|words| said.contains(words)), "{program:?} {more:?}: {said}");
            }
        }
    }
    // With TLS in DNS and in what it advertises, the suffix leads to two members.
    let temporary = tempfile::tempdir().expect("a directory");
    let mut members = ["two", "three"].map(|name| member(&net, &subject(), name, temporary.path()));
    for member in &mut members {
        let name = member.host.name.clone();
        let more = ["--discovery-srv=example.org", "--discovery-srv-name=red"];
        member.start(&flags(&net, &name, &format!("https://{name}.example.org:2380"), &more), &[]);
    }
    until("both serve", || {
        members.iter().all(|member| member.log().contains("ready to serve client requests"))
    });
}
