//! A self-signed certificate for clients that only want encryption (`--auto-tls`).

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

use super::Pair;
use crate::files as disk;

/// The certificate in `directory`; if there is none yet, one is made for `hosts` (names and addresses), valid for
/// `years`. An existing one is used as it is, so that clients that pinned it keep working; delete the files to get a
/// new one.
pub fn provide(directory: &Path, hosts: &[String], years: u32) -> io::Result<Pair> {
    let pair = files(directory);
    if pair.cert.exists() && pair.key.exists() {
        return Ok(pair);
    }
    disk::make_dir(directory)?;
    let (cert, key) = make(hosts, years).map_err(io::Error::other)?;
    // The certificate is written last: while it is missing, both files are made anew.
    disk::replace(&pair.key, key.as_bytes())?;
    disk::replace(&pair.cert, cert.as_bytes())?;
    Ok(pair)
}

/// The names of the files in `directory`.
pub fn files(directory: &Path) -> Pair {
    Pair { cert: directory.join("cert.pem"), key: directory.join("key.pem") }
}

fn make(hosts: &[String], years: u32) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(hosts.to_vec())?;
    params.distinguished_name.push(DnType::OrganizationName, "kvd");
    let now = SystemTime::now();
    // A clock that is a little behind must not make a new certificate invalid.
    params.not_before = (now - Duration::from_secs(3600)).into();
    params.not_after = (now + Duration::from_secs(u64::from(years) * 365 * 24 * 3600)).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let cert = params.self_signed(&key)?;
    Ok((cert.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn made_once_and_kept_with_a_private_key() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().join("fixtures/client");
        let hosts = ["localhost".to_string(), "127.0.0.1".to_string()];
        let files = provide(&place, &hosts, 1).expect("made");
        let first = fs::read(&files.cert).expect("there");
        assert_eq!(fs::metadata(&files.key).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(provide(&place, &hosts, 1).expect("kept"), files);
        assert_eq!(fs::read(&files.cert).expect("there"), first);
    }
}
