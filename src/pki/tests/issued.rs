//! Certificates that members issue to themselves.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::lab::{DAY, Folder, NOW, SetClock, refused, shake};
use crate::model::{ClusterId, MemberId};
use crate::pki::{Credentials, Holder, SecretSource};

fn holder(member: u64) -> Holder {
    Holder { member: MemberId(member), cluster: ClusterId(0xc1) }
}

fn with(secret: &str, member: u64) -> Credentials {
    let source = SecretSource::Text(secret.to_string().into());
    let credentials = Credentials::from_secret(source, SetClock::at(NOW)).expect("a secret");
    credentials.identify(holder(member));
    credentials
}

const SECRET: &str = "correct horse battery";

#[test]
fn members_with_one_secret_know_each_other_by_id() {
    let (one, two) = (with(SECRET, 1), with(SECRET, 2));
    let [of_one, of_two] = shake(&one, &two, "10.0.0.2").expect("accepted under any address");
    two.check_holder(&of_one, holder(1)).expect("it is");
    one.check_holder(&of_two, holder(2)).expect("it is");
    let text = two.check_holder(&of_one, holder(2)).expect_err("it is not").to_string();
    assert_eq!(text, "the certificate is of member 1 of cluster c1, not of member 2 of cluster c1");
    let elsewhere = Holder { cluster: ClusterId(0xc2), ..holder(1) };
    assert!(two.check_holder(&of_one, elsewhere).is_err());
    assert!(two.check_holder(&[], holder(1)).is_err());
}

#[test]
fn someone_without_an_identity_has_a_certificate_that_says_so() {
    let newcomer = Credentials::from_secret(SecretSource::Text(SECRET.to_string().into()), SetClock::at(NOW))
        .expect("a secret");
    let [shown, _] = shake(&newcomer, &with(SECRET, 2), "x").expect("accepted");
    newcomer.check_holder(&shown, Holder::default()).expect("no member of no cluster");
}

#[test]
fn another_secret_is_refused_by_both_ends() {
    assert_eq!(
        refused(&with(SECRET, 1), &with("correct horse stable", 2), "x"),
        "client: invalid peer certificate: UnknownIssuer"
    );
    // Members without a secret accept each other, and refuse every member that has one.
    let without = || Credentials::from_secret(SecretSource::Absent, SetClock::at(NOW)).expect("keys");
    assert!(refused(&without(), &with(SECRET, 2), "x").contains("UnknownIssuer"));
    shake(&without(), &without(), "x").expect("accepted");
}

#[test]
fn a_secret_is_exchanged_with_both_accepted_in_between() {
    let folder = Folder::new();
    let path = folder.write("secret", "the old secret of all\n");
    let open =
        || Credentials::from_secret(SecretSource::File(path.clone()), SetClock::at(NOW)).expect("a secret");
    let (one, two) = (open(), open());
    let meet = || {
        shake(&one, &two, "x").expect("accepted");
        shake(&two, &one, "x").expect("accepted");
    };
    meet();
    let steps = [
        "the old secret of all\n\n  the new secret of all  \n",
        "the new secret of all\nthe old secret of all",
        "the new secret of all",
    ];
    for step in steps {
        folder.write("secret", step);
        one.reload().expect("readable");
        meet();
        two.reload().expect("readable");
        meet();
    }
    assert!(refused(&with("the old secret of all", 1), &one, "x").contains("UnknownIssuer"));
    shake(&with("the new secret of all", 1), &one, "x").expect("accepted");
}

#[test]
fn a_bad_secret_is_named_and_the_one_in_use_stays() {
    let folder = Folder::new();
    let path = folder.write("secret", "the old secret of all");
    let source = SecretSource::File(path.clone());
    let one = Credentials::from_secret(source.clone(), SetClock::at(NOW)).expect("a secret");
    let place = path.display().to_string();
    for (text, words) in [
        ("short", format!("the secret in {place} has 5 characters, at least 16 are needed")),
        (" \n\n", format!("{place} holds no secret")),
    ] {
        folder.write("secret", text);
        assert_eq!(one.reload().expect_err("refused").to_string(), words);
    }
    folder.write("secret", "the new secret of all");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("mine");
    let refused = one.reload().expect_err("everybody may have read it").to_string();
    assert!(refused.starts_with(&place) && refused.contains("(mode 644)"), "{refused}");
    std::fs::remove_file(&path).expect("there");
    assert!(one.reload().expect_err("gone").to_string().starts_with(&place));
    shake(&one, &with("the old secret of all", 2), "x").expect("still in use");
    let text = SecretSource::Text("tiny".to_string().into());
    assert!(!format!("{:?}", text).contains("tiny"));
    let error = Credentials::from_secret(text, SetClock::at(NOW)).expect_err("too short").to_string();
    assert_eq!(error, "the secret in cluster-secret has 4 characters, at least 16 are needed");
}

#[test]
fn a_leaf_is_renewed_in_time_and_an_old_one_is_refused() {
    let clock = SetClock::at(NOW);
    let open = |clock| {
        let source = SecretSource::Text(SECRET.to_string().into());
        Credentials::from_secret(source, clock).expect("a secret").with_leaf_life(Duration::from_secs(3600))
    };
    let (one, two) = (open(clock.clone()), open(clock.clone()));
    let shown = |credentials: &Credentials| shake(credentials, &two, "x").expect("accepted")[0].clone();
    let first = shown(&one);
    clock.add(39 * 60 * 1000);
    assert!(shown(&one) == first, "renewed before two thirds of its life");
    clock.add(60 * 1000);
    let second = shown(&one);
    assert!(second != first, "not renewed after two thirds of its life");
    // Long after both certificates would have expired.
    clock.add(30 * DAY);
    assert!(shown(&one) != second);
    // A member whose clock stands still shows an expired certificate; one that is a little behind does not.
    let stuck = open(SetClock::at(NOW));
    assert!(refused(&two, &stuck, "x").contains("has expired: it was valid until"));
    let behind = open(SetClock::at(NOW + 30 * DAY));
    shake(&two, &behind, "x").expect("an hour behind");
    shake(&behind, &two, "x").expect("an hour ahead");
}

#[test]
fn the_reset_key_is_the_same_after_a_restart_and_another_for_another_secret() {
    assert_eq!(with(SECRET, 1).reset_key(), with(SECRET, 1).reset_key());
    assert_ne!(with(SECRET, 1).reset_key(), with("another secret of all", 1).reset_key());
}
