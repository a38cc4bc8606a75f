//! A self-signed certificate for clients that only want encryption (`--auto-tls`).

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

/// A certificate and its key, PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate.
    pub cert: PathBuf,
    /// The key, readable by its owner only.
    pub key: PathBuf,
}

/// The certificate in `directory`, made for `hosts` (names and addresses) and `years` where there is none yet. One that
/// is there is used as it is, so that clients that pinned it go on; delete the files to get a new one.
pub fn provide(directory: &Path, hosts: &[String], years: u32) -> io::Result<Files> {
    let files = Files { cert: directory.join("cert.pem"), key: directory.join("key.pem") };
    if files.cert.exists() && files.key.exists() {
        return Ok(files);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let (cert, key) = make(hosts, years).map_err(io::Error::other)?;
    // The certificate comes last: while it is missing both are made anew.
    write(&files.key, &key)?;
    write(&files.cert, &cert)?;
    Ok(files)
}

fn make(hosts: &[String], years: u32) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(hosts.to_vec())?;
    params.distinguished_name.push(DnType::OrganizationName, "kvd");
    let now = SystemTime::now();
    // A clock that lags a little behind must not make a new certificate invalid.
    params.not_before = (now - Duration::from_secs(3600)).into();
    params.not_after = (now + Duration::from_secs(u64::from(years) * 365 * 24 * 3600)).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let cert = params.self_signed(&key)?;
    Ok((cert.pem(), key.serialize_pem()))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

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
