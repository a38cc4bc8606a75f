//! Backups in etcd's format, both ways: a real etcd serves what kvd has saved, and kvd what an etcd of any version has
//! saved or left behind. Every key, revision, version, lease, user and role is compared.

mod both_ways;
mod damage;
mod killed;
mod live;
mod picture;
mod scheduled;
mod three;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::{Program, Server, Setup, tool};

/// The etcds, with the program that restores a backup.
const ETCDS: [(&str, &str); 4] =
    [("3.7.3", "etcdutl"), ("3.6.16", "etcdutl"), ("3.5.1", "etcdutl"), ("3.4.23", "etcdctl")];

/// The programs of one version; `None` if it is not here.
struct Tools {
    version: &'static str,
    etcdctl: PathBuf,
    /// It has `snapshot restore` and `snapshot status`.
    restores: PathBuf,
}

impl Tools {
    fn of(test: &str, (version, restores): (&'static str, &str)) -> Option<Tools> {
        tool(test, version, "etcd")?;
        let (etcdctl, restores) = (tool(test, version, "etcdctl")?, tool(test, version, restores)?);
        Some(Tools { version, etcdctl, restores })
    }

    fn etcd(&self) -> Program {
        Program::Etcd(self.version.to_owned())
    }

    /// Saves a backup of a server with this etcdctl.
    fn save(&self, server: &Server, file: &Path) {
        let endpoints = format!("--endpoints={}", server.endpoint());
        succeeds(&self.etcdctl, &[&endpoints, "snapshot", "save", text(file)]);
    }
}

fn kvctl() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kvctl"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of the test")
}

fn run(program: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("ETCDCTL_API", "3").output().expect("the program runs")
}

/// Its standard output.
fn succeeds(program: &Path, args: &[&str]) -> String {
    let output = run(program, args);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {args:?}: {err}", program.display());
    String::from_utf8(output.stdout).expect("text")
}

/// Its standard error.
fn fails(program: &Path, args: &[&str]) -> String {
    let output = run(program, args);
    assert!(!output.status.success(), "{} {args:?} succeeds", program.display());
    String::from_utf8(output.stderr).expect("text")
}

/// A server whose data directory does not exist yet.
fn to_come(program: &Program) -> Server {
    Setup::of(program).prepare()
}

/// Makes the data directory of `server` with `program`: `words` say what to restore from.
fn restore_by(program: &Path, words: &[&str], server: &Server) {
    let (data, peer) = (server.data_dir(), server.peer_url());
    let data = format!("--data-dir={}", data.display());
    let (cluster, own) =
        (format!("--initial-cluster=node={peer}"), format!("--initial-advertise-peer-urls={peer}"));
    let mut args = words.to_vec();
    args.extend(["--name=node", &data, &cluster, &own]);
    succeeds(program, &args);
}
