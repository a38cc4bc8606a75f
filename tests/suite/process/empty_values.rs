//! The meaning of an empty value of every option, compared with a real etcd.

use crate::harness::{PATIENCE, Setup, reference};
use kvd::config::options::{self, Owner, Section};
use kvd::config::{Files, Surroundings, read};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Options for which kvd accepts an empty value that etcd refuses, and why nothing is lost by it.
const MORE_LENIENT: &[(&str, &str)] = &[
    ("cipher-suites", "no suite is named, so the safe ones serve"),
    ("cors", "no origin is named, so none is allowed"),
    ("discovery-endpoints", "no endpoint is named, so nothing is discovered"),
    ("distributed-tracing-sampling-rate", "it is 0, so no trace begins here"),
];

struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }
    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
    fn exists(&self, _: &Path) -> bool {
        false
    }
}

/// The errors that kvd reports for these flags and variables, including those that only count at a first start.
fn complaints(arguments: &[String], variables: &[(String, String)]) -> Vec<String> {
    let outcome = read(&Surroundings {
        arguments: arguments.to_vec(),
        variables: variables.to_vec(),
        files: &NoFiles,
        default_host: || None,
    });
    let later = outcome.config.iter().flat_map(|config| config.bootstrap_problems().to_vec());
    let all = outcome.diagnostics.iter().cloned().chain(later);
    all.filter(kvd::config::Diagnostic::is_error).map(|finding| finding.message).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_flag_is_to_every_option_what_it_is_to_etcd() {
    let test = "an_empty_flag_is_to_every_option_what_it_is_to_etcd";
    let Some(reference) = reference(test) else { return };
    if reference.level() < (3, 7) {
        return;
    }
    let mut differences = Vec::new();
    for spec in options::all().filter(|spec| spec.owner == Owner::Etcd && spec.section != Section::Program) {
        let flag = format!("--{}=", spec.name);
        let mut server = Setup::of(&reference).arg("--unsafe-no-fsync").arg(&flag).prepare();
        let mut arguments = server.arguments();
        if spec.name == "initial-advertise-peer-urls" {
            // An earlier value stays in force with etcd, and initial-cluster names it.
            arguments.retain(|argument| !argument.starts_with("--initial-cluster="));
        }
        server.spawn();
        let begun = Instant::now();
        let taken = loop {
            if server.poll_exit().is_some() {
                break false;
            }
            if server.log().contains("ready to serve client requests") {
                break true;
            }
            assert!(begun.elapsed() < PATIENCE, "{flag}: {}", server.log());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        if server.log().contains("flag provided but not defined") {
            continue;
        }
        let found = complaints(&arguments, &[]);
        let is_lenient = MORE_LENIENT.iter().any(|(name, _)| *name == spec.name);
        let agrees = taken == found.is_empty();
        let excused = is_lenient && !taken;
        if !agrees && !excused {
            differences.push(format!("{flag} etcd takes it: {taken}, kvd says {found:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// etcd's pkg/flags ignores an empty variable.
#[test]
fn an_empty_variable_is_none() {
    let variables = options::all().map(|spec| (spec.variable(), String::new())).collect::<Vec<_>>();
    assert_eq!(complaints(&[], &variables), Vec::<String>::new());
}
