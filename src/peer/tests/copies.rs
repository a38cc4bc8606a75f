//! Two processes of one member, and members whose data are an older copy.

use std::net::SocketAddr;

use super::lab::{CLUSTER, Member, SECRET, logged, new_id, port, port_again, until, until_logged};
use crate::model::{LogPosition, MemberId, Progress};
use crate::peer::{Channel, Rejection};

/// A process of the member `id` on its own port.
fn process(id: MemberId) -> Member {
    Member::named(id, CLUSTER, port(SECRET))
}

/// Sets the member's URLs in the cluster's list.
fn is_at(at: &Member, id: MemberId, urls: Vec<String>) {
    at.deputy.urls.lock().insert(id, urls);
}

fn refused_as_copy(member: &Member, by: MemberId) -> bool {
    matches!(member.quic.refusals().borrow().get(&by), Some(Rejection::Copy(_)))
}

#[tokio::test]
async fn who_comes_second_is_refused() {
    let (two, id) = (Member::new(), new_id());
    let (one, copy) = (process(id), process(id));
    is_at(&two, id, one.urls());
    one.reach(&two).await;
    let words = format!("another process of member {id} answers at {}", one.address());
    copy.fails_with(two.id, &two.urls(), &words).await;
    // Also if it was unknown before.
    let three = Member::new();
    is_at(&three, id, one.urls());
    copy.fails_with(three.id, &three.urls(), &words).await;
    assert!(copy.deputy.seen.lock().is_empty() && three.deputy.seen.lock().is_empty());
    assert!(refused_as_copy(&copy, two.id) && refused_as_copy(&copy, three.id));
    // Both sides log it.
    until_logged(&["rejected a connection of a peer", &id.to_string(), &words]).await;
    until_logged(&["the connection to a peer was rejected", &two.address().to_string(), &words]).await;
    // Each process can find out which one it is.
    assert_eq!(copy.quic.other_self(&one.urls()).await, Some(one.address()));
    assert_eq!(one.quic.other_self(&one.urls()).await, None);
    until_logged(&["another process calls in the name of this member", &id.to_string()]).await;
    // The first one continues.
    assert_eq!(one.call(&two, Channel::Control, b"a").await, Ok(b"a"[..].into()));
    assert_eq!(one.status(two.id).disconnects, 0);
    assert!(one.quic.refusals().borrow().is_empty());
}

#[tokio::test]
async fn a_copy_that_came_first_gives_way() {
    let (two, id) = (Member::new(), new_id());
    let (starting, copy) = (port(SECRET), process(id));
    let urls = vec![format!("http://{}", starting.local_addresses()[0])];
    is_at(&two, id, urls.clone());
    // There is no other process yet: it may be the member itself at another address.
    copy.reach(&two).await;
    let one = Member::named(id, CLUSTER, starting);
    one.reach(&two).await;
    until("the copy learns of it", || refused_as_copy(&copy, two.id)).await;
    copy.fails_with(two.id, &two.urls(), "another process of member").await;
    assert_eq!(one.call(&two, Channel::Control, b"a").await, Ok(b"a"[..].into()));
    // The same if the member did not call, but was called.
    let (three, again) = (Member::new(), process(id));
    again.reach(&three).await;
    three.reach_at(id, &urls).await;
    until("the other copy learns of it", || refused_as_copy(&again, three.id)).await;
}

#[tokio::test]
async fn where_nobody_is_at_home_the_first_one_counts_as_long_as_it_lives() {
    let (two, id) = (Member::new(), new_id());
    let (one, copy) = (process(id), process(id));
    // Two cannot reach the member, for example because a relay is down.
    one.reach(&two).await;
    copy.fails_with(two.id, &two.urls(), "is connected from 127.0.0.1").await;
    assert_eq!(one.call(&two, Channel::Control, b"a").await, Ok(b"a"[..].into()));
    one.quic.close().await;
    copy.reach(&two).await;
    until("it is taken back", || copy.quic.refusals().borrow().is_empty()).await;
}

/// A member that is restarted at its address, whether its previous process closed its connections or not.
#[tokio::test]
async fn a_restart_is_let_in_at_once() {
    let (two, id) = (Member::new(), new_id());
    let before = process(id);
    is_at(&two, id, before.urls());
    before.reach(&two).await;
    two.reach(&before).await;
    let address: SocketAddr = before.address();
    before.quic.close().await;
    let again = Member::named(id, CLUSTER, port_again(address).await);
    again.reach(&two).await;
    two.reach(&again).await;
    // And one that has moved: its earlier connection still looks alive.
    let moved = process(id);
    is_at(&two, id, moved.urls());
    moved.reach(&two).await;
    until("the earlier process learns of it", || refused_as_copy(&again, two.id)).await;
    assert!(moved.quic.refusals().borrow().is_empty());
    assert_eq!(logged(&["rejected a connection of a peer", &id.to_string(), "another process"]), [""; 0]);
}

#[tokio::test]
async fn an_older_copy_is_refused_whoever_calls() {
    let at = |index| Progress { term: 3, last: Some(LogPosition { term: 3, leader: 0, index }) };
    let (one, leader) = (Member::new(), Member::new());
    leader.deputy.acknowledged.lock().insert(one.id, at(10));
    *one.deputy.progress.lock() = at(9);
    let words = "an older copy: its log ends before entry 10 of term 3";
    one.fails_with(leader.id, &leader.urls(), words).await;
    let outdated = |member: &Member| member.quic.refusals().borrow().get(&leader.id).cloned();
    assert_eq!(outdated(&one), Some(Rejection::Outdated(at(10))));
    until_logged(&["rejected a connection of a peer", &one.id.to_string(), words]).await;
    // The data on the disk count, not earlier messages.
    *one.deputy.progress.lock() = at(10);
    one.reach(&leader).await;
    assert_eq!(outdated(&one), None);
    // The leader calls a member from which it has received nothing so far.
    let other = Member::new();
    leader.deputy.acknowledged.lock().insert(other.id, at(10));
    leader.fails_with(other.id, &other.urls(), words).await;
    assert_eq!(outdated(&other), Some(Rejection::Outdated(at(10))));
    assert!(other.deputy.seen.lock().is_empty());
}
