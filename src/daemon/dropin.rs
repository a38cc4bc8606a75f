//! The directories in which the service may write: its unit only allows its state directory. `kvd config dropin` allows
//! the other directories of the configuration, in a drop-in for the unit.

use std::error::Error;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::account::Account;
use crate::config::cli::Answer;
use crate::config::{AuditOutput, Config, LogOutput};
use crate::files;

/// The directory that the unit allows.
pub const STATE: &str = "/var/lib/kv";
const DROPIN: &str = "/etc/systemd/system/kvd.service.d/data-dir.conf";
const FIRST_LINE: &str =
    "# Made by `kvd config dropin` from the configuration; run it again after a change of its paths.";

/// Advice for an error that is caused by a directory of the configuration that the unit does not allow.
pub fn advice(config: &Config, error: &(dyn Error + 'static)) -> Option<String> {
    std::env::var_os("STATE_DIRECTORY")?;
    let closed = matches!(kind(error)?, ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied);
    let text = error.to_string();
    let named = |path: &PathBuf| text.contains(&path.display().to_string());
    let path = outside(config).into_iter().find(named).filter(|_| closed)?;
    Some(format!(
        "kvd.service may write to {STATE} only. This opens {} to it: as root, `kvd config dropin`, then `systemctl \
         daemon-reload && systemctl restart kvd`",
        path.display()
    ))
}

/// The kind of the input/output error that caused an error.
fn kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        let shared = error.downcast_ref::<Arc<io::Error>>().map(Arc::as_ref);
        if let Some(error) = error.downcast_ref::<io::Error>().or(shared) {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}

/// The directories of a configuration in which the service writes, and which its unit does not allow.
pub fn outside(config: &Config) -> Vec<PathBuf> {
    // If it was not given, the unit sets it to its state directory.
    let data = config.settings().is_given("data-dir").then_some(&config.member.data_dir);
    let logs = config.logging.outputs.iter().filter_map(|output| match output {
        LogOutput::File(path) => path.parent().map(Path::to_path_buf),
        _ => None,
    });
    let audit = match &config.audit.output {
        AuditOutput::File(path) => path.parent().map(Path::to_path_buf),
        AuditOutput::Off | AuditOutput::Journal => None,
    };
    let kept = data.into_iter().chain(&config.member.wal_dir).chain(&config.backup.directory).cloned();
    let mut found = Vec::new();
    for path in kept.chain(logs).chain(audit) {
        // The service works in the root directory.
        let path = Path::new("/").join(path);
        if !path.starts_with(STATE) && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// Writes the drop-in for a configuration, and makes missing directories.
pub fn answer(config: &Config) -> Answer {
    match write(config, Path::new(DROPIN)) {
        Ok(out) => Answer { out, ..Answer::default() },
        Err(error) => Answer { err: format!("kvd: {error}\n"), code: 1, ..Answer::default() },
    }
}

fn write(config: &Config, dropin: &Path) -> io::Result<String> {
    let named = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"))
    };
    let paths = outside(config);
    if paths.is_empty() {
        let made = fs::read_to_string(dropin).is_ok_and(|text| text.starts_with(FIRST_LINE));
        if made {
            fs::remove_file(dropin).map_err(named(dropin))?;
        }
        let removed = if made { format!("; removed {}", dropin.display()) } else { String::new() };
        return Ok(format!("all paths of the configuration are below {STATE}: nothing to open{removed}\n"));
    }
    for path in &paths {
        make(path).map_err(named(path))?;
    }
    let parent = dropin.parent().unwrap_or(dropin);
    fs::create_dir_all(parent).map_err(named(parent))?;
    fs::write(dropin, text(&paths)).and_then(|()| files::sync_names(parent)).map_err(named(dropin))?;
    let list: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let (dropin, list) = (dropin.display(), list.join(", "));
    Ok(format!(
        "{dropin}: opens {list} to kvd.service. In force after: systemctl daemon-reload && systemctl restart kvd\n"
    ))
}

/// The drop-in. The unit hides everything below /home and /root, so there the directory is bound into an empty one.
fn text(paths: &[PathBuf]) -> String {
    let hidden = |path: &&PathBuf| ["/home", "/root", "/run/user"].iter().any(|home| path.starts_with(home));
    let quoted = |path: &PathBuf| {
        format!(
            "\"{}\"",
            path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%")
        )
    };
    let all: Vec<String> = paths.iter().map(quoted).collect();
    let bound: Vec<String> = paths.iter().filter(hidden).map(quoted).collect();
    let mut text = format!(
        "{FIRST_LINE}\n[Unit]\nRequiresMountsFor={0}\n\n[Service]\nReadWritePaths={0}\n",
        all.join(" ")
    );
    if !bound.is_empty() {
        text.push_str(&format!("ProtectHome=tmpfs\nBindPaths={}\n", bound.join(" ")));
    }
    text
}

/// Makes a directory for the service alone. An existing one keeps its owner, unless it is empty and owned by root.
fn make(path: &Path) -> io::Result<()> {
    let Some(kv) = Account::of_service() else {
        return Err(io::Error::new(ErrorKind::NotFound, format!("there is no user {}", Account::NAME)));
    };
    if !path.exists() {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        DirBuilder::new().mode(0o700).create(path)?;
    }
    let found = fs::metadata(path)?;
    if found.uid() == kv.user {
        return Ok(());
    }
    if found.uid() != 0 || fs::read_dir(path)?.next().is_some() {
        let text =
            format!("belongs to another user than {0}; if it is for kvd: chown -R {0}: it", Account::NAME);
        return Err(io::Error::new(ErrorKind::PermissionDenied, text));
    }
    chown(path, Some(kv.user), Some(kv.group))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[test]
    fn a_dropin_opens_what_is_named_and_binds_what_is_hidden() {
        let paths = ["/srv/kv".into(), "/home/a b/50%".into()];
        let expected = "[Unit]\nRequiresMountsFor=\"/srv/kv\" \"/home/a b/50%%\"\n\n[Service]\n\
             ReadWritePaths=\"/srv/kv\" \"/home/a b/50%%\"\nProtectHome=tmpfs\nBindPaths=\"/home/a b/50%%\"\n";
        assert_eq!(text(&paths), format!("{FIRST_LINE}\n{expected}"));
        assert!(!text(&paths[..1]).contains("ProtectHome"));
    }

    #[test]
    fn the_kind_of_an_error_is_found_below_what_names_it() {
        let refused = || io::Error::from(ErrorKind::ReadOnlyFilesystem);
        assert_eq!(kind(&refused()), Some(ErrorKind::ReadOnlyFilesystem));
        let around = crate::log::LogError::Io { file: "a".into(), source: Arc::new(refused()) };
        assert_eq!(kind(&around), Some(ErrorKind::ReadOnlyFilesystem));
        assert_eq!(kind(&fmt::Error), None);
    }
}
