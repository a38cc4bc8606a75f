//! Hosts: network namespaces on one switch, with the addresses that a test needs. All are removed when the test ends.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Numbers the networks of this process.
static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// Some hosts in one /24 subnet. Dropping it removes everything.
pub struct Net {
    /// Common part of all names; the process id keeps test runs apart.
    prefix: String,
    hosts: Vec<Host>,
    /// Forwards instead of the bridge while links are bad.
    relay: Option<Child>,
}

/// One host: its name in the test, its address, its link-layer address.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: String,
    pub address: String,
    mac: String,
    pub namespace: String,
}

/// What this machine lacks to make hosts, if anything.
pub fn missing() -> Option<String> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    MISSING.get_or_init(look_for_what_is_missing).clone()
}

fn look_for_what_is_missing() -> Option<String> {
    let tried = Command::new("ip").args(["netns", "list"]).stdin(Stdio::null()).output();
    match tried {
        Err(_) => return Some("the program ip (package iproute2)".into()),
        Ok(output) if !output.status.success() => {
            return Some(format!("network namespaces: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(_) => {}
    }
    if let Err(error) = Command::new("python3").arg("--version").stdin(Stdio::null()).output() {
        return Some(format!("the program python3 ({error})"));
    }
    let probe = format!("kvd-{}-probe", std::process::id());
    let made = ip(&["netns", "add", &probe]);
    let _ = ip(&["netns", "del", &probe]);
    made.err().map(|why| format!("the right to make network namespaces ({why})"))
}

fn ip(args: &[&str]) -> Result<(), String> {
    let output =
        Command::new("ip").args(args).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// Several commands of `ip` at once, in a namespace.
fn batch(namespace: &str, commands: &[String]) {
    let mut child = Command::new("ip")
        .args(["-n", namespace, "-force", "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ip runs");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(commands.join("\n").as_bytes()).expect("ip reads its commands");
    drop(input);
    let output = child.wait_with_output().expect("ip ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "in {namespace}: {commands:?}: {said}");
}

impl Net {
    /// Hosts with these names and addresses.
    pub fn new(hosts: &[(&str, &str)]) -> Net {
        let prefix = format!("kvd-{}-{}", std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        let mut net = Net { prefix, hosts: Vec::new(), relay: None };
        let switch = net.switch();
        ip(&["netns", "add", &switch]).expect("a namespace for the switch");
        let setup = ["link add br0 type bridge", "link set br0 type bridge ageing_time 0", "link set br0 up"];
        batch(&switch, &setup.map(str::to_owned));
        for (number, (name, address)) in hosts.iter().enumerate() {
            net.add(number, name, address);
        }
        net
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.prefix)
    }

    fn add(&mut self, number: usize, name: &str, address: &str) {
        let namespace = format!("{}-{name}", self.prefix);
        let mac = format!("02:00:00:00:00:{:02x}", number + 1);
        ip(&["netns", "add", &namespace]).expect("a namespace for a host");
        let host = Host { name: name.into(), address: address.into(), mac, namespace };
        self.hosts.push(host.clone());
        let port = port(number);
        let plug =
            format!("link add eth0 address {} type veth peer name {port} netns {}", host.mac, self.switch());
        batch(&host.namespace, &[plug]);
        batch(&self.switch(), &[format!("link set {port} master br0"), format!("link set {port} up")]);
        let up = [
            "link set lo up".into(),
            format!("address add {address}/24 dev eth0"),
            "link set eth0 up".into(),
        ];
        batch(&host.namespace, &up);
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Host {
        let found = self.hosts.iter().find(|host| host.name == name);
        found.unwrap_or_else(|| panic!("there is no host {name}")).clone()
    }

    /// From now on these directions (from, to) are cut and no others: packets in them are dropped silently.
    pub fn cut(&self, directions: &[(&str, &str)]) {
        for from in &self.hosts {
            let mut commands = vec!["neigh flush nud permanent dev eth0".to_owned()];
            for (_, to) in directions.iter().filter(|(name, _)| *name == from.name) {
                // Nobody has this address: the switch sends such frames to all hosts, and none accepts them.
                let to = self.host(to).address;
                commands.push(format!("neigh replace {to} lladdr 02:00:00:00:ff:ff nud permanent dev eth0"));
            }
            commands.push("neigh flush nud stale dev eth0".to_owned());
            batch(&from.namespace, &commands);
        }
    }

    /// Both directions between each two of two groups.
    pub fn split(&self, one: &[&str], other: &[&str]) {
        let mut directions = Vec::new();
        for a in one {
            for b in other {
                directions.extend([(*a, *b), (*b, *a)]);
            }
        }
        self.cut(&directions);
    }

    /// From now on packets from these hosts take `milliseconds` longer, plus or minus a third, and `percent` of them
    /// are lost.
    pub fn trouble(&mut self, milliseconds: u32, percent: u32) {
        self.calm();
        let settings = [milliseconds, milliseconds / 3, percent].map(|number| number.to_string());
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.switch(), "python3", "-c", include_str!("relay.py")]);
        command.args(settings).args(self.ports());
        let mut relay =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ip starts the relay");
        let mut said = String::new();
        let heard = BufReader::new(relay.stdout.take().expect("it is piped")).read_line(&mut said);
        self.relay = Some(relay);
        assert!(heard.is_ok() && said == "ready\n", "the relay does not begin: it says {said:?}");
        // While both forward, frames arrive twice; at no moment neither of them forwards.
        self.plug("nomaster");
    }

    /// Undoes [`Net::trouble`].
    pub fn calm(&mut self) {
        if self.relay.is_some() {
            self.plug("master br0");
            self.end_relay();
        }
    }

    fn end_relay(&mut self) {
        if let Some(mut relay) = self.relay.take() {
            let _ = relay.kill();
            let _ = relay.wait();
        }
    }

    fn ports(&self) -> impl Iterator<Item = String> {
        (0..self.hosts.len()).map(port)
    }

    /// Puts all ports into the bridge or takes them out.
    fn plug(&self, how: &str) {
        let commands: Vec<String> = self.ports().map(|port| format!("link set {port} {how}")).collect();
        batch(&self.switch(), &commands);
    }
}

/// The switch's port that a host is plugged into.
fn port(host: usize) -> String {
    format!("port{host}")
}

impl Drop for Net {
    fn drop(&mut self) {
        self.end_relay();
        for host in &self.hosts {
            let _ = ip(&["netns", "del", &host.namespace]);
        }
        let _ = ip(&["netns", "del", &self.switch()]);
    }
}

impl Host {
    /// A command that will run on this host.
    pub fn command(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }

    /// Moves the calling thread to this host: sockets it makes from now on belong to this host.
    pub fn enter(&self) {
        let path = format!("/run/netns/{}", self.namespace);
        let namespace = File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let kind = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(kind))
            .expect("root may enter a namespace");
    }
}
