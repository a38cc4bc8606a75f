//! What an operator should know about a first start: who may do what with this member, before anybody has decided it.

use std::net::IpAddr;

use super::listeners::socket_addresses;
use super::notices;
use crate::config::{Config, Scheme};

/// Says once, at the first start, that this member listens beyond this machine without encryption or without users, with
/// the commands that change it.
pub fn warn(config: &Config, has_users: bool) {
    if let Some(text) = warning(config, has_users) {
        tracing::warn!(message_id = notices::OPEN.id, "{text}");
    }
}

fn warning(config: &Config, has_users: bool) -> Option<String> {
    let addresses = &config.addresses;
    let urls = addresses.listen_client_urls.iter().chain(&addresses.listen_client_http_urls);
    let is_local = |ip: IpAddr| ip.is_loopback();
    let beyond = urls.filter(|url| {
        url.socket_path().is_none() && socket_addresses(url).iter().any(|address| !is_local(address.ip()))
    });
    let beyond: Vec<_> = beyond.collect();
    let plain: Vec<&str> =
        beyond.iter().filter(|url| url.scheme() == Scheme::Http).map(|url| url.as_str()).collect();
    // Whoever must show a certificate is known, too.
    let is_known = has_users || (config.client_tls.cert_auth && plain.is_empty());
    if beyond.is_empty() || (plain.is_empty() && is_known) {
        return None;
    }
    let mut text = "this member listens beyond this machine".to_string();
    if !is_known {
        text += " and knows no users: whoever reaches it may read, change and delete everything. To ask for passwords: \
                 `kvctl user add root && kvctl auth enable`.";
    } else {
        text += ".";
    }
    if !plain.is_empty() {
        text += &format!(
            " {} is not encrypted: keys, values and passwords can be read on the way. To encrypt it, give cert-file and \
             key-file (or auto-tls) and an https URL in cluster.toml: `kvd check && systemctl restart kvd`.",
            plain.join(", ")
        );
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Disk, Surroundings, read};

    fn said(flags: &[&str], has_users: bool) -> String {
        let arguments = flags.iter().map(|flag| flag.to_string()).chain(["--config-file=".to_string()]);
        let surroundings = Surroundings {
            arguments: arguments.collect(),
            variables: Vec::new(),
            files: &Disk,
            default_host: || None,
        };
        match read(&surroundings).into_result() {
            Ok((config, _)) => warning(&config, has_users).unwrap_or_default(),
            Err(findings) => panic!("{}", crate::config::cli::text_of(&findings)),
        }
    }

    #[test]
    fn a_member_that_others_reach_says_who_may_do_what() {
        assert_eq!(said(&[], false), "", "only this machine reaches it");
        let advertise = "--advertise-client-urls=http://10.0.0.1:2379";
        let plain = ["--listen-client-urls=http://0.0.0.0:2379", advertise];
        let open = said(&plain, false);
        assert!(open.contains("`kvctl user add root && kvctl auth enable`"), "{open}");
        assert!(open.contains("http://0.0.0.0:2379 is not encrypted"), "{open}");
        assert!(open.contains("`kvd check && systemctl restart kvd`"), "{open}");
        let unencrypted = said(&plain, true);
        assert!(!unencrypted.contains("kvctl") && unencrypted.contains("is not encrypted"), "{unencrypted}");
        let tls = ["--listen-client-urls=https://10.0.0.1:2379", advertise, "--auto-tls"];
        let anybody = said(&tls, false);
        assert!(anybody.contains("kvctl auth enable") && !anybody.contains("encrypted"), "{anybody}");
        assert_eq!(said(&tls, true), "");
    }
}
