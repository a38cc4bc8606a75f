//! What systemd does for kvd.service before kvd runs. `kvd check` as root does the same, so that it judges what the
//! service is going to find: it reads kvd.env and the credential as root, and everything else as the service's user.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Access, access};
use rustix::process;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::account::Account;
use super::dropin;
use crate::config::cli::service_settings;
use crate::config::{Config, Diagnostic, Disk, ENVIRONMENT_FILE, Files, Surroundings};
use crate::pki::SecretSource;

/// Where systemd looks for units and their drop-ins, the preferred directory first.
const UNITS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Where systemd looks for credentials that have no path (systemd.exec(5), `LoadCredential=`).
const CREDENTIALS: [&str; 3] = ["/etc/credstore", "/run/credstore", "/usr/lib/credstore"];

/// The first systemd that looks there, and the first that knows credentials at all.
const CREDSTORE_SINCE: u32 = 252;
const CREDENTIALS_SINCE: u32 = 247;

/// The name of the credential.
pub const CREDENTIAL: &str = "kvd.cluster-secret";

/// The directory in which the service finds its credentials.
const GIVEN: &str = "/run/credentials/kvd.service";

/// The service's point of view.
pub struct Service {
    unit: Unit,
    environment: Option<Result<Vec<u8>, Failure>>,
    credential: Option<Credential>,
    /// Why files are opened as root nevertheless.
    still_root: Option<String>,
}

/// An input/output error that can be reported more than once.
struct Failure(ErrorKind, String);

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(error.kind(), error.to_string())
    }
}

/// The credential that systemd passes to the service.
#[derive(Debug, PartialEq, Eq)]
struct Credential {
    /// The file, or the unit's setting that holds it.
    place: PathBuf,
    text: Result<String, String>,
}

impl Service {
    /// From now on this process has the service's rights, for good. `None` if it is not root, or if the service is not
    /// installed.
    pub fn enter() -> Option<Self> {
        let account = Account::of_service().filter(|_| process::geteuid().is_root())?;
        let unit = Unit::installed(Path::new("/"))?;
        let environment = match fs::read(ENVIRONMENT_FILE) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            read => Some(read.map_err(Failure::from)),
        };
        let credential = unit.credential(systemd_version().unwrap_or(u32::MAX), Path::new("/"));
        let groups = account.groups(&unit.words("SupplementaryGroups"));
        let still_root = become_user(account, &groups).err().map(|error| error.to_string());
        Some(Self { unit, environment, credential, still_root })
    }

    /// The surroundings of the service.
    pub fn surround<'s>(&'s self, mut surroundings: Surroundings<'s>) -> Surroundings<'s> {
        let mut set = |name: &str, value: &str| surroundings.variables.push((name.into(), value.into()));
        set("STATE_DIRECTORY", "/var/lib/kv");
        set("RUNTIME_DIRECTORY", "/run/kv");
        if self.credential.is_some() {
            set("CREDENTIALS_DIRECTORY", GIVEN);
        }
        Surroundings { files: self, ..surroundings }
    }

    /// The user that opens files; none if that is the caller.
    pub fn user(&self) -> Option<&'static str> {
        self.still_root.is_none().then_some(Account::NAME)
    }

    /// True if the configuration takes its secret from the credential.
    pub fn passes_secret(&self, config: &Config) -> bool {
        self.credential.is_some() && config.peer_tls.cluster_secret_file.as_ref() == Some(&credential_path())
    }

    /// The secret that systemd is going to pass; none if it cannot be read.
    pub fn secret(&self) -> Option<SecretSource> {
        let Credential { place, text } = self.credential.as_ref()?;
        Some(SecretSource::Read { text: text.clone().ok()?, path: place.clone() })
    }

    /// What keeps the service from starting, or from what the configuration names.
    pub fn findings(&self, config: &Config) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        if let Some(why) = &self.still_root {
            let message = format!("files are opened as root, not as user {}: {why}", Account::NAME);
            found.push(Diagnostic::warning(message));
        }
        if let Some(Credential { place, text: Err(why) }) = &self.credential {
            let message =
                format!("systemd cannot pass the credential {CREDENTIAL} from {}: {why}", place.display());
            found.push(Diagnostic::error(message));
        }
        for (spec, setting) in config.settings().iter().filter(|(spec, _)| spec.names_file) {
            let path = PathBuf::from(setting.value.to_text(spec.kind));
            if let Some(why) = self.unit.hides(&path) {
                let message = format!("--{}: kvd.service cannot see {}: {why}", spec.name, path.display());
                found.push(Diagnostic::error(message).about(spec.name).at(setting.origin.place()));
            }
        }
        for path in dropin::outside(config) {
            found.extend(self.closed(config, &path));
        }
        found
    }

    /// A directory in which the configuration lets the service write, and its unit or the file system does not.
    fn closed(&self, config: &Config, path: &Path) -> Option<Diagnostic> {
        let advice = "as root, `kvd config dropin`, then `systemctl daemon-reload && systemctl restart kvd`";
        let why = match () {
            () if !self.unit.opens(path) => format!("kvd.service may write to {} only", dropin::STATE),
            () if self.still_root.is_none() && !can_write(path) => {
                format!("user {} may not write to it", Account::NAME)
            }
            () => return None,
        };
        let option = ["data-dir", "wal-dir", "log-outputs", "backup-directory"].into_iter().find(|option| {
            let (spec, setting) = config.settings().row(option);
            setting.value.to_text(spec.kind).contains(&*path.to_string_lossy())
        });
        let finding = Diagnostic::error(format!("{}: {why}", path.display())).help(advice);
        Some(match option {
            Some(option) => finding.about(option).at(config.settings().origin(option).place()),
            None => finding,
        })
    }

    /// Advice for an error of this user.
    pub fn advice(&self, error: &str) -> Option<String> {
        let name = Account::NAME;
        (self.still_root.is_none() && error.contains("Permission denied")).then(|| {
            format!(
                "kvd.service runs as user {name}, which must be able to read it: chgrp {name} FILE && chmod 640 FILE, \
                 and x on every directory above it"
            )
        })
    }
}

