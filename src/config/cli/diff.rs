//! `kvd config diff`.

use std::net::IpAddr;

use super::{Answer, text_of};
use crate::config::config::Config;
use crate::config::read::read;
use crate::config::reload::{Change, Takes, changes, shown};
use crate::config::surroundings::Surroundings;

pub(super) fn diff(config: &Config, file: Option<&str>, surroundings: &Surroundings<'_>) -> Answer {
    let other = match file {
        Some(file) => alone(vec!["--config-file".to_string(), file.to_string()], surroundings),
        None => alone(Vec::new(), &nothing(surroundings)),
    };
    let other = match other {
        Ok(other) => other,
        Err(answer) => return answer,
    };
    let mut out = String::new();
    for change in changes(&other, config) {
        out.push_str(&lines(&change, file.is_some()));
    }
    Answer::out(out)
}

/// A configuration from some flags only, without variables.
fn alone(arguments: Vec<String>, surroundings: &Surroundings<'_>) -> Result<Config, Answer> {
    let only = Surroundings {
        arguments,
        variables: surroundings
            .variables
            .iter()
            .filter(|(name, _)| !name.starts_with("ETCD_") && !name.starts_with("KVD_"))
            .cloned()
            .collect(),
        files: surroundings.files,
        default_host: surroundings.default_host,
    };
    match read(&only).into_result() {
        Ok((config, _)) => Ok(config),
        Err(findings) => Err(Answer::refused(text_of(&findings))),
    }
}

/// Surroundings without any file: only the defaults remain.
fn nothing<'a>(_: &Surroundings<'a>) -> Surroundings<'a> {
    fn unknown() -> Option<IpAddr> {
        None
    }
    Surroundings { arguments: Vec::new(), variables: Vec::new(), files: &NoFiles, default_host: unknown }
}

struct NoFiles;

impl crate::config::surroundings::Files for NoFiles {
    fn read(&self, _: &std::path::Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn list(&self, _: &std::path::Path) -> std::io::Result<Vec<std::path::PathBuf>> {
        Ok(Vec::new())
    }

    fn exists(&self, _: &std::path::Path) -> bool {
        false
    }
}

fn lines(change: &Change, from_file: bool) -> String {
    let takes = match change.takes() {
        _ if !from_file => String::new(),
        Takes::Reload => ", takes a reload".to_string(),
        Takes::Restart => ", takes a restart".to_string(),
        Takes::Nothing => ", only counts at the first start".to_string(),
    };
    let key = change.spec.key;
    format!(
        "- {key} = {}\n+ {key} = {}  # {}{takes}\n",
        shown(change.spec, &change.old),
        shown(change.spec, &change.new),
        change.new.origin
    )
}
