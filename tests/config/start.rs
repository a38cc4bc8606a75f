//! What `kvd check` refuses, a start refuses, and with the same exit code.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs `kvd` until it ends; a start that is not refused would run on.
fn kvd(arguments: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvd"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let variables = std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        name.starts_with("ETCD_") || name.starts_with("KVD_") || name.ends_with("_DIRECTORY")
    });
    for (name, _) in variables {
        command.env_remove(name);
    }
    let mut child = command.spawn().expect("kvd begins");
    let begun = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if begun.elapsed() > Duration::from_secs(120) {
            let _ = child.kill();
            panic!("kvd {arguments:?} goes on");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("its output")
}

#[test]
fn files_that_cannot_be_used_end_check_and_start_with_78() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (short, nothing) = (write("short", "short\n"), write("nothing.pem", "nothing\n"));
    let open = write("open", "a secret that is long enough\n");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).expect("mine");
    let missing = directory.path().join("missing.pem").display().to_string();
    let https = ["--listen-client-urls=https://127.0.0.1:0", "--advertise-client-urls=https://127.0.0.1:1"];
    let cases: [(&[&str], Vec<String>, &str); 5] = [
        (&[], vec![format!("--cluster-secret-file={short}")], "at least 16 are needed"),
        (&[], vec![format!("--cluster-secret-file={missing}")], "missing.pem"),
        (&[], vec![format!("--cluster-secret-file={open}")], "may read the cluster's secret (mode 644)"),
        (&https, vec![format!("--cert-file={missing}"), format!("--key-file={missing}")], "missing.pem"),
        (&https, vec![format!("--cert-file={nothing}"), format!("--key-file={nothing}")], "no certificate"),
    ];
    for (flags, files, words) in cases {
        let data = directory.path().join("data");
        let mut arguments = vec![
            "--config-file=/dev/null".to_string(),
            format!("--data-dir={}", data.display()),
            "--listen-peer-urls=http://127.0.0.1:0".to_string(),
        ];
        arguments.extend(flags.iter().map(|flag| flag.to_string()));
        arguments.extend(files);
        let start = kvd(&arguments);
        arguments.insert(0, "check".to_string());
        let check = kvd(&arguments);
        for answer in [&check, &start] {
            let said = String::from_utf8_lossy(&answer.stderr);
            assert_eq!(answer.status.code(), Some(78), "{arguments:?}: {said}");
            assert!(said.contains(words), "{arguments:?}: {said}");
        }
        assert!(!Path::new(&data).exists(), "{arguments:?} leaves nothing behind");
    }
}
