//! Joining, leaving, and clocks.

use std::net::UdpSocket;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::lab::{CLUSTER, LONG, Member, SECRET, clock, logged, options, port, secret, until, until_logged};
use crate::model::{ClusterId, MemberId};
use crate::peer::{AskError, Caller, Channel, Quic, Rejection};

#[tokio::test]
async fn a_question_is_answered_before_there_is_an_identity() {
    let (two, asker) = (Member::new(), port(SECRET));
    // It need not be admitted as a member.
    *two.deputy.admits.lock() = Err(Rejection::Unknown);
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut urls = vec!["http://no-such-host.invalid:1".to_string(), "nonsense".to_string()];
    urls.extend(two.urls());
    let (caller, answer) = asker.ask(&urls, b"who is there?"[..].into(), LONG).await.expect("answered");
    assert_eq!(answer, b"answer to who is there?"[..]);
    assert_eq!(caller, Caller { member: two.id, cluster: CLUSTER, address: two.address().to_string() });
    let asked = two.deputy.asked.lock().pop().expect("it was asked");
    assert_eq!((asked.member, asked.cluster), (MemberId(0), ClusterId(0)));
    // No server, no answer in time, a server that is not ready, a stranger.
    let gone = vec![urls[0].clone(), urls[1].clone()];
    let text = asker.ask(&gone, b"x"[..].into(), LONG).await.expect_err("nobody").to_string();
    assert!(
        text.contains("http://no-such-host.invalid:1: ") && text.contains("nonsense: not a peer URL"),
        "{text}"
    );
    let silent = [format!("http://{}", silent.local_addr().expect("bound"))];
    let soon = Duration::from_millis(50);
    assert_eq!(asker.ask(&silent, b"x"[..].into(), soon).await, Err(AskError::Timeout));
    let starting = port(SECRET);
    let starting = [format!("http://{}", starting.local_addresses()[0])];
    let refused = asker.ask(&starting, b"x"[..].into(), LONG).await;
    assert!(
        matches!(refused, Err(AskError::Rejected { rejection: Rejection::NotReady(_), .. })),
        "{refused:?}"
    );
    let stranger = port("correct horse stable").ask(&two.urls(), b"x"[..].into(), LONG).await;
    assert!(
        matches!(stranger, Err(AskError::Rejected { rejection: Rejection::Stranger, .. })),
        "{stranger:?}"
    );
    // A member may ask, too, in its own name; also one of another cluster.
    let three = Member::named(super::lab::new_id(), ClusterId(0xc3), port(SECRET));
    three.quic.ask(&two.urls(), b"x"[..].into(), LONG).await.expect("answered");
    let asked = two.deputy.asked.lock().pop().expect("it was asked");
    assert_eq!((asked.member, asked.cluster), (three.id, ClusterId(0xc3)));
}

#[tokio::test]
async fn someone_who_asked_becomes_a_member() {
    let two = Member::new();
    let quic = port(SECRET);
    quic.ask(&two.urls(), b"let me in"[..].into(), LONG).await.expect("answered");
    let one = Member::on(quic);
    one.reach(&two).await;
    two.reach(&one).await;
}

#[tokio::test]
async fn a_member_that_is_expelled_is_told_on_both_its_connections() {
    let members = [Member::new(), Member::new(), Member::new()];
    let [one, two, three] = &members;
    one.reach(three).await;
    three.reach(one).await;
    three.reach(two).await;
    let mut told = three.quic.refusals();
    *one.deputy.admits.lock() = Err(Rejection::Removed);
    one.quic.expel(three.id);
    tokio::time::timeout(LONG, told.wait_for(|told| told.contains_key(&one.id)))
        .await
        .expect("in time")
        .expect("open");
    assert!(by_id(one, three.id).is_none());
    three.fails_with(one.id, &one.urls(), "permanently removed").await;
    // Others are not affected.
    three.reach(two).await;
    one.reach(two).await;
    assert!(one.quic.refusals().borrow().is_empty() && two.quic.refusals().borrow().is_empty());
    // The refusal is in force until it admits the other one.
    *one.deputy.admits.lock() = Ok(());
    three.reach(one).await;
    until("it is taken back", || three.quic.refusals().borrow().is_empty()).await;
    // The called side only: the incoming connection is closed.
    let four = Member::new();
    four.reach(two).await;
    let mut told = four.quic.refusals();
    two.quic.expel(four.id);
    tokio::time::timeout(LONG, told.wait_for(|told| told.contains_key(&two.id)))
        .await
        .expect("in time")
        .expect("open");
    // The calling side only.
    let five = Member::new();
    two.reach(&five).await;
    let mut told = five.quic.refusals();
    two.quic.expel(five.id);
    tokio::time::timeout(LONG, told.wait_for(|told| told.contains_key(&two.id)))
        .await
        .expect("in time")
        .expect("open");
}

fn by_id(member: &Member, id: MemberId) -> Option<crate::peer::PeerStatus> {
    member.quic.peers().into_iter().find(|peer| peer.member == id && peer.connected_for.is_some())
}

#[tokio::test]
async fn clocks_that_differ_are_warned_of_on_both_sides() {
    let off = clock(5000);
    let one = Member::new();
    let two = Member::on(Quic::bind(options(secret(SECRET, off.clone()), off.clone())).expect("bound"));
    one.reach(&two).await;
    let about = |ahead: Option<i64>, ms: i64| ahead.is_some_and(|ahead| (ahead - ms).abs() < 1000);
    until("the difference is known", || about(one.status(two.id).clock_ahead_ms, 5000)).await;
    let warning = "prober found high clock drift";
    until_logged(&[warning, &format!("remote_peer_id={}", two.id), "limit=1s"]).await;
    // The called side notices it as well, with the opposite sign.
    until_logged(&[warning, &format!("remote_peer_id={}", one.id), "clock_drift=\"-"]).await;
    assert!(about(two.status(one.id).clock_ahead_ms, -5000));
    // It is measured repeatedly, but logged only every half minute.
    off.0.store(-60_000, Ordering::SeqCst);
    until("it is measured again", || about(one.status(two.id).clock_ahead_ms, -60_000)).await;
    assert_eq!(logged(&[warning, &format!("remote_peer_id={}", two.id)]).len(), 1);
    // Clocks that agree are not logged.
    let three = Member::new();
    one.reach(&three).await;
    until("they are compared", || one.status(three.id).clock_ahead_ms.is_some()).await;
    assert_eq!(logged(&[warning, &three.id.to_string()]), Vec::<String>::new());
}

#[tokio::test]
async fn a_port_ends_with_its_last_handle() {
    let one = Member::new();
    let two = Member::new();
    one.reach(&two).await;
    let transport = one.quic.transport();
    drop(one);
    let answer = transport.call(two.id, &two.urls(), Channel::Control, b"still"[..].into(), LONG).await;
    assert_eq!(answer, Ok(b"still"[..].into()));
    drop(transport);
    until("the other side sees the end", || two.quic.peers().iter().all(|peer| peer.heard_for.is_none()))
        .await;
}
