//! The status page in a real browser: what it shows, that it complains about nothing and loads nothing from elsewhere.

use super::metrics::put;
use super::users::{PASSWORD, enable};
use crate::harness::{Browser, PATIENCE, Server, Setup, Three, page, subject};
use kvd::api::proto::etcdserverpb::alarm_request::AlarmAction;
use kvd::api::proto::etcdserverpb::{AlarmRequest, AlarmType, LeaseGrantRequest};
use std::time::{Duration, Instant};

/// The head and the body of an answer.
fn parts(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").expect("a head")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_has_a_strict_policy_and_one_option_takes_it_away() {
    if !subject().is_kvd() {
        return;
    }
    let server = Setup::of(&subject()).start().await;
    for (path, kind) in [
        ("/", "text/html"),
        ("/status/page.css", "text/css"),
        ("/status/page.js", "text/javascript"),
        ("/status/data", "application/json"),
    ] {
        let answer = page(&server, path).await;
        let head = parts(&answer).0.to_lowercase();
        assert!(
            head.starts_with("http/1.1 200") && head.contains(&format!("content-type: {kind}")),
            "{head}"
        );
        assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{head}");
        assert!(!head.contains("unsafe-") && !head.contains("access-control-allow-origin"), "{head}");
    }
    let html = page(&server, "/").await;
    for outside in ["http://", "https://", "//", "style=", "onclick"] {
        assert!(!parts(&html).1.contains(outside), "{outside} in the page");
    }
    let off = Setup::of(&subject()).arg("--enable-status-page=false").start().await;
    for path in ["/", "/status/data"] {
        assert!(page(&off, path).await.starts_with("HTTP/1.1 404"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_figures_are_for_those_who_have_logged_in() {
    if !subject().is_kvd() {
        return;
    }
    let server =
        Setup::of(&subject()).arg("--bcrypt-cost=4").arg("--enable-grpc-gateway=false").start().await;
    enable(&server.api()).await;
    let refused = page(&server, "/status/data").await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    assert_eq!(parts(&refused).1, r#"{"error":"etcdserver: user name is empty"}"#);
    assert!(page(&server, "/").await.starts_with("HTTP/1.1 200"));
}

/// Where to look at the pictures, if somebody wants to.
fn keep(name: &str, picture: &[u8]) {
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 5000, "{name}: {} bytes", picture.len());
    if let Some(folder) = std::env::var_os("KVD_PICTURES") {
        std::fs::write(std::path::Path::new(&folder).join(name), picture).expect("written");
    }
}

/// Nothing on the console, nothing blocked, nothing from elsewhere, nothing wider than the window.
async fn is_clean(browser: &mut Browser, server: &Server) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let own = format!("{}/", server.url());
    let strangers: Vec<String> = browser
        .requests()
        .into_iter()
        .filter(|url| !url.starts_with(&own) && !url.starts_with("data:") && url != "about:blank")
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    let wide =
        browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth").await;
    assert_eq!(wide, 0, "the page is wider than its window");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_shows_members_charts_and_alarms() {
    let test = "a_browser_shows_members_charts_and_alarms";
    if !subject().is_kvd() {
        return;
    }
    let Some(mut browser) = Browser::start(test).await else { return };
    let mut three = Three::start().await;
    let leader = three.leader().await;
    let server = &three.0[leader];
    for number in 0..200 {
        server.api().kv.put(put(&format!("k{number}"), "value")).await.expect("a put");
    }
    server.api().lease.lease_grant(LeaseGrantRequest { ttl: 600, id: 0 }).await.expect("a lease");
    for (width, scheme) in [(1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")] {
        browser.open(&server.url(), width, 900, scheme).await;
        browser.until("document.querySelectorAll('#members tr').length === 3").await;
        browser.until("document.getElementById('state').textContent === 'The member serves.'").await;
        is_clean(&mut browser, server).await;
    }
    // A browser on a follower gets the others' lag from the leader.
    let follower = &three.0[(leader + 1) % 3];
    browser.open(&follower.url(), 1440, 900, "light").await;
    browser.until("document.getElementById('members').innerText.includes('leader')").await;
    browser.until("document.getElementById('lag-note').textContent === ''").await;
    // Nobody is behind, and this member knows it of all of them.
    browser.until("document.getElementById('members').innerText.split('no\\t').length === 4").await;

    browser.open(&server.url(), 1440, 900, "light").await;
    // The member has samples of its own past; in the meantime there is traffic.
    let begun = Instant::now();
    loop {
        server.api().kv.put(put("again", "value")).await.expect("a put");
        let has_line = "document.querySelectorAll('#charts svg').length === 8 && !!document.querySelector('#charts .line')";
        if browser.value(has_line).await == true {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "no charts");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let written = "[...document.querySelectorAll('#charts svg')].map((svg) => svg.getAttribute('aria-label')).join('\\n')";
    let labels = browser.value(written).await;
    assert!(labels.as_str().expect("labels").contains("Writes: now "), "{labels}");
    let alarm = AlarmRequest {
        action: AlarmAction::Activate.into(),
        alarm: AlarmType::Nospace.into(),
        ..Default::default()
    };
    server.api().maintenance.alarm(alarm).await.expect("an alarm");
    browser.until("document.getElementById('notices').innerText.includes('kvctl alarm disarm')").await;
    browser
        .until("document.getElementById('state').textContent === 'The member does not serve writes.'")
        .await;
    for (width, scheme) in [(1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")] {
        browser.open(&server.url(), width, 900, scheme).await;
        browser.until("document.querySelectorAll('#charts svg').length === 8").await;
        keep(&format!("status-{width}-{scheme}.png"), &browser.picture().await);
        is_clean(&mut browser, server).await;
    }
    // Without the member the page says that it is old, and goes on when it is back.
    three.0[leader].kill();
    browser.until("document.getElementById('state').textContent.includes('does not answer')").await;
    three.0[leader].spawn();
    browser.until("!document.getElementById('state').textContent.includes('does not answer')").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_logs_in_by_the_keyboard_and_the_token_ends_with_the_page() {
    let test = "a_user_logs_in_by_the_keyboard_and_the_token_ends_with_the_page";
    if !subject().is_kvd() {
        return;
    }
    let Some(mut browser) = Browser::start(test).await else { return };
    let server = Setup::of(&subject()).arg("--bcrypt-cost=4").start().await;
    enable(&server.api()).await;
    browser.open(&server.url(), 360, 800, "light").await;
    let form = "!document.getElementById('login').hidden && document.activeElement.id === 'user'";
    browser.until(form).await;
    keep("login-360-light.png", &browser.picture().await);
    browser.type_text("root").await;
    browser.press("Tab").await;
    browser.type_text("wrong").await;
    browser.press("Enter").await;
    browser.until("document.getElementById('refused').textContent.includes('authentication failed')").await;
    assert_eq!(browser.value("document.getElementById('password').value").await, "");
    browser.type_text(PASSWORD).await;
    browser.press("Enter").await;
    browser.until("document.querySelectorAll('#members tr').length === 1 && !document.getElementById('content').hidden").await;
    let kept = "localStorage.length + sessionStorage.length + document.cookie.length";
    assert_eq!(browser.value(kept).await, 0);
    // A refusal is shown on the console by the browser itself.
    let others: Vec<String> = browser
        .complaints()
        .into_iter()
        .filter(|complaint| !complaint.contains("the server responded with a status of 40"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    browser.open(&server.url(), 360, 800, "light").await;
    browser.until(form).await;
}
