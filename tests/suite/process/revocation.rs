//! A revocation list between members, exchanged in a running one.

use crate::harness::{Server, Setup, subject, until};
use kvd::api::proto::etcdserverpb::RangeRequest;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustix::process::Signal;
use std::path::Path;

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "members' CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a CA").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// The files of a member, and the flags that name them. Its certificate has the serial number.
    fn equip(&self, member: &Server, serial: u64) -> Vec<String> {
        let mut params = CertificateParams::new(vec!["127.0.0.1".into()]).expect("names");
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.revoke(member.dir(), None);
        let texts =
            [("cert", certificate.pem()), ("key", key.serialize_pem()), ("trusted-ca", self.pem.clone())];
        let written = texts.into_iter().map(|(what, text)| {
            let path = member.dir().join(what);
            std::fs::write(&path, text).expect("a file");
            format!("--peer-{what}-file={}", path.display())
        });
        let list = format!("--peer-crl-file={}", member.dir().join("crl").display());
        written.chain([list]).collect()
    }

    /// A new revocation list, with one certificate on it or none.
    fn revoke(&self, dir: &Path, serial: Option<u64>) {
        let revoked = |serial: u64| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2120, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serial.into_iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a list").pem().expect("PEM");
        std::fs::write(dir.join("crl"), list).expect("a file");
    }
}

fn read_again(member: &Server) -> usize {
    member.log().matches("the configuration was read again").count()
}

async fn reload(member: &Server) {
    let before = read_again(member);
    member.signal(Signal::HUP);
    until("the files are read again", || read_again(member) > before).await;
}

/// A linearizable read, which takes both members.
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
    let authority = Authority::new();
    let mut members = [Setup::of(&subject()).prepare(), Setup::of(&subject()).prepare()];
    let names = ["keeper", "other"];
    let cluster: Vec<String> =
        names.iter().zip(&members).map(|(name, member)| format!("{name}={}", member.peer_url())).collect();
    for (serial, (name, member)) in (1..).zip(names.iter().zip(&mut members)) {
        let mut flags = authority.equip(member, serial);
        flags.extend([format!("--name={name}"), format!("--initial-cluster={}", cluster.join(","))]);
        member.add_args(&flags.iter().map(String::as_str).collect::<Vec<_>>());
        member.spawn();
    }
    let [keeper, mut revoked] = members;
    until_both_agree(&keeper).await;
    assert!(revoked.stop().await.success());

    authority.revoke(keeper.dir(), Some(2));
    reload(&keeper).await;
    revoked.spawn();
    until("the keeper says why", || keeper.log().contains("that of the peer: Revoked")).await;
    until("the other one says why", || revoked.log().contains("that of this member: Revoked")).await;
    assert!(revoked.poll_exit().is_none(), "it may be let in again");

    authority.revoke(keeper.dir(), None);
    reload(&keeper).await;
    until_both_agree(&keeper).await;
}
