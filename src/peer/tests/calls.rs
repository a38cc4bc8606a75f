//! Requests and answers.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;

use super::lab::{
    CLUSTER, LONG, Member, SECRET, clock, logged, options, pattern, port, port_again, secret, until,
};
use crate::peer::{Channel, Names, Quic, Transport, TransportError};

const CHANNELS: [Channel; 4] = [Channel::Control, Channel::Append, Channel::Forward, Channel::Service];

#[tokio::test]
async fn channels_are_pipelined_and_keep_their_order() {
    let (one, two) = (Member::new(), Member::new());
    one.reach(&two).await;
    let mut calls = VecDeque::new();
    for number in 0..200_u32 {
        for channel in CHANNELS {
            // Every tenth request is large, so that both ways of writing frames are mixed.
            let size = if number % 10 == 0 { 50_000 } else { 10 };
            let mut request = format!("wait {channel:?} {number} ").into_bytes();
            request.resize(request.len() + size, b'.');
            calls.push_back((one.call(&two, channel, &request), request));
        }
    }
    // All of them arrive, although none is answered.
    until("all requests arrive", || two.deputy.seen.lock().len() == 801).await;
    two.deputy.gate.send_replace(true);
    for (call, request) in calls {
        assert_eq!(call.await, Ok(Bytes::from(request)));
    }
    for channel in CHANNELS {
        let seen = two.deputy.seen_in(channel);
        let numbers = seen.iter().filter(|request| request.starts_with(b"wait")).map(|request| {
            let text = String::from_utf8_lossy(request);
            text.split(' ').nth(2).and_then(|number| number.parse::<u32>().ok()).expect("a number")
        });
        assert!(numbers.eq(0..200), "{channel:?}");
    }
    let status = one.status(two.id);
    assert_eq!((status.address, status.version.as_deref()), (Some(two.address()), Some("0.1.0-test")));
    assert!(status.connected_for.is_some() && status.round_trip.is_some() && status.round_trips.count > 0);
    assert!(status.sent_bytes > 3 * 20 * 50_000 && status.received_bytes > 3 * 20 * 50_000);
    let status = two.status(one.id);
    assert!(status.heard_for.is_some() && status.received_bytes > 3 * 20 * 50_000);
    assert!(two.quic.connected_for(one.id).is_some());
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_a_timeout_and_holds_up_no_other_channel() {
    let (one, two) = (Member::new(), Member::new());
    one.reach(&two).await;
    let soon = Duration::from_millis(50);
    let never = one.quic.call(two.id, &two.urls(), Channel::Append, Bytes::from_static(b"never"), soon);
    assert_eq!(never.await, Err(TransportError::Timeout));
    assert_eq!(one.call(&two, Channel::Control, b"a").await, Ok(Bytes::from_static(b"a")));
    assert_eq!(one.call(&two, Channel::Forward, b"b").await, Ok(Bytes::from_static(b"b")));
    assert_eq!(one.status(two.id).sent_failures, 1);
}

#[tokio::test]
async fn no_answer_waits_for_another() {
    let (one, two) = (Member::new(), Member::new());
    one.reach(&two).await;
    for channel in CHANNELS {
        let slow = one.call(&two, channel, b"wait for it");
        until("it arrives", || !two.deputy.seen_in(channel).is_empty()).await;
        for quick in [&b"a"[..], b"b"] {
            assert_eq!(
                one.call(&two, channel, quick).await,
                Ok(Bytes::copy_from_slice(quick)),
                "{channel:?}"
            );
        }
        two.deputy.gate.send_replace(true);
        assert_eq!(slow.await, Ok(Bytes::from_static(b"wait for it")));
        two.deputy.gate.send_replace(false);
    }
}

#[tokio::test]
async fn an_answer_longer_than_a_frame_comes_in_parts() {
    let (one, two) = (Member::new(), Member::new());
    one.reach(&two).await;
    for (channel, size) in
        [(Channel::Forward, 70_000_000), (Channel::Service, 1 << 20), (Channel::Service, (1 << 20) + 1)]
    {
        let beside = one.call(&two, channel, b"wait");
        let answer = one.call(&two, channel, format!("large {size}").as_bytes()).await.expect("answered");
        assert!(answer == pattern(size), "{channel:?}: {} bytes of {size}", answer.len());
        two.deputy.gate.send_replace(true);
        assert_eq!(beside.await, Ok(Bytes::from_static(b"wait")));
        two.deputy.gate.send_replace(false);
    }
    // There is a limit, and exceeding it does not cost the connection.
    let beyond = one.call(&two, Channel::Forward, b"large 300000000").await;
    assert!(matches!(&beyond, Err(TransportError::Lost(why)) if why.contains("at most")), "{beyond:?}");
    assert_eq!(one.call(&two, Channel::Forward, b"a").await, Ok(Bytes::from_static(b"a")));
}

#[tokio::test]
async fn what_a_service_rejects_was_not_done_and_what_it_does_not_understand_ends_the_connection() {
    let (one, two) = (Member::new(), Member::new());
    one.reach(&two).await;
    let rejected = one.call(&two, Channel::Forward, b"reject").await;
    assert_eq!(rejected, Err(TransportError::Unreachable("not ready: told to".into())));
    let malformed = one.call(&two, Channel::Forward, b"malformed").await;
    assert!(matches!(&malformed, Err(TransportError::Lost(_))), "{malformed:?}");
    one.reach(&two).await;
    assert_eq!(one.status(two.id).disconnects, 1);
    assert!(!logged(&["rejected a connection", &one.id.to_string(), "told to"]).is_empty());
}

#[tokio::test]
async fn a_resolver_that_never_answers_holds_up_nobody() {
    let mut deaf = options(secret(SECRET, clock(0)), clock(0));
    deaf.names = Names::asking(
        Arc::new(|_| {
            loop {
                std::thread::park();
            }
        }),
        4,
    );
    let (one, two) = (Member::on(Quic::bind(deaf).expect("bound")), Member::new());
    // One of its URLs is a name: the other one is enough, at the first attempt and whenever the connection is lost.
    let urls = [vec!["http://name:2380".to_string()], two.urls()].concat();
    one.reach_at(two.id, &urls).await;
    let lost = super::lab::new_id();
    let nowhere = ["http://name:2380".to_string()];
    for _ in 0..100 {
        let unreachable = one.call_at(lost, &nowhere, Channel::Control, b"x");
        let asked = one.quic.ask(&nowhere, Bytes::from_static(b"x"), Duration::from_millis(1));
        let answered = one.call_at(two.id, &urls, Channel::Control, b"beat");
        let (unreachable, asked, answered) = tokio::join!(unreachable, asked, answered);
        assert!(unreachable.is_err() && asked.is_err());
        assert_eq!(answered, Ok(Bytes::from_static(b"beat")));
    }
    one.fails_with(lost, &nowhere, "name: the name is not resolved within 2s").await;
}

#[tokio::test]
async fn nobody_there_is_found_out_and_then_said_at_once() {
    let one = Member::new();
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let urls = [format!("http://{}", silent.local_addr().expect("bound"))];
    let to = super::lab::new_id();
    // Two calls wait for the attempt in the queue; neither has been sent.
    let calls = [b"a", b"b"].map(|request| one.call_at(to, &urls, Channel::Append, request));
    for result in join_all(calls).await {
        assert!(matches!(result, Err(TransportError::Unreachable(_))), "{result:?}");
    }
    for _ in 0..100 {
        let mut call = Box::pin(one.call_at(to, &urls, Channel::Append, b"c"));
        let at_once = futures_util::poll!(&mut call);
        assert!(matches!(at_once, std::task::Poll::Ready(Err(TransportError::Unreachable(_)))));
    }
    let bad = ["ftp://127.0.0.1:1".to_string()];
    one.fails_with(super::lab::new_id(), &bad, "not a peer URL").await;
    one.fails_with(super::lab::new_id(), &[], "no peer URL").await;
}

#[tokio::test]
async fn one_address_of_several_is_enough() {
    let (one, two) = (Member::new(), Member::new());
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut urls = vec![
        format!("https://{}", silent.local_addr().expect("bound")),
        "http://no-such-host.invalid:2380".to_string(),
    ];
    urls.extend(two.urls().iter().map(|url| url.replace("http://127.0.0.1", "quic://localhost")));
    one.reach_at(two.id, &urls).await;
}

#[tokio::test]
async fn a_member_that_stops_and_starts_again_is_found_again() {
    let one = Member::new();
    let two = Member::new();
    one.reach(&two).await;
    let waiting = one.call(&two, Channel::Forward, b"wait");
    until("the request arrives", || !two.deputy.seen_in(Channel::Forward).is_empty()).await;
    let (id, address, urls) = (two.id, two.address(), two.urls());
    two.quic.close().await;
    // It had arrived.
    assert!(matches!(waiting.await, Err(TransportError::Lost(_))));
    until("the end is seen", || one.status(id).connected_for.is_none()).await;
    let stopped = two.call_at(one.id, &one.urls(), Channel::Control, b"x").await;
    assert_eq!(stopped, Err(TransportError::Unreachable("the peer port is closed".into())));
    drop(two);
    let two = Member::named(id, CLUSTER, port_again(address).await);
    one.reach_at(id, &urls).await;
    assert!(!two.deputy.seen.lock().is_empty());
}

#[tokio::test]
async fn a_member_that_comes_back_is_tried_at_once() {
    let one = Member::new();
    let hidden = port(SECRET);
    let silent = Relay::to("127.0.0.1:9".parse().expect("an address")).await;
    let urls = [format!("http://{}", silent.address)];
    let id = super::lab::new_id();
    // An attempt lasts ten seconds here, and its packets become rarer with time.
    let failed = one.call_at(id, &urls, Channel::Control, b"x").await;
    assert!(matches!(failed, Err(TransportError::Unreachable(_))), "{failed:?}");
    *silent.target.lock() = hidden.local_addresses()[0];
    let back = Member::named(id, CLUSTER, hidden);
    back.reach(&one).await;
    one.reach_at(id, &urls).await;
    assert!(back.deputy.seen.lock().iter().any(|(from, ..)| *from == one.id));
}

/// Forwards datagrams between all senders and one target, which can be replaced.
struct Relay {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
}

impl Relay {
    async fn to(target: SocketAddr) -> Self {
        let outside = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let inside = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = outside.local_addr().expect("bound");
        let target = Arc::new(Mutex::new(target));
        let current = target.clone();
        tokio::spawn(async move {
            let (mut there, mut back) = (vec![0; 65536], vec![0; 65536]);
            let mut caller = None;
            loop {
                tokio::select! {
                    Ok((size, from)) = outside.recv_from(&mut there) => {
                        caller = Some(from);
                        let target = *current.lock();
                        let _ = inside.send_to(&there[..size], target).await;
                    }
                    Ok((size, from)) = inside.recv_from(&mut back) => {
                        let is_current = from == *current.lock();
                        if let (Some(caller), true) = (caller, is_current) {
                            let _ = outside.send_to(&back[..size], caller).await;
                        }
                    }
                }
            }
        });
        Self { address, target }
    }
}

#[tokio::test]
async fn a_member_that_was_killed_says_so_when_it_is_back() {
    let (one, killed) = (Member::new(), Member::new());
    let relay = Relay::to(killed.address()).await;
    let urls = [format!("http://{}", relay.address)];
    one.reach_at(killed.id, &urls).await;
    // Its successor does not know the connection, and answers with a reset: long before the timeout.
    let back = Member::named(killed.id, CLUSTER, port(SECRET));
    *relay.target.lock() = back.address();
    one.reach_at(killed.id, &urls).await;
    until("the successor is spoken to", || !back.deputy.seen.lock().is_empty()).await;
    assert!(!logged(&["peer became inactive", &killed.id.to_string(), "the peer was restarted"]).is_empty());
}

#[tokio::test]
async fn control_goes_on_beside_large_appends() {
    let (one, two) = (Member::new(), Member::new());
    one.reach(&two).await;
    // Seven callers append without a pause while one sends beats. If beats had to wait for what is queued before them,
    // seven appends would be answered for each beat. How fast the machine is does not matter.
    let large = vec![7; 8 << 20];
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let appends = join_all((0..7).map(async |_| {
        while !stop.load(Ordering::Relaxed) {
            let answer = one.call(&two, Channel::Append, &large).await.expect("answered");
            assert!(answer == large);
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let beats = async {
        for _ in 0..10 {
            one.call(&two, Channel::Control, b"beat").await.expect("answered");
        }
        stop.store(true, Ordering::Relaxed);
        answered.load(Ordering::Relaxed)
    };
    let (_, during) = futures_util::join!(appends, beats);
    assert!(during < 35, "{during} appends were answered before ten beats");
}

#[tokio::test]
async fn a_channel_takes_only_so_much() {
    let (one, two) = (Member::new(), Member::new());
    one.reach(&two).await;
    let calls: Vec<_> = (0..1100).map(|_| one.call(&two, Channel::Forward, b"wait")).collect();
    let results = join_all(calls);
    let mut results = std::pin::pin!(results);
    assert!(futures_util::poll!(&mut results).is_pending());
    two.deputy.gate.send_replace(true);
    let results = tokio::time::timeout(LONG, results).await.expect("answered");
    let refused = results.iter().filter(|result| {
        **result == Err(TransportError::Unreachable("too many requests are waiting".into()))
    });
    let refused = refused.count();
    assert!((1..=76).contains(&refused), "{refused} refused");
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1100 - refused);
    // And an answer that is too long for its channel is an error, not a missing answer.
    let large = vec![0; 65 << 20];
    let long = one.call(&two, Channel::Append, &large).await.expect_err("too long").to_string();
    assert!(long.contains("a request of 68157440 bytes, at most 67108864 are allowed"), "{long}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let one = Member::new();
    let mut taken = options(secret(SECRET, clock(0)), clock(0));
    taken.listen = vec![one.address()];
    let error = Quic::bind(taken).err().expect("taken").to_string();
    assert!(error.starts_with(&format!("udp {}: ", one.address())), "{error}");
}
