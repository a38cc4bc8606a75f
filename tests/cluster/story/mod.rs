//! Stories: the sessions of the documentation on several hosts, command by command, with their output.
//!
//! ```text
//! hosts node01=192.168.0.61 node02=192.168.0.62      the hosts
//! node01$ export NODE01=192.168.0.61                 sets a variable for later commands
//! node01$ etcd --name node01 ... &                   starts the server under test there
//! node01$ etcdctl member list                        runs a command (or curl) to its end; its output stands below:
//! | <id>, started, node01, <any>                     a line of its output (see `pattern`)
//! ~ ...                                              lines that may come in any order
//! ! Error: etcdserver: member not found              a line of its errors
//! exit 1                                             its exit status, if that is not 0
//! node01$ until etcdctl get a                        the same, repeated until the output is as written
//! node01$ soon etcdctl member add ...                etcd may refuse for some seconds (it needs a connection of five),
//!                                                    kvd must do it at once
//! node01 logs SOME TEXT                              waits for the server to write that
//! node01 ends 1                                      waits for the server to end by itself (`*`: with any code)
//! node01 killed                                      kill -9
//! node01 loses its data                              removes the data directory
//! ?kvd, ?etcd, ?etcdctl=3.7, ?etcdctl<3.6            before a line: only for that program
//! ```

pub mod pattern;
mod words;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use pattern::{Expected, Variables, compare};

use super::net::Net;
use super::program::Program;
use super::server::{PATIENCE, Server};

/// The programs for a story.
pub struct Cast {
    /// The server under test.
    pub subject: Program,
    /// etcdctl, and its version.
    pub client: PathBuf,
    pub version: String,
}

/// One command or event with its expected result.
#[derive(Debug)]
struct Step {
    number: usize,
    line: String,
    out: Vec<Expected>,
    err: Vec<Expected>,
    exit: String,
}

struct Stage<'a> {
    cast: &'a Cast,
    net: Net,
    servers: Vec<Server>,
    variables: Variables,
    dir: tempfile::TempDir,
}

/// Runs a story; panics if anything differs from the text.
pub fn tell(text: &str, cast: &Cast) {
    let steps = steps(text, cast);
    let (first, steps) = steps.split_first().expect("a story has lines");
    let hosts = first.line.strip_prefix("hosts ").expect("a story begins with its hosts");
    let hosts: Vec<(&str, &str)> = hosts.split_whitespace().filter_map(|host| host.split_once('=')).collect();
    let dir = tempfile::Builder::new().prefix("kvd-story-").tempdir().expect("a temporary directory");
    let net = Net::new(&hosts);
    let place =
        |(name, _): &(&str, &str)| Server::new(net.host(name), &cast.subject.path(), &dir.path().join(name));
    let servers = hosts.iter().map(place).collect();
    let mut stage = Stage { cast, net, servers, variables: Variables::new(), dir };
    for step in steps {
        stage.step(step);
    }
}

/// The steps for these programs.
fn steps(text: &str, cast: &Cast) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut continued = String::new();
    let mut passed_over = false;
    for (number, line) in (1..).zip(text.lines()) {
        let held = for_this_cast(line, cast).filter(|_| !passed_over);
        passed_over = held.is_none() && line.ends_with('\\');
        let Some(line) = held else { continue };
        if line.starts_with('#') || (line.is_empty() && continued.is_empty()) {
            continue;
        }
        let expected = |rest: &str, any_order| Expected { text: rest.trim_start().to_string(), any_order };
        let last = steps.last_mut();
        match (line.as_bytes().first(), last) {
            (Some(b'|'), Some(step)) if line.len() < 2 || line.starts_with("| ") => {
                step.out.push(expected(&line[1..], false))
            }
            (Some(b'~'), Some(step)) => step.out.push(expected(&line[1..], true)),
            (Some(b'!'), Some(step)) => step.err.push(expected(&line[1..], false)),
            _ if line.starts_with("exit ") => {
                steps.last_mut().expect("after a command").exit = line[5..].to_string()
            }
            _ => {
                continued.push_str(line.trim_end_matches('\\').trim());
                continued.push(' ');
                if !line.ends_with('\\') {
                    let line = std::mem::take(&mut continued).trim().to_string();
                    steps.push(Step { number, line, out: Vec::new(), err: Vec::new(), exit: "0".into() });
                }
            }
        }
    }
    steps
}

