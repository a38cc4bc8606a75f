//! The operator's own certificates.

use super::lab::{Ca, DAY, Folder, NOW, Order, SetClock, filed, refused, shake};
use crate::pki::{Allowed, Credentials, Files, Holder, PkiError, Trust};

fn open(files: Files) -> Result<Credentials, PkiError> {
    Credentials::from_files(files, SetClock::at(NOW))
}

/// The files, with other trust.
fn with(mut files: Files, change: impl FnOnce(&mut Trust)) -> Files {
    change(&mut files.trust);
    files
}

#[test]
fn members_of_one_ca_accept_each_other_under_the_names_in_their_certificates() {
    let ca = Ca::new("the CA");
    let desks = [Folder::new(), Folder::new()];
    let one = filed(&desks[0], &Order::of("one"), &ca);
    let two = filed(&desks[1], &Order { hosts: &["10.0.0.2", "two.example"], ..Order::of("two") }, &ca);
    let [shown, _] = shake(&one, &two, "10.0.0.2").expect("by address");
    shake(&one, &two, "two.example").expect("by name");
    two.check_holder(&shown, Holder::default()).expect("an operator's certificate names no member");
    for host in ["10.0.0.3", "three.example"] {
        let words = format!("is not for {host}: it is for 10.0.0.2, two.example");
        let refused = refused(&one, &two, host);
        assert!(refused.starts_with("client: ") && refused.contains(&words), "{refused}");
    }
}

#[test]
fn another_ca_is_refused() {
    let desks = [Folder::new(), Folder::new()];
    let one = filed(&desks[0], &Order::of("one"), &Ca::new("the CA"));
    let two = filed(&desks[1], &Order::of("two"), &Ca::new("the CA"));
    assert!(
        refused(&one, &two, "127.0.0.1").contains("UnknownIssuer")
            || refused(&one, &two, "127.0.0.1").contains("BadSignature")
    );
}

#[test]
fn only_allowed_names_are_let_in() {
    let ca = Ca::new("the CA");
    let (folder, other) = (Folder::new(), Folder::new());
    let one = filed(&folder, &Order { hosts: &["127.0.0.1", "one.example"], ..Order::of("one") }, &ca);
    other.put(&ca.issue(&Order::of("two")), &ca.pem);
    let strict = |cn: &[&str], hosts: &[&str]| {
        let list = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        let allowed = Allowed { common_names: list(cn), hosts: list(hosts) };
        open(with(other.files(), |trust| trust.allowed = allowed)).expect("good")
    };
    shake(&one, &strict(&["zero", "one"], &[]), "127.0.0.1").expect("allowed");
    shake(&one, &strict(&[], &["zero.example", "one.example"]), "127.0.0.1").expect("allowed");
    let text = refused(&one, &strict(&["zero"], &[]), "127.0.0.1");
    assert!(
        text.starts_with("server:") && text.contains("common name \"one\" is not among those allowed"),
        "{text}"
    );
    let text = refused(&one, &strict(&[], &["zero.example"]), "127.0.0.1");
    assert!(text.starts_with("server:") && text.contains("none of the hosts allowed"), "{text}");
    // The dialled member's certificate is checked as well.
    let text = refused(&strict(&["zero"], &[]), &one, "127.0.0.1");
    assert!(text.starts_with("client:") && text.contains("not among those allowed"), "{text}");
}

#[test]
fn what_a_list_revokes_is_refused_both_ways() {
    let ca = Ca::new("the CA");
    let (good, bad, careful) = (Folder::new(), Folder::new(), Folder::new());
    let good = filed(&good, &Order::of("good"), &ca);
    let bad = filed(&bad, &Order { serial: 666, ..Order::of("bad") }, &ca);
    careful.put(&ca.issue(&Order { serial: 8, ..Order::of("careful") }), &ca.pem);
    let crl = careful.write("crl.pem", &ca.revoke(666));
    let careful = open(with(careful.files(), |trust| trust.crl = Some(crl))).expect("good files");
    shake(&good, &careful, "127.0.0.1").expect("not revoked");
    shake(&careful, &good, "127.0.0.1").expect("not revoked");
    for (client, server, who) in [(&bad, &careful, "server: "), (&careful, &bad, "client: ")] {
        let refused = refused(client, server, "127.0.0.1");
        assert!(refused.starts_with(who) && refused.contains("\"bad\" was revoked"), "{refused}");
    }
}

#[test]
fn a_ca_that_is_revoked_issues_nothing_though_it_is_trusted_itself() {
    let ca = Ca::new("the CA");
    let below = ca.below("below", 666);
    let (good, bad, careful) = (Folder::new(), Folder::new(), Folder::new());
    let good = filed(&good, &Order::of("good"), &ca);
    let bundle = format!("{}{}", ca.pem, below.pem);
    bad.put(&below.issue(&Order::of("bad")), &bundle);
    let bad = open(bad.files()).expect("good files");
    careful.put(&ca.issue(&Order::of("careful")), &bundle);
    let trusting = open(careful.files()).expect("good files");
    shake(&bad, &trusting, "127.0.0.1").expect("nothing is revoked");
    let crl = careful.write("crl.pem", &ca.revoke(666));
    let careful = open(with(careful.files(), |trust| trust.crl = Some(crl))).expect("good files");
    let refused = refused(&bad, &careful, "127.0.0.1");
    assert!(refused.starts_with("server: ") && refused.contains("\"below\" was revoked"), "{refused}");
    shake(&good, &careful, "127.0.0.1").expect("not revoked");
}

