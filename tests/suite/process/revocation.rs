//! Replacing the revocation list between members while they run.

use super::authority::Authority;
use crate::harness::{Server, Setup, subject, until};
use kvd::api::proto::etcdserverpb::RangeRequest;
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rustix::process::Signal;

/// The files of a member, and the flags that name them. Its certificate has the serial number.
fn equip(authority: &Authority, member: &Server, serial: u64) -> Vec<String> {
    let (certificate, key) = authority.issue("member", serial, &[ServerAuth, ClientAuth]);
    let files = [
        ("cert", certificate.pem()),
        ("key", key.serialize_pem()),
        ("trusted-ca", authority.certificate.pem()),
        ("crl", authority.revoke(None)),
    ];
    let written = files.into_iter().map(|(what, text)| {
        let path = member.dir().join(what);
        std::fs::write(&path, text).expect("a file");
        format!("--peer-{what}-file={}", path.display())
    });
    written.collect()
}

fn read_again(member: &Server) -> usize {
    member.log().matches("the configuration was read again").count()
}

/// Gives a running member another revocation list.
async fn exchange(member: &Server, list: String) {
    std::fs::write(member.dir().join("crl"), list).expect("a file");
    let before = read_again(member);
    member.signal(Signal::HUP);
    until("the files are read again", || read_again(member) > before).await;
}

/// A linearizable read, which needs both members.
async fn until_both_agree(member: &Server) {
    let request = RangeRequest { key: "k".into(), ..Default::default() };
    while let Err(status) = member.api().kv.range(request.clone()).await {
        assert!(
            ["Unavailable", "DeadlineExceeded"].contains(&format!("{:?}", status.code()).as_str()),
            "{status}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_certificate_is_revoked_is_kept_out_without_a_restart() {
    if !subject().is_kvd() {
        return;
    }
    let authority = Authority::new("members' CA");
    let mut members = [Setup::of(&subject()).prepare(), Setup::of(&subject()).prepare()];
    let names = ["keeper", "other"];
    let cluster: Vec<String> =
        names.iter().zip(&members).map(|(name, member)| format!("{name}={}", member.peer_url())).collect();
    for (serial, (name, member)) in (1..).zip(names.iter().zip(&mut members)) {
        let mut flags = equip(&authority, member, serial);
        flags.extend([format!("--name={name}"), format!("--initial-cluster={}", cluster.join(","))]);
        member.add_args(&flags.iter().map(String::as_str).collect::<Vec<_>>());
        member.spawn();
    }
    let [keeper, mut revoked] = members;
    until_both_agree(&keeper).await;
    assert!(revoked.stop().await.success());

    exchange(&keeper, authority.revoke(Some(2))).await;
    revoked.spawn();
    until("the keeper says why", || keeper.log().contains("that of the peer: Revoked")).await;
    until("the other one says why", || revoked.log().contains("that of this member: Revoked")).await;
    assert!(revoked.poll_exit().is_none(), "it may be admitted again");

    exchange(&keeper, authority.revoke(None)).await;
    until_both_agree(&keeper).await;
}
