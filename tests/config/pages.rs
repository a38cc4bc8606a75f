//! Man pages, sample file and the journal's catalog are up to date with the table of options; completions are made from it.

use std::path::Path;
use std::process::Command;

use kvd::config::{options, render};

use crate::world::World;

fn fresh(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(&file, text).expect("the page can be written");
        return;
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(there == text, "{path} is stale; UPDATE_GOLDEN=1 cargo test --test config");
}

#[test]
fn man_pages_are_fresh() {
    fresh("man/kvd.8", &render::man_kvd());
    fresh("man/cluster.toml.5", &render::man_toml());
    fresh("man/kvctl.1", &kvd::ctl::man_page());
}

/// The scripts that packaging/build takes from the programs.
#[test]
fn completions_know_every_command_and_bash_understands_them() {
    for (program, words) in [
        (env!("CARGO_BIN_EXE_kvd"), ["data-dir", "from-etcd", "dropin"]),
        (env!("CARGO_BIN_EXE_kvctl"), ["endpoints", "grant-permission", "make-mirror"]),
    ] {
        for shell in ["bash", "zsh", "fish", "powershell"] {
            let output = Command::new(program).args(["completion", shell]).output().expect("it runs");
            let script = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && output.stderr.is_empty(), "{program} {shell}: {output:?}");
            assert!(words.iter().all(|word| script.contains(word)), "{program} {shell}");
            if shell == "bash" {
                let file = tempfile::NamedTempFile::new().expect("a file");
                std::fs::write(file.path(), &*script).expect("written");
                let read = Command::new("bash").arg("-n").arg(file.path()).output().expect("bash runs");
                assert!(read.status.success(), "{program}: {}", String::from_utf8_lossy(&read.stderr));
            }
        }
        let refused = Command::new(program).args(["completion", "tcsh"]).output().expect("it runs");
        assert!(!refused.status.success() && refused.stdout.is_empty());
    }
}

/// What bash offers behind a flag: the line of the script that follows the flag's first mention as a case.
fn offered(command: &clap::Command, name: &str, flag: &str) -> String {
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::Bash, &mut command.clone(), name, &mut script);
    let script = String::from_utf8(script).expect("text");
    let (_, behind) = script.split_once(&format!(" {flag})\n")).expect("the flag is completed");
    behind.lines().next().expect("a line").trim().to_string()
}