fn credential_path() -> PathBuf {
    Path::new(GIVEN).join(CREDENTIAL)
}

/// The file system as the service sees it, with what systemd reads for it.
impl Files for Service {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match &self.environment {
            Some(read) if path == Path::new(ENVIRONMENT_FILE) => match read {
                Ok(bytes) => Ok(bytes.clone()),
                Err(Failure(kind, text)) => Err(io::Error::new(*kind, text.clone())),
            },
            _ => Disk.read(path),
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        Disk.list(directory)
    }

    fn exists(&self, path: &Path) -> bool {
        path == credential_path() || Disk.exists(path)
    }
}

/// Takes another user's rights. This process has one thread, so that the thread's rights are the process's.
fn become_user(account: Account, groups: &[u32]) -> io::Result<()> {
    let (user, group) = (process::Uid::from_raw(account.user), process::Gid::from_raw(account.group));
    let groups: Vec<process::Gid> = groups.iter().copied().map(process::Gid::from_raw).collect();
    set_thread_groups(&groups)?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(())
}

/// True if this user may write to the directory, or make it.
fn can_write(path: &Path) -> bool {
    let existing = path.ancestors().find(|path| path.exists());
    existing.is_none_or(|path| access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok())
}

/// The version of the systemd that is installed.
pub fn systemd_version() -> Option<u32> {
    let said = Command::new("systemctl").arg("--version").stderr(Stdio::null()).output().ok()?;
    parse_version(&String::from_utf8_lossy(&said.stdout))
}

/// True if the installed systemd looks for credentials in [`CREDENTIALS`], or if its version is not known.
pub fn has_credstore() -> bool {
    systemd_version().is_none_or(|version| version >= CREDSTORE_SINCE)
}

