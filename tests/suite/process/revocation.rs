//! Replacing the revocation list between members while they run.

use super::authority::Authority;
use crate::harness::{Server, Setup, page, subject, until};
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

/// Two members that agree.
async fn pair(authority: &Authority) -> [Server; 2] {
    let mut members = [Setup::of(&subject()).prepare(), Setup::of(&subject()).prepare()];
    let names = ["keeper", "other"];
    let cluster: Vec<String> =
        names.iter().zip(&members).map(|(name, member)| format!("{name}={}", member.peer_url())).collect();
    for (serial, (name, member)) in (1..).zip(names.iter().zip(&mut members)) {
        let mut flags = equip(authority, member, serial);
        flags.extend([format!("--name={name}"), format!("--initial-cluster={}", cluster.join(","))]);
        member.add_args(&flags.iter().map(String::as_str).collect::<Vec<_>>());
        member.spawn();
    }
    until_both_agree(&members[0]).await;
    members
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

fn days_until_2120() -> i64 {
    const SECONDS: i64 = 4_733_510_400;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    (SECONDS - now.as_secs() as i64).div_euclid(24 * 3600)
}

/// Files of a member that others replace are used by its next connection, without a signal: its certificate, and the CAs
/// that it trusts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_files_of_a_member_need_no_signal() {
    if !subject().is_kvd() {
        return;
    }
    let (authority, other) = (Authority::new("members' CA"), Authority::new("another CA"));
    let [mut keeper, renewed] = pair(&authority).await;
    let write = |member: &Server, what: &str, text: &str| {
        std::fs::write(member.dir().join(what), text).expect("a file");
    };
    let (certificate, key) = other.certify("member", 9, &[ServerAuth, ClientAuth], |params| {
        params.not_after = rcgen::date_time_ymd(2120, 1, 1);
    });
    write(&renewed, "cert", &certificate.pem());
    write(&renewed, "key", &key.serialize_pem());
    let before = days_until_2120();
    let metrics = page(&renewed, "/metrics").await;
    let file = renewed.dir().join("cert").display().to_string();
    let left = metrics
        .lines()
        .find_map(|line| line.strip_prefix(&format!("kvd_certificate_days_left{{file=\"{file}\"}} ")));
    let left: Option<i64> = left.and_then(|left| left.parse().ok());
    assert!(left.is_some_and(|left| (days_until_2120()..=before).contains(&left)), "{left:?} {metrics}");
    keeper.kill();
    keeper.spawn();
    let stranger = "the other side does not have the same cluster secret (or certificate authority)";
    until("the new certificate is shown", || keeper.log().contains(stranger)).await;
    let both = format!("{}{}", authority.certificate.pem(), other.certificate.pem());
    for member in [&keeper, &renewed] {
        write(member, "trusted-ca", &both);
    }
    until_both_agree(&keeper).await;
    assert_eq!(read_again(&keeper) + read_again(&renewed), 0, "nobody has sent a signal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_certificate_is_revoked_is_kept_out_without_a_restart() {
    if !subject().is_kvd() {
        return;
    }
    let authority = Authority::new("members' CA");
    let [keeper, mut revoked] = pair(&authority).await;
    assert!(revoked.stop().await.success());

    exchange(&keeper, authority.revoke(Some(2))).await;
    revoked.spawn();
    until("the keeper says why", || {
        keeper.log().contains("that of the peer: the certificate \\\"member\\\" was revoked")
    })
    .await;
    until("the other one says why", || {
        revoked.log().contains("that of this member: the certificate \\\"member\\\" was revoked")
    })
    .await;
    assert!(revoked.poll_exit().is_none(), "it may be admitted again");

    exchange(&keeper, authority.revoke(None)).await;
    until_both_agree(&keeper).await;
}
