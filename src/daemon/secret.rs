//! `kvd secret new`: a secret for a cluster, in a file that nobody else can read.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use super::account::Account;
use super::outside::SystemEntropy;
use super::service;
use crate::config::cli::Answer;
use crate::files;
use crate::model::Entropy;

/// The directories from which systemd takes credentials, as root (systemd.exec(5), LoadCredential=).
const CREDENTIALS: [&str; 2] = ["/etc/credstore", "/run/credstore"];

/// 256 random bits as text.
fn new_secret() -> String {
    (0..4).map(|_| format!("{:016x}", SystemEntropy.next())).collect()
}

/// Prints a new secret, or writes it to a new file, and says how members use it.
pub fn answer(file: Option<&Path>) -> Answer {
    let secret = new_secret();
    let Some(file) = file else {
        return Answer { out: format!("{secret}\n"), ..Answer::default() };
    };
    match write(file, &secret) {
        Ok(owner) => {
            let place = file.display();
            let owner = owner.map(|name| format!(", owner {name}")).unwrap_or_default();
            let is_credential = CREDENTIALS.iter().any(|directory| file.starts_with(directory));
            let how = match is_credential && file.ends_with(service::CREDENTIAL) {
                true if service::has_credstore() => {
                    "kvd.service finds it there, without an option.".to_string()
                }
                true => "systemd finds it there from version 252 on; this machine's is older: make one in /etc/kv, \
                         and name it by cluster-secret-file."
                    .to_string(),
                false => format!("The option that names it: cluster-secret-file = \"{place}\""),
            };
            let out =
                format!("{place}: a new secret (mode 0600{owner}). Every member needs a copy of it. {how}\n");
            Answer { out, ..Answer::default() }
        }
        Err(error) => {
            Answer { err: format!("kvd: {}: {error}\n", file.display()), code: 1, ..Answer::default() }
        }
    }
}

/// Makes the file; returns its owner's name if that is not the present user.
fn write(path: &Path, secret: &str) -> io::Result<Option<&'static str>> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => io::Error::new(
            ErrorKind::AlreadyExists,
            "there is such a file, and members may need the secret in it; nothing was changed",
        ),
        _ => error,
    })?;
    let owner = Account::of_service().filter(|kv| kv.owns(parent));
    let made = owner.map_or(Ok(()), |kv| fchown(&file, Some(kv.user), Some(kv.group)));
    let made = made.and_then(|()| writeln!(file, "{secret}")).and_then(|()| file.sync_all());
    if let Err(error) = made.and_then(|()| files::sync_names(parent)) {
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(owner.map(|_| Account::NAME))
}

impl Account {
    /// True if a file made here by root is for the service: the directory's group is the service's, as for /etc/kv.
    fn owns(&self, directory: &Path) -> bool {
        let is_for_it = fs::metadata(directory).is_ok_and(|found| found.gid() == self.group);
        rustix::process::geteuid().is_root() && is_for_it
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_new_secret_is_long_in_a_closed_file_and_never_replaces_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        let told = answer(Some(&path));
        assert_eq!((told.code, told.err.as_str()), (0, ""));
        assert!(told.out.contains("cluster-secret-file = "), "{}", told.out);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o600);
        let secret = fs::read_to_string(&path).expect("text");
        assert_eq!(secret.trim().len(), 64);
        let refused = answer(Some(&path));
        assert_eq!(refused.code, 1);
        assert!(refused.err.contains("nothing was changed"), "{}", refused.err);
        assert_eq!(fs::read_to_string(&path).expect("text"), secret);
        assert_ne!(answer(None).out, secret);
    }
}
