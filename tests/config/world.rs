//! An environment that exists only in a test: files, arguments, variables.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use kvd::config::cli::{Answer, Invocation, parse};
use kvd::config::{Config, Files, Outcome, Surroundings, read};

/// Files, arguments and variables of a story.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    pub arguments: Vec<String>,
    pub variables: Vec<(String, String)>,
}

impl Files for World {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if self.list(path).is_ok_and(|entries| !entries.is_empty()) {
            return Err(io::Error::other("Is a directory"));
        }
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "No such file or directory"))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.files.keys().filter(|path| path.parent() == Some(directory)).cloned().collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }
}

impl World {
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(PathBuf::from(path), text.as_bytes().to_vec());
        self
    }

    /// The default file.
    pub fn toml(self, text: &str) -> Self {
        self.file("/etc/kv/cluster.toml", text)
    }

    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| argument.to_string()));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_string(), value.to_string()));
        self
    }

    pub fn surroundings(&self) -> Surroundings<'_> {
        fn host() -> Option<IpAddr> {
            Some(IpAddr::from([10, 0, 0, 7]))
        }
        Surroundings {
            arguments: self.arguments.clone(),
            variables: self.variables.clone(),
            files: self,
            default_host: host,
        }
    }

    pub fn read(&self) -> Outcome {
        read(&self.surroundings())
    }

    /// The configuration of a valid world.
    pub fn config(&self) -> Config {
        match self.read().into_result() {
            Ok((config, _)) => config,
            Err(findings) => panic!("{}", kvd::config::cli::text_of(&findings)),
        }
    }

    /// The output and exit status of `kvd`; the configuration is returned in place of a running daemon.
    pub fn invoke(&self) -> Answer {
        match parse(self.surroundings()) {
            Invocation::Check(check) => check.read().answer(Vec::new(), None),
            Invocation::Answer(answer) => answer,
            Invocation::NewSecret(_) | Invocation::DropIn(_) => {
                Answer { out: "(acts)\n".to_string(), ..Answer::default() }
            }
            Invocation::Run(_, warnings) => {
                Answer { out: "(runs)\n".to_string(), err: kvd::config::cli::text_of(&warnings), code: 0 }
            }
        }
    }
}