/// The line without its condition; `None` if the condition does not hold.
fn for_this_cast<'a>(line: &'a str, cast: &Cast) -> Option<&'a str> {
    let Some(conditional) = line.strip_prefix('?') else { return Some(line) };
    let (condition, rest) = conditional.split_once(' ').unwrap_or((conditional, ""));
    let minor = |version: &str| version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0);
    let holds = match condition {
        "kvd" => cast.subject.is_kvd(),
        "etcd" => !cast.subject.is_kvd(),
        _ if condition.starts_with("etcdctl=") => minor(&cast.version) == minor(&condition[8..]),
        _ if condition.starts_with("etcdctl<") => minor(&cast.version) < minor(&condition[8..]),
        _ if condition.starts_with("etcdctl>") => minor(&cast.version) > minor(&condition[8..]),
        other => panic!("an unknown condition: {other}"),
    };
    holds.then_some(rest)
}

/// The result of a command.
struct Ended {
    out: String,
    err: String,
    code: String,
}

impl Stage<'_> {
    fn step(&mut self, step: &Step) {
        let wrong = |why: String| -> ! { panic!("line {}: {}\n{why}", step.number, step.line) };
        if let Some((host, command)) = step.line.split_once("$ ") {
            let (way, command) = match command.split_once(' ') {
                Some((way @ ("until" | "soon"), rest)) => (way, rest),
                _ => ("once", command),
            };
            let again = way == "until" || way == "soon" && !self.cast.subject.is_kvd();
            let begun = Instant::now();
            loop {
                match self.command(host, command, step) {
                    Ok(()) => return,
                    Err(_) if again && begun.elapsed() < PATIENCE => {
                        std::thread::sleep(Duration::from_millis(100))
                    }
                    Err(why) => wrong(why),
                }
            }
        }
        let (host, event) = step.line.split_once(' ').unwrap_or((&step.line, ""));
        let server = self.server(host);
        match event.split_once(' ').unwrap_or((event, "")) {
            ("logs", text) => {
                let begun = Instant::now();
                while !server.log().contains(text) {
                    if begun.elapsed() > PATIENCE {
                        wrong(format!("it logs no {text:?}, but\n{}", server.tail()));
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            ("ends", code) => {
                let status = server.ended();
                if code != "*" && status.code().map(|code| code.to_string()).as_deref() != Some(code) {
                    wrong(format!("it ends with {status}\n{}", server.tail()));
                }
            }
            ("killed", _) => server.kill(),
            ("loses", "its data") => {
                for entry in std::fs::read_dir(server.dir()).expect("the server's directory").flatten() {
                    if entry.path().is_dir() {
                        std::fs::remove_dir_all(entry.path()).expect("a directory can be removed");
                    }
                }
            }
            _ => wrong("no such event".into()),
        }
    }

    fn server(&mut self, host: &str) -> &mut Server {
        let found = self.servers.iter_mut().find(|server| server.host.name == host);
        found.unwrap_or_else(|| panic!("there is no host {host}"))
    }

    fn command(&mut self, host: &str, command: &str, step: &Step) -> Result<(), String> {
        if let Some(assignment) = command.strip_prefix("export ") {
            let (name, value) = assignment.split_once('=').expect("NAME=VALUE");
            self.variables.insert(name.into(), value.trim_matches('"').into());
            return Ok(());
        }
        let line = words::parse(command, &self.variables);
        let program = Path::new(&line.program).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let ended = match program {
            "etcd" => {
                let server = self.server(host);
                server.start(&line.args, &line.env);
                if line.background {
                    return Ok(());
                }
                let status = server.ended();
                Ended { out: server.log(), err: String::new(), code: code(status) }
            }
            "etcdctl" => self.client(host, &self.cast.client, &line, &[]),
            // Without its meter.
            "curl" => self.client(host, Path::new("curl"), &line, &["-sS"]),
            other => panic!("the story knows no program {other}"),
        };
        let mut variables = self.variables.clone();
        compare(&step.out, &ended.out, &mut variables).map_err(|why| format!("{why}\n{}", ended.err))?;
        compare(&step.err, &ended.err, &mut variables)?;
        if ended.code != step.exit {
            return Err(format!("exit {} instead of {}", ended.code, step.exit));
        }
        self.variables = variables;
        Ok(())
    }

    fn client(&self, host: &str, program: &Path, line: &words::CommandLine, more: &[&str]) -> Ended {
        let mut command = self.net.host(host).command(program);
        command
            .args(more)
            .args(&line.args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("ETCDCTL_API", "3")
            .envs(line.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        let output = command.output().expect("the client runs");
        // The client library's log lines on standard error are not part of the story.
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        let err = err.lines().filter(|line| !line.starts_with('{')).map(|line| format!("{line}\n")).collect();
        Ended { out: String::from_utf8_lossy(&output.stdout).into_owned(), err, code: code(output.status) }
    }
}

fn code(status: std::process::ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| code.to_string())
}