/// The number in `systemd 252 (252.38-1~deb12u1)`.
fn parse_version(text: &str) -> Option<u32> {
    let number = text.strip_prefix("systemd ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The `[Service]` section of kvd.service with its drop-ins.
struct Unit(Vec<(String, String)>);

impl Unit {
    /// `None` if there is no such unit.
    fn installed(root: &Path) -> Option<Self> {
        let directories = UNITS.map(|directory| root.join(directory.trim_start_matches('/')));
        let mut text = directories.iter().find_map(|dir| fs::read_to_string(dir.join("kvd.service")).ok())?;
        // By their names; of two with the same name, the preferred directory's.
        let mut drop_ins = BTreeMap::new();
        for directory in &directories {
            let Ok(entries) = fs::read_dir(directory.join("kvd.service.d")) else { continue };
            for path in entries.flatten().map(|entry| entry.path()) {
                if let (Some(name), true) =
                    (path.file_name(), path.extension().is_some_and(|it| it == "conf"))
                {
                    drop_ins.entry(name.to_os_string()).or_insert(path);
                }
            }
        }
        for path in drop_ins.values() {
            text.push('\n');
            text.push_str(&fs::read_to_string(path).unwrap_or_default());
        }
        Some(Self(service_settings(&text)))
    }

    /// The values of one setting, in order.
    fn values<'u>(&'u self, key: &'u str) -> impl DoubleEndedIterator<Item = &'u str> {
        self.0.iter().filter(move |(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The words of all values of one setting, without their quotes.
    fn words(&self, key: &str) -> Vec<String> {
        let words = self.values(key).flat_map(str::split_whitespace);
        words.map(|word| word.trim_matches(['"', '\'']).replace("%%", "%")).collect()
    }

    /// The credential with the cluster's secret. One that has no path may be missing.
    fn credential(&self, version: u32, root: &Path) -> Option<Credential> {
        let named = |key| {
            let mut values = self.values(key).filter_map(|value| {
                let (id, rest) = value.split_once(':').unwrap_or((value, ""));
                (id == CREDENTIAL).then_some(rest)
            });
            values.next_back()
        };
        if version < CREDENTIALS_SINCE {
            return None;
        }
        let below_root = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
        if let Some(path) = named("LoadCredentialEncrypted").filter(|path| path.starts_with('/')) {
            let place = PathBuf::from(path);
            return Some(Credential { text: decrypted(&place), place });
        }
        if let Some(path) = named("LoadCredential") {
            if path.starts_with('/') {
                return Some(Credential::in_file(PathBuf::from(path), &below_root));
            }
            let name = if path.is_empty() { CREDENTIAL } else { path };
            let mut places = CREDENTIALS.iter().map(|directory| Path::new(directory).join(name));
            let place = places.find(|place| version >= CREDSTORE_SINCE && below_root(place).exists());
            if let Some(place) = place {
                return Some(Credential::in_file(place, &below_root));
            }
        }
        let text = named("SetCredential")?.to_string();
        Some(Credential { place: PathBuf::from("SetCredential="), text: Ok(text) })
    }

    /// Why the service cannot see this file, if its unit hides it.
    fn hides(&self, path: &Path) -> Option<String> {
        let is_on = |key| {
            self.values(key).next_back().is_some_and(|value| !matches!(value, "no" | "false" | "0" | "off"))
        };
        let hidden = [
            ("ProtectHome", &["/home", "/root", "/run/user"][..]),
            ("PrivateTmp", &["/tmp", "/var/tmp"][..]),
        ];
        let bound = self.words("BindPaths").into_iter().chain(self.words("BindReadOnlyPaths"));
        let bound = bound.map(|words| words.split(':').next_back().unwrap_or_default().to_string());
        if bound.into_iter().any(|place| !place.is_empty() && path.starts_with(place)) {
            return None;
        }
        hidden.into_iter().find_map(|(key, directories)| {
            let directory = directories.iter().find(|directory| path.starts_with(directory))?;
            is_on(key).then(|| format!("its unit has {key}=, which hides {directory}"))
        })
    }

    /// True if the service may write below this path.
    fn opens(&self, path: &Path) -> bool {
        let opened = self.words("ReadWritePaths").into_iter().chain(self.words("BindPaths"));
        opened.into_iter().any(|place| path.starts_with(place.trim_start_matches(['-', '+'])))
    }
}

impl Credential {
    fn in_file(place: PathBuf, below_root: &dyn Fn(&Path) -> PathBuf) -> Self {
        let text = fs::read_to_string(below_root(&place)).map_err(|error| error.to_string());
        Self { place, text }
    }
}

/// systemd's own tool has the machine's key.
fn decrypted(path: &Path) -> Result<String, String> {
    let mut command = Command::new("systemd-creds");
    command.arg("decrypt").arg(format!("--name={CREDENTIAL}")).arg(path).arg("-");
    let said = command.output().map_err(|error| format!("systemd-creds: {error}"))?;
    match said.status.success() {
        true => String::from_utf8(said.stdout).map_err(|error| error.to_string()),
        false => Err(String::from_utf8_lossy(&said.stderr).trim().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine's files, and its unit.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Option<Unit>) {
        let root = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = root.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(path, text).expect("written");
        }
        let unit = Unit::installed(root.path());
        (root, unit)
    }

    const UNIT: (&str, &str) =
        ("/usr/lib/systemd/system/kvd.service", include_str!("../../packaging/kvd.service"));

    #[test]
    fn drop_ins_follow_the_unit_by_their_names_and_etcs_hide_those_of_the_same_name() {
        assert!(machine(&[]).1.is_none());
        let (_root, unit) = machine(&[
            UNIT,
            ("/usr/lib/systemd/system/kvd.service.d/50-a.conf", "[Service]\nReadWritePaths=/hidden\n"),
            ("/etc/systemd/system/kvd.service.d/50-a.conf", "[Service]\nReadWritePaths=\"/srv/kv\"\n"),
            (
                "/run/systemd/system/kvd.service.d/90-z.conf",
                "[Service]\nProtectHome=no\nReadWritePaths=-/data\n",
            ),
            ("/etc/systemd/system/kvd.service.d/ignored.txt", "[Service]\nReadWritePaths=/ignored\n"),
        ]);
        let unit = unit.expect("a unit");
        for (path, opened) in
            [("/srv/kv/x", true), ("/data", true), ("/srv", false), ("/hidden", false), ("/ignored", false)]
        {
            assert_eq!(unit.opens(Path::new(path)), opened, "{path}");
        }
        assert_eq!(unit.hides(Path::new("/home/a/key.pem")), None);
        let why = unit.hides(Path::new("/tmp/key.pem")).expect("hidden");
        assert_eq!(why, "its unit has PrivateTmp=, which hides /tmp");
        let (_root, unit) = machine(&[UNIT]);
        assert!(unit.expect("a unit").hides(Path::new("/root/key.pem")).is_some());
    }

    #[test]
    fn the_credential_is_what_systemd_would_pass() {
        let secret = ("/etc/credstore/kvd.cluster-secret", "a-long-and-secret-text");
        let found = |files: &[(&str, &str)], version| {
            let (root, unit) = machine(files);
            unit.expect("a unit").credential(version, root.path())
        };
        let passed = |place: &str, text: &str| {
            Some(Credential { place: PathBuf::from(place), text: Ok(text.to_string()) })
        };
        assert_eq!(found(&[UNIT], 252), None);
        assert_eq!(found(&[UNIT, secret], 252), passed(secret.0, secret.1));
        assert_eq!(found(&[UNIT, secret], 249), None, "it knows no /etc/credstore");
        let named = |setting: &'static str| ("/etc/systemd/system/kvd.service.d/secret.conf", setting);
        let own = [
            UNIT,
            secret,
            ("/srv/secret", "another-secret-text"),
            named("[Service]\nLoadCredential=kvd.cluster-secret:/srv/secret\n"),
        ];
        assert_eq!(found(&own, 249), passed("/srv/secret", "another-secret-text"));
        assert_eq!(found(&own, 246), None, "it knows no credentials");
        let missing = [UNIT, secret, named("[Service]\nLoadCredential=kvd.cluster-secret:/srv/none\n")];
        assert!(found(&missing, 252).is_some_and(|found| found.text.is_err()));
        let set = [
            UNIT,
            named("[Service]\nLoadCredential=\nSetCredential=kvd.cluster-secret:in-the-unit-itself\n"),
        ];
        assert_eq!(found(&set, 252), passed("SetCredential=", "in-the-unit-itself"));
        let none = [UNIT, secret, named("[Service]\nLoadCredential=\n")];
        assert_eq!(found(&none, 252), None);
    }

    #[test]
    fn the_version_is_the_first_number() {
        assert_eq!(parse_version("systemd 252 (252.38-1~deb12u1)\n+PAM"), Some(252));
        assert_eq!(parse_version("systemd 257.9\n"), Some(257));
        assert_eq!(parse_version("sysvinit"), None);
    }
}