#[test]
fn shells_offer_files_only_for_what_takes_a_file() {
    let (kvd, kvctl) = (kvd::config::cli::command(), kvd::ctl::command());
    for flag in ["-w", "--write-out"] {
        let offered = offered(&kvctl, "kvctl", flag);
        assert!(
            offered.contains(r#"compgen -W "simple table json yaml fields protobuf""#),
            "{flag}: {offered}"
        );
    }
    let level = offered(&kvd, "kvd", "--log-level");
    assert!(level.contains(r#"compgen -W "debug info warn error panic fatal""#), "{level}");
    for (command, name, flag) in [
        (&kvd, "kvd", "--name"),
        (&kvd, "kvd", "--heartbeat-interval"),
        (&kvd, "kvd", "--pre-vote"),
        (&kvctl, "kvctl", "--dial-timeout"),
        (&kvctl, "kvctl", "--endpoints"),
        (&kvctl, "kvctl", "--hex"),
    ] {
        let offered = offered(command, name, flag);
        assert!(!offered.contains("compgen -f"), "{name} {flag}: {offered}");
    }
    for (command, name, flag) in [(&kvd, "kvd", "--cert-file"), (&kvctl, "kvctl", "--cacert")] {
        let offered = offered(command, name, flag);
        assert!(offered.contains("compgen -f"), "{name} {flag}: {offered}");
    }
}

#[test]
fn the_catalog_of_the_journal_is_fresh() {
    fresh("packaging/kvd.catalog", &kvd::daemon::catalog());
}

#[test]
fn the_sample_is_fresh() {
    fresh("config/cluster.toml", &render::sample());
}

#[test]
fn the_sample_and_the_installed_file_are_valid_and_local() {
    for text in [&render::sample(), INSTALLED] {
        let world = World::default().toml(text);
        let outcome = world.read();
        assert_eq!(outcome.diagnostics, [], "it has findings");
        let config = outcome.config.expect("no errors");
        assert_eq!(config.bootstrap_problems(), []);
        let local = |url: &kvd::config::Url| url.socket_addr().is_some_and(|at| at.ip().is_loopback());
        assert!(
            config.addresses.listen_client_urls.iter().chain(&config.addresses.listen_peer_urls).all(local)
        );
    }
}

/// The file that packages install as /etc/kv/cluster.toml.
const INSTALLED: &str = include_str!("../../config/installed.toml");

/// Package managers ask every user who edited /etc/kv/cluster.toml which version to keep as soon as the shipped file
/// changes, and a non-interactive upgrade stops at that question. So the shipped file mentions no single options and
/// never changes; the explanations are installed with the documentation.
#[test]
fn the_installed_file_sets_what_the_sample_sets_and_never_changes() {
    let settings = |text: &str| -> std::collections::BTreeSet<String> {
        let lines = text.lines().take_while(|line| !line.starts_with('['));
        lines.filter(|line| !line.starts_with('#') && !line.is_empty()).map(String::from).collect()
    };
    assert_eq!(settings(INSTALLED), settings(&render::sample()));
    assert_eq!(
        crc32c::crc32c(INSTALLED.as_bytes()),
        0x0d90_65ad,
        "config/installed.toml has changed: every upgrade of a machine with an edited file would stop and ask"
    );
}

/// Each commented line is an option with its default: removing the mark changes nothing but the origin.
#[test]
fn every_line_of_the_sample_can_be_uncommented() {
    let sample = render::sample();
    let is_setting =
        |line: &&str| line.starts_with('#') && line[1..].starts_with(|c: char| c.is_ascii_alphabetic());
    let uncommented: String = sample
        .lines()
        .map(|line| if is_setting(&line) { format!("{}\n", &line[1..]) } else { format!("{line}\n") })
        .collect();
    let plain = World::default().toml(&sample).config();
    let full = World::default().toml(&uncommented).config();
    let changed: Vec<&str> =
        kvd::config::changes(&plain, &full).iter().map(|change| change.spec.name).collect();
    assert_eq!(changed, ["feature-gates"], "only the gates are named now, with their defaults");
    assert_eq!(plain.features.all(), full.features.all());
    for spec in options::all().filter(|spec| spec.acts()) {
        let key = spec.key.rsplit('.').next().expect("a key");
        assert!(sample.contains(key), "{} is not in the sample", spec.name);
        let tables = ["initial-cluster", "feature-gates"];
        assert!(
            tables.contains(&spec.name) || full.settings().is_given(spec.name),
            "{} stays commented",
            spec.name
        );
    }
}

#[test]
fn the_examples_are_valid_without_a_warning() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of examples") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("an example");
        let world = World::default().toml(&text);
        assert_eq!(world.read().diagnostics, [], "{}", path.display());
        assert_eq!(world.config().bootstrap_problems(), [], "{}", path.display());
        found += 1;
    }
    assert!(found >= 3, "examples are missing");
}

#[test]
fn every_variable_of_the_environment_file_is_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/kvd.env");
    let text = std::fs::read_to_string(file).expect("the environment file");
    let uncommented =
        text.lines().filter_map(|line| line.strip_prefix('#')).filter_map(|line| line.split_once('='));
    let names: Vec<&str> = uncommented.map(|(name, _)| name).filter(|name| !name.contains(' ')).collect();
    assert!(!names.is_empty());
    assert!(names.iter().all(|name| options::find_variable(name).is_some()), "{names:?}");
}
