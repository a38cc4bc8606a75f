//! `/debug/pprof/`: off as it is in etcd, and a profile that Go's tool reads.

use super::metrics::put;
use crate::harness::{Setup, page, subject};
use std::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_are_served_if_they_are_asked_for() {
    if !subject().is_kvd() {
        return;
    }
    let off = Setup::of(&subject()).start().await;
    assert!(page(&off, "/debug/pprof/profile?seconds=1").await.starts_with("HTTP/1.1 404"));
    for flag in ["--enable-pprof=true", "--log-level=debug"] {
        let server = Setup::of(&subject()).arg(flag).start().await;
        assert!(page(&server, "/debug/pprof/").await.contains("profile?seconds=30"), "{flag}");
        let threads = page(&server, "/debug/pprof/goroutine").await;
        assert!(threads.contains("kvd-peer") && threads.contains("kvd-log"), "{threads}");
        assert!(page(&server, "/debug/pprof/heap").await.starts_with("HTTP/1.1 501"), "{flag}");
        assert!(page(&server, "/debug/pprof/nothing").await.starts_with("HTTP/1.1 404"), "{flag}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_names_the_functions_of_a_busy_member() {
    if !subject().is_kvd() {
        return;
    }
    let server = Setup::of(&subject()).arg("--enable-pprof=true").start().await;
    let file = server.dir().join("profile");
    let url = format!("{}/debug/pprof/profile?seconds=3", server.url());
    let mut download =
        Command::new("curl").args(["-sSf", "-o", &file.display().to_string(), &url]).spawn().expect("curl");
    let mut kv = server.api().kv;
    let status = loop {
        for number in 0..50 {
            kv.put(put(&format!("k{number}"), "value")).await.expect("a put, while it is profiled");
        }
        if let Some(status) = download.try_wait().expect("it can be waited for") {
            break status;
        }
    };
    assert!(status.success());
    // Go's tool, if there is one; the format itself is tested beside its encoder.
    let shown = Command::new("go").args(["tool", "pprof", "-top", "-nodecount=500"]).arg(&file).output();
    if let Ok(shown) = shown {
        let text = String::from_utf8_lossy(&shown.stdout);
        assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
        assert!(text.contains("Type: cpu") && text.contains("kvd::"), "{text}");
    }
    let raw = std::fs::read(&file).expect("a profile");
    assert_eq!(raw[..2], [0x1f, 0x8b], "it is compressed");
}
