//! Every refused caller receives the reason, and both sides log it.

use std::sync::Arc;

use super::lab::{
    CLUSTER, LONG, Member, SECRET, clock, logged, new_id, options, port, secret, until, until_logged,
};
use crate::model::{ClusterId, MemberId};
use crate::peer::{AskError, Channel, Quic, Rejection, Transport, TransportError};
use crate::pki::{Allowed, Credentials, Files, Holder, Pair, SecretSource, Trust};

/// What both sides say if neither the secret nor the authority is the same.
const STRANGER: &str = "the other side does not have the same cluster secret (or certificate authority)";

/// Calls until it fails for this reason, and waits until both members have logged it: once, whatever the number of
/// attempts.
async fn refused(one: &Member, to: MemberId, at: &Member, words: &str) {
    one.fails_with(to, &at.urls(), words).await;
    // Some more attempts.
    for _ in 0..5 {
        let failed = one.call_at(to, &at.urls(), Channel::Control, b"x").await;
        assert!(matches!(failed, Err(TransportError::Unreachable(_))), "{failed:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let address = at.address().to_string();
    let out = ["the connection to a peer was rejected", &to.to_string(), &address, words].map(str::to_owned);
    let out: Vec<&str> = out.iter().map(String::as_str).collect();
    until_logged(&out).await;
    assert_eq!(logged(&out).len(), 1, "{:?}", logged(&out));
    assert!(one.status(to).problem.is_some_and(|problem| problem.contains(words)));
    assert_eq!(*at.deputy.seen.lock(), []);
}

async fn logged_there(who: &str, words: &str) {
    let words = ["rejected a connection of a peer", who, words];
    until_logged(&words).await;
    // Other tests come from the same address.
    let times = logged(&words).len();
    assert!(times == 1 || who == "127.0.0.1", "{:?}", logged(&words));
}

#[tokio::test]
async fn another_cluster() {
    let two = Member::new();
    let one = Member::named(new_id(), ClusterId(0xc2), port(SECRET));
    refused(&one, two.id, &two, "cluster id mismatch: this is cluster c1, not c2").await;
    logged_there(&one.id.to_string(), "cluster id mismatch: this is cluster c1, not c2").await;
}

/// Left over from before the cluster was begun anew, whoever calls.
#[tokio::test]
async fn another_life_of_the_cluster() {
    let (old, new) = (Member::new(), Member::new());
    new.deputy.epoch.store(1, std::sync::atomic::Ordering::SeqCst);
    let words = "cluster epoch mismatch: 1 here, 0 of the caller";
    refused(&old, new.id, &new, words).await;
    logged_there(&old.id.to_string(), words).await;
    refused(&new, old.id, &old, "cluster epoch mismatch: 0 here, 1 of the caller").await;
    old.deputy.epoch.store(1, std::sync::atomic::Ordering::SeqCst);
    old.reach(&new).await;
}

#[tokio::test]
async fn another_member_at_that_address() {
    let (one, two) = (Member::new(), Member::new());
    let to = new_id();
    let words = format!("member id mismatch: this is member {}, not {to}", two.id);
    refused(&one, to, &two, &words).await;
    logged_there(&one.id.to_string(), &words).await;
}

#[tokio::test]
async fn a_member_that_was_removed_learns_of_it() {
    let (one, two) = (Member::new(), Member::new());
    *two.deputy.admits.lock() = Err(Rejection::Removed);
    let told = one.quic.refusals();
    assert!(told.borrow().is_empty());
    let words = "the member has been permanently removed from the cluster";
    refused(&one, two.id, &two, words).await;
    logged_there(&one.id.to_string(), words).await;
    assert!(!told.borrow().is_empty());
    assert!(two.quic.refusals().borrow().is_empty());
}

#[tokio::test]
async fn someone_unknown_until_it_is_known() {
    let (one, two) = (Member::new(), Member::new());
    *two.deputy.admits.lock() = Err(Rejection::Unknown);
    refused(&one, two.id, &two, "not a member of this cluster").await;
    logged_there(&one.id.to_string(), "not a member of this cluster").await;
    // The reason changes, and is logged again.
    *two.deputy.admits.lock() = Err(Rejection::NotReady("later".into()));
    one.fails_with(two.id, &two.urls(), "not ready: later").await;
    logged_there(&one.id.to_string(), "not ready: later").await;
    *two.deputy.admits.lock() = Ok(());
    one.reach(&two).await;
    assert!(one.status(two.id).problem.is_none());
    assert!(one.quic.refusals().borrow().is_empty());
}

#[tokio::test]
async fn a_member_that_is_starting() {
    let one = Member::new();
    let starting = port(SECRET);
    let urls = [format!("http://{}", starting.local_addresses()[0])];
    let to = new_id();
    one.fails_with(to, &urls, "not ready: this member is starting").await;
    starting.serve(to, CLUSTER, super::lab::Deputy::new());
    one.reach_at(to, &urls).await;
    // A member without an identity cannot call.
    let nobody = port(SECRET);
    let failed = nobody.call(to, &urls, Channel::Control, b"x"[..].into(), LONG).await;
    assert_eq!(failed, Err(TransportError::Unreachable("this member has no identity yet".into())));
}

#[tokio::test]
async fn another_secret() {
    let two = Member::new();
    let one = Member::on(port("correct horse stable"));
    refused(&one, two.id, &two, STRANGER).await;
    // The called side only receives the caller's alert.
    logged_there("127.0.0.1", STRANGER).await;
}

#[tokio::test]
async fn a_certificate_of_another_member() {
    let two = Member::new();
    let credentials = secret(SECRET, clock(0));
    let one = Member::on(Quic::bind(options(credentials.clone(), clock(0))).expect("bound"));
    credentials.identify(Holder { member: MemberId(0xbad), cluster: CLUSTER });
    let words =
        format!("the certificate is of member bad of cluster c1, not of member {} of cluster c1", one.id);
    refused(&one, two.id, &two, &words).await;
    logged_there("127.0.0.1", &words).await;
    // The same in the other direction: the called side shows another id than it claims.
    let three = Member::new();
    three.fails_with(one.id, &one.urls(), "bad certificate: the certificate is of member bad").await;
    logged_there(
        "127.0.0.1",
        &format!("the certificate is of member bad of cluster c1, not of member {} of", one.id),
    )
    .await;
}

#[tokio::test]
async fn an_expired_certificate() {
    let two = Member::new();
    // Its clock is a month behind, and so are the certificates that it issues to itself.
    let off = clock(-30 * 24 * 3600 * 1000);
    let credentials = secret(SECRET, off.clone());
    let one = Member::on(Quic::bind(options(credentials, off)).expect("bound"));
    one.fails_with(two.id, &two.urls(), "is not valid before ").await;
    two.fails_with(one.id, &one.urls(), "has expired: it was valid until ").await;
}

#[tokio::test]
async fn another_protocol() {
    let two = Member::new();
    let words = "protocol version mismatch: this member speaks 3, not 1";
    let mut greeting = super::garbage::greeting(&two);
    greeting.protocol = 1;
    let stranger = super::garbage::Stranger::connect(&two).await;
    let refused = stranger.greet(&greeting).await;
    assert_eq!(refused, Err(Rejection::Protocol("this member speaks 3, not 1".into())));
    until_logged(&["rejected a connection of a peer", words]).await;
    let closed = stranger.connection.closed().await.to_string();
    assert!(closed.contains(words), "{closed}");
    // And a caller with another protocol from the start.
    let error = super::garbage::Stranger::try_connect(&two, b"kvd/2").await.err().expect("refused");
    assert!(error.to_string().contains("peer doesn't support any known protocol"), "{error}");
    until_logged(&["rejected a connection of a peer", "protocol version mismatch: this member speaks kvd/1"])
        .await;
}

fn filed(
    directory: &std::path::Path,
    allowed: &[&str],
    crl: bool,
) -> Result<Arc<Credentials>, crate::pki::PkiError> {
    let path = |name: &str| directory.join(name);
    let files = Files {
        pair: Pair { cert: path("cert.pem"), key: path("key.pem") },
        client_pair: None,
        trust: Trust {
            ca: Some(path("ca.pem")),
            crl: crl.then(|| path("crl.pem")),
            allowed: Allowed {
                common_names: allowed.iter().map(|name| name.to_string()).collect(),
                hosts: Vec::new(),
            },
        },
    };
    Credentials::from_files(files, clock(0)).map(Arc::new)
}

#[tokio::test]
async fn certificates_of_an_operator() {
    use crate::pki::lab::{Ca, Order, now_order};
    let (ca, other) = (Ca::new("the CA"), Ca::new("another CA"));
    let member = |ca: &Ca, order: Order<'_>, bundle: &str, allowed: &[&str], revoked: Option<u64>| {
        let directory = tempfile::tempdir().expect("a directory");
        let (cert, key) = ca.issue(&order);
        let write =
            |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("writable");
        write("cert.pem", &cert);
        write("key.pem", &key);
        write("ca.pem", bundle);
        revoked.iter().for_each(|serial| write("crl.pem", &ca.revoke(*serial)));
        let credentials = filed(directory.path(), allowed, revoked.is_some()).expect("good files");
        let quic = Quic::bind(options(credentials.clone(), clock(0))).expect("bound");
        (Member::on(quic), credentials, directory)
    };
    let (strict, credentials, directory) =
        member(&ca, now_order("strict", 1), &ca.pem, &["strict", "good", "revoked"], Some(3));
    let (good, ..) = member(&ca, now_order("good", 2), &ca.pem, &[], None);
    good.reach(&strict).await;
    strict.reach(&good).await;
    let both = format!("{}{}", ca.pem, other.pem);
    for (order, issuer, words) in [
        (now_order("revoked", 3), &ca, "the certificate \"revoked\" was revoked"),
        (now_order("evil", 4), &ca, "its common name \"evil\" is not among those allowed"),
    ] {
        let (bad, ..) = member(issuer, order, &both, &[], None);
        let words = format!("bad certificate: the peer does not accept that of this member: {words}");
        bad.fails_with(strict.id, &strict.urls(), &words).await;
        strict.fails_with(bad.id, &bad.urls(), "bad certificate: that of the peer: ").await;
    }
    // Names count for whoever is dialled.
    let elsewhere = Order { hosts: &["a.example"], ..now_order("good", 8) };
    let (bad, ..) = member(&ca, elsewhere, &both, &[], None);
    let words = "that of the peer: the certificate \"good\" is not for 127.0.0.1: it is for a.example";
    strict.fails_with(bad.id, &bad.urls(), words).await;
    let (bad, ..) = member(&other, now_order("good", 5), &both, &[], None);
    bad.fails_with(strict.id, &strict.urls(), STRANGER).await;
    strict.fails_with(bad.id, &bad.urls(), STRANGER).await;
    // After a reload the other CA is accepted, for new connections; existing ones continue.
    let (late, ..) = member(&other, now_order("good", 6), &both, &[], None);
    late.fails_with(strict.id, &strict.urls(), STRANGER).await;
    std::fs::write(directory.path().join("ca.pem"), &both).expect("writable");
    credentials.reload().expect("good files");
    late.reach(&strict).await;
    strict.reach(&late).await;
    assert_eq!(good.status(strict.id).disconnects, 0);
}

/// The other side was verified with credentials that have been replaced since: it is verified again.
#[tokio::test]
async fn a_reload_during_the_handshake_begins_it_again() {
    let credentials = secret(SECRET, clock(0));
    let one = Member::on(Quic::bind(options(credentials.clone(), clock(0))).expect("bound"));
    let two = Member::new();
    *two.deputy.meanwhile.lock() = Some(Box::new(move || credentials.reload().expect("the same secret")));
    one.reach(&two).await;
    let exchanged = "certificates were exchanged during the handshake";
    until_logged(&["the connection to a peer was rejected", &two.id.to_string(), exchanged]).await;
}

#[tokio::test]
async fn leaves_are_renewed_under_way() {
    let off = clock(0);
    let life = std::time::Duration::from_secs(3600);
    let open = || {
        let source = SecretSource::Text(SECRET.to_string().into());
        Arc::new(Credentials::from_secret(source, off.clone()).expect("a secret").with_leaf_life(life))
    };
    let (one, two) = (open(), open());
    let one = Member::on(Quic::bind(options(one, off.clone())).expect("bound"));
    let two = Member::on(Quic::bind(options(two, off.clone())).expect("bound"));
    one.reach(&two).await;
    // Years later the connection still exists, and new ones are made with new certificates.
    off.0.store(3 * 365 * 24 * 3600 * 1000, std::sync::atomic::Ordering::SeqCst);
    one.reach(&two).await;
    two.reach(&one).await;
    assert_eq!(one.status(two.id).disconnects, 0);
}

#[tokio::test]
async fn a_rejected_question_says_by_whom() {
    let (two, asker) = (Member::new(), port(SECRET));
    let rejected = asker.ask(&two.urls(), b"reject"[..].into(), LONG).await;
    assert_eq!(
        rejected,
        Err(AskError::Rejected { address: two.address().to_string(), rejection: Rejection::Unknown })
    );
    until("it was asked", || !two.deputy.asked.lock().is_empty()).await;
}
