//! The steps of a start that `kvd check` tries: it opens and checks the files that a start opens, and changes nothing.
//! A start refuses the same files, with the same exit code.

use std::path::PathBuf;
use std::sync::Arc;

use super::outside::SystemClock;
use super::service::Service;
use super::{backups, listeners, logins, peer_port};
use crate::api::server::tls::Tls;
use crate::config::cli::{Answer, CheckRequest};
use crate::config::{Config, Diagnostic};
use crate::model::Clock;
use crate::pki;

/// The answer of `kvd check`. Root asks for the service, if it is installed and no other file is named.
pub fn answer(request: CheckRequest<'_>) -> Answer {
    let service = if request.is_of_service() { Service::enter() } else { None };
    let check = match &service {
        Some(service) => request.within(|surroundings| service.surround(surroundings)).read(),
        None => request.read(),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let found = check.config().map(|config| findings(config, service.as_ref(), &clock));
    check.answer(found.unwrap_or_default(), service.as_ref().and_then(Service::user))
}

/// Findings in the files that the configuration names. Missing files are not reported here: the configuration's own
/// check reports them.
fn findings(config: &Config, service: Option<&Service>, clock: &Arc<dyn Clock>) -> Vec<Diagnostic> {
    let (client, peer) = (&config.client_tls, &config.peer_tls);
    let mut texts = Vec::new();
    let files = [&client.cert_file, &client.key_file, &client.trusted_ca_file, &client.crl_file];
    if all_there(&files) && !client.makes_certificate() {
        texts.extend(clients(config, clock.now_ms()).err());
    }
    let files = [
        &peer.cert_file,
        &peer.key_file,
        &peer.client_cert_file,
        &peer.client_key_file,
        &peer.trusted_ca_file,
        &peer.crl_file,
    ];
    if all_there(&files) {
        texts.extend(members(config, service, clock.clone()).err());
    }
    let mut found: Vec<Diagnostic> = texts.into_iter().map(|text| located(config, service, text)).collect();
    found.extend(logins::options(config).err().map(|text| {
        let place = config.settings().origin("auth-token").place();
        let advice = service.and_then(|service| service.advice(&text));
        Diagnostic::error(text).about("auth-token").at(place).maybe_help(advice)
    }));
    found.extend(backups::finding(config).map(|text| {
        let place = config.settings().origin("backup-directory").place();
        Diagnostic::error(text).about("backup-directory").at(place)
    }));
    found.extend(service.into_iter().flat_map(|service| service.findings(config)));
    found
}

fn all_there(files: &[&Option<PathBuf>]) -> bool {
    files.iter().filter_map(|file| file.as_deref()).all(std::path::Path::exists)
}

fn clients(config: &Config, now_ms: i64) -> Result<(), String> {
    let Some(options) = listeners::client_tls(config).map_err(|error| error.to_string())? else {
        return Ok(());
    };
    let certificate = options.pair.cert.clone();
    Tls::new(options).map_err(|error| error.to_string())?;
    pki::check_validity(&certificate, now_ms).map_err(|error| error.to_string())
}

fn members(config: &Config, service: Option<&Service>, clock: Arc<dyn Clock>) -> Result<(), String> {
    let secret = match service.filter(|service| service.passes_secret(config)).map(Service::secret) {
        // That it cannot be read is a finding of the service.
        Some(None) => return Ok(()),
        Some(secret) => secret,
        None if all_there(&[&config.peer_tls.cluster_secret_file]) => None,
        None => return Ok(()),
    };
    let credentials =
        peer_port::credentials_with(config, secret, clock).map_err(|error| error.to_string())?;
    // A start only warns about an expired certificate, because a reload may bring a better one.
    credentials.reload().map_err(|error| error.to_string())
}

/// The finding, at the place of the option that names the file.
fn located(config: &Config, service: Option<&Service>, text: String) -> Diagnostic {
    let advice = service.and_then(|service| service.advice(&text));
    let finding = Diagnostic::error(text.clone()).maybe_help(advice);
    let named = config.settings().iter().find(|(spec, setting)| {
        let path = setting.value.to_text(spec.kind);
        spec.names_file && !path.is_empty() && text.contains(&path)
    });
    match named {
        Some((spec, setting)) => finding.about(spec.name).at(setting.origin.place()),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Surroundings, read};
    use std::path::Path;

    use crate::pki::lab::{Ca, DAY, Folder, NOW, Order, SetClock};

    /// What is found with these files of `folder` (flag, name in the directory), and some more flags.
    fn found(folder: &Folder, files: &[(&str, &str)], more: &[&str]) -> Vec<String> {
        let mut arguments = vec!["--config-file=/dev/null".to_string()];
        arguments
            .extend(files.iter().map(|(flag, name)| format!("--{flag}={}", folder.path(name).display())));
        arguments.extend(more.iter().map(|flag| flag.to_string()));
        let mut surroundings = Surroundings::of_process(arguments);
        surroundings.variables.clear();
        let config = match read(&surroundings).into_result() {
            Ok((config, _)) => config,
            Err(findings) => panic!("{}", crate::config::cli::text_of(&findings)),
        };
        let clock: Arc<dyn Clock> = SetClock::at(NOW);
        let findings = findings(&config, None, &clock);
        assert!(findings.iter().all(|finding| finding.is_error() && finding.place.is_some()), "{findings:?}");
        findings.into_iter().map(|finding| finding.message).collect()
    }

    const CLIENTS: [(&str, &str); 3] =
        [("cert-file", "cert.pem"), ("key-file", "key.pem"), ("trusted-ca-file", "ca.pem")];
    const MEMBERS: [(&str, &str); 3] =
        [("peer-cert-file", "cert.pem"), ("peer-key-file", "key.pem"), ("peer-trusted-ca-file", "ca.pem")];

    #[test]
    fn certificates_are_judged_as_a_start_judges_them() {
        let ca = Ca::new("the CA");
        let folder = Folder::new();
        let good = ca.issue(&Order::of("one"));
        folder.put(&good, &ca.pem);
        assert_eq!(found(&folder, &CLIENTS, &[]), [""; 0]);
        assert_eq!(found(&folder, &MEMBERS, &[]), [""; 0]);
        let other = ca.issue(&Order::of("one"));
        let old = ca.issue(&Order { from: NOW - 9 * DAY, until: NOW - DAY, ..Order::of("one") });
        let cases = [
            ((&good.0, &other.1), "key.pem"),
            ((&old.0, &old.1), "cert.pem: the certificate has expired: it was valid until Dec 31"),
            ((&good.1, &good.1), "cert.pem: it holds no certificate in PEM form"),
            ((&good.0, &good.0), "key.pem: it holds no private key in PEM form"),
        ];
        for ((cert, key), words) in cases {
            folder.put(&(cert.clone(), key.clone()), &ca.pem);
            for files in [&CLIENTS, &MEMBERS] {
                let found = found(&folder, files, &[]);
                assert!(found.len() == 1 && found[0].contains(words), "{words}: {found:?}");
            }
        }
        // Missing files are reported by the configuration's own check.
        std::fs::remove_file(folder.path("key.pem")).expect("removed");
        assert_eq!(found(&folder, &MEMBERS, &[]), [""; 0]);
    }

    #[test]
    fn a_secret_in_a_file_is_judged_as_a_start_judges_it() {
        let folder = Folder::new();
        let secret = [("cluster-secret-file", "secret")];
        folder.write("secret", "a-long-and-secret-text\n");
        assert_eq!(found(&folder, &secret, &[]), [""; 0]);
        for (text, words) in
            [("short\n", "has 5 characters, at least 16 are needed"), ("\n", "holds no secret")]
        {
            folder.write("secret", text);
            let found = found(&folder, &secret, &[]);
            assert!(found.len() == 1 && found[0].contains(words), "{words}: {found:?}");
        }
    }

    #[test]
    fn keys_of_tokens_are_judged_as_a_start_judges_them() {
        let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/auth");
        let judged = |parts: &str| {
            let parts = parts.replace("=", "=/").replace("=/RS", "=RS").replace("=/ES", "=ES");
            let parts = parts.replace("key=/", &format!("key={}/", keys.display()));
            found(&Folder::new(), &[], &[&format!("--auth-token=jwt,{parts}")])
        };
        assert_eq!(judged("sign-method=RS256,priv-key=rsa.pem,pub-key=rsa.pub.pem"), [""; 0]);
        let cases = [
            (
                "sign-method=RS256,priv-key=rsa.pem,pub-key=other.rsa.pub.pem",
                "public and private keys don't match",
            ),
            ("sign-method=ES256,priv-key=rsa.pem", "auth: priv-key: it is not a key for ES256"),
            ("sign-method=RS256,priv-key=none.pem", "none.pem: No such file or directory"),
        ];
        for (parts, words) in cases {
            let found = judged(parts);
            assert!(found.len() == 1 && found[0].contains(words), "{words}: {found:?}");
        }
    }

    /// Making one would leave a file behind.
    #[test]
    fn no_certificate_is_made() {
        let folder = Folder::new();
        let data = format!("--data-dir={}", folder.path("data").display());
        assert_eq!(found(&folder, &[], &["--auto-tls", &data]), [""; 0]);
        assert!(!folder.path("data").exists());
    }
}