#[test]
fn cas_are_exchanged_by_reloads_with_both_in_the_bundle() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let (desk_one, desk_two) = (Folder::new(), Folder::new());
    let one = filed(&desk_one, &Order::of("one"), &old);
    let two = filed(&desk_two, &Order::of("two"), &old);
    let meet = || {
        shake(&one, &two, "127.0.0.1").expect("accepted");
        shake(&two, &one, "127.0.0.1").expect("accepted");
    };
    let both = format!("{}{}", old.pem, new.pem);
    for bundle in [&both, &both] {
        desk_one.write("ca.pem", bundle);
        desk_two.write("ca.pem", bundle);
        one.reload().expect("good");
        meet();
        two.reload().expect("good");
        meet();
    }
    desk_one.put(&new.issue(&Order::of("one")), &both);
    one.reload().expect("good");
    meet();
    desk_two.put(&new.issue(&Order::of("two")), &new.pem);
    two.reload().expect("good");
    meet();
    desk_one.write("ca.pem", &new.pem);
    one.reload().expect("good");
    meet();
    let late = Folder::new();
    let late = filed(&late, &Order::of("late"), &old);
    assert!(shake(&late, &one, "127.0.0.1").is_err());
}

#[test]
fn every_broken_file_is_named_and_what_is_in_use_stays() {
    let ca = Ca::new("the CA");
    let folder = Folder::new();
    let one = filed(&folder, &Order::of("one"), &ca);
    let other = Folder::new();
    let two = filed(&other, &Order::of("two"), &ca);
    let good = ca.issue(&Order::of("one"));
    let wrong_key = ca.issue(&Order::of("one")).1;
    let old = ca.issue(&Order { from: NOW - 9 * DAY, until: NOW - DAY, ..Order::of("one") });
    let early = ca.issue(&Order { from: NOW + DAY, ..Order::of("one") });
    let cases: [(&str, (&str, &str), &str, &str); 8] = [
        ("cert.pem", ("no certificate", &good.1), &ca.pem, "it holds no certificate in PEM form"),
        ("key.pem", (&good.0, "no key"), &ca.pem, "it holds no private key in PEM form"),
        ("ca.pem", (&good.0, &good.1), "", "it holds no certificate in PEM form"),
        ("ca.pem", (&good.0, &good.1), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ""),
        (
            "cert.pem",
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &good.1),
            &ca.pem,
            "",
        ),
        ("cert.pem", (&good.0, &wrong_key), &ca.pem, "the certificate does not belong to the key in"),
        ("cert.pem", (&old.0, &old.1), &ca.pem, "the certificate has expired: it was valid until Dec 31"),
        ("cert.pem", (&early.0, &early.1), &ca.pem, "the certificate is not valid before Jan  2"),
    ];
    for (name, (cert, key), bundle, words) in cases {
        folder.put(&(cert.into(), key.into()), bundle);
        let text = one.reload().expect_err(name).to_string();
        let place = folder.path(name).display().to_string();
        assert!(text.starts_with(&place) && text.contains(words), "{name}: {text}");
        shake(&one, &two, "127.0.0.1").expect("the old ones stay in use");
    }
    folder.put(&good, &ca.pem);
    std::fs::remove_file(folder.path("key.pem")).expect("there");
    assert!(one.reload().expect_err("missing").to_string().contains("key.pem: "));
    let missing = with(other.files(), |trust| trust.crl = Some(folder.path("crl.pem")));
    let text = open(missing).expect_err("missing").to_string();
    assert!(text.contains("crl.pem: "), "{text}");
}

#[test]
fn a_member_starts_with_an_expired_certificate_and_takes_a_better_one_by_a_reload() {
    let ca = Ca::new("the CA");
    let (folder, other) = (Folder::new(), Folder::new());
    folder.put(&ca.issue(&Order { from: NOW - 9 * DAY, until: NOW - DAY, ..Order::of("one") }), &ca.pem);
    let one = open(folder.files()).expect("a warning only");
    let two = filed(&other, &Order::of("two"), &ca);
    for (client, server, who) in [(&one, &two, "server: "), (&two, &one, "client: ")] {
        let refused = refused(client, server, "127.0.0.1");
        assert!(refused.starts_with(who) && refused.contains("\"one\" has expired"), "{refused}");
    }
    folder.put(&ca.issue(&Order::of("one")), &ca.pem);
    one.reload().expect("a better one");
    shake(&one, &two, "127.0.0.1").expect("accepted");
}

#[test]
fn another_pair_may_be_shown_to_those_who_are_dialled() {
    let ca = Ca::new("the CA");
    let (folder, other) = (Folder::new(), Folder::new());
    folder.put(&ca.issue(&Order::of("server")), &ca.pem);
    let (cert, key) = ca.issue(&Order::of("client"));
    let pair = crate::pki::Pair { cert: folder.write("c.pem", &cert), key: folder.write("k.pem", &key) };
    let one = open(Files { client_pair: Some(pair), ..folder.files() }).expect("good files");
    other.put(&ca.issue(&Order::of("two")), &ca.pem);
    let strict = open(with(other.files(), |trust| trust.allowed.common_names = vec!["client".into()]))
        .expect("good files");
    shake(&one, &strict, "127.0.0.1").expect("it shows the client's");
    assert!(refused(&strict, &one, "127.0.0.1").contains("\"server\" is not among those allowed"));
}
