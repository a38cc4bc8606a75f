//! How long the operator's certificates are still valid: for the status line, the metrics and the news.

use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;

use super::listeners;
use super::outside::SystemClock;
use crate::api::metrics::{Page, Source};
use crate::config::Config;
use crate::model::Clock;
use crate::pki::{self, Stamps, self_signed};

/// A certificate that expires within this time is news.
pub const SOON: Duration = Duration::from_secs(30 * 24 * 3600);
const DAY: i64 = 24 * 3600;

/// A file with certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Watched {
    path: PathBuf,
    /// It holds CAs, of which the last one counts.
    is_bundle: bool,
}

/// The files that the configuration names, and the ends of their validity.
pub struct Certificates(Mutex<State>);

struct State {
    files: Vec<Watched>,
    read: Option<Stamps>,
    ends: Vec<(PathBuf, i64)>,
}

impl Certificates {
    /// The files of this configuration. Certificates that members issue to themselves are renewed automatically.
    pub fn of(config: &Config) -> Self {
        Self(Mutex::new(State { files: files(config), read: None, ends: Vec::new() }))
    }

    /// From now on those of another configuration.
    pub fn replace(&self, config: &Config) {
        let mut state = self.0.lock();
        state.files = files(config);
        state.read = None;
    }

    /// The files that can be read, and the ends of their validity in seconds since the unix epoch.
    pub fn ends(&self) -> Vec<(PathBuf, i64)> {
        let mut state = self.0.lock();
        let stamps = Stamps::of(state.files.iter().map(|file| file.path.as_path()));
        if state.read.as_ref() != Some(&stamps) {
            let ends = state.files.iter();
            let ends = ends
                .filter_map(|file| Some((file.path.clone(), pki::valid_until(&file.path, file.is_bundle)?)));
            state.ends = ends.collect();
            state.read = Some(stamps);
        }
        state.ends.clone()
    }

    /// The part of the status line about the first one that expires soon; empty if none does.
    pub fn line(&self) -> String {
        let first = self.ends().into_iter().min_by_key(|(_, until)| *until);
        let now = SystemClock.now_ms() / 1000;
        let soon = first.and_then(|(path, until)| warning(&path, until - now));
        soon.map(|text| format!("; {text}")).unwrap_or_default()
    }
}

/// What is said of a certificate that is still valid for so many seconds; nothing if that is long.
pub fn warning(path: &Path, left: i64) -> Option<String> {
    let path = path.display();
    match left {
        left if left < 0 => Some(format!("the certificate {path} has expired")),
        left if left < SOON.as_secs().cast_signed() => {
            Some(format!("the certificate {path} expires in {} days", left.div_euclid(DAY)))
        }
        _ => None,
    }
}

fn files(config: &Config) -> Vec<Watched> {
    let (client, peer) = (&config.client_tls, &config.peer_tls);
    let pairs = [client.key_pair(), peer.key_pair(), peer.client_key_pair()];
    let made =
        client.makes_certificate().then(|| self_signed::files(&listeners::own_certificates(config)).cert);
    let own = pairs.into_iter().flatten().map(|pair| pair.cert).chain(made);
    let own = own.map(|path| Watched { path, is_bundle: false });
    let cas = [client.trusted_ca_file.clone(), peer.trusted_ca_file.clone()].into_iter().flatten();
    let mut files: Vec<Watched> = own.chain(cas.map(|path| Watched { path, is_bundle: true })).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    files
}

impl Source for Certificates {
    fn write(&self, page: &mut Page) {
        let now = SystemClock.now_ms() / 1000;
        let name = "kvd_certificate_days_left";
        page.family(name, "gauge", "Days until a certificate expires.");
        for (path, until) in self.ends() {
            let path =
                path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            page.sample(name, &format!("file=\"{path}\""), (until - now).div_euclid(DAY));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_days_before_the_end_it_is_said() {
        let path = Path::new("/c.pem");
        assert_eq!(warning(path, 30 * DAY), None);
        assert_eq!(warning(path, 30 * DAY - 1), Some("the certificate /c.pem expires in 29 days".into()));
        assert_eq!(warning(path, 3), Some("the certificate /c.pem expires in 0 days".into()));
        assert_eq!(warning(path, -1), Some("the certificate /c.pem has expired".into()));
    }
}
