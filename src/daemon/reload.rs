//! A new configuration in a running member: read, checked as a whole, and then applied as far as possible.

use std::cell::RefCell;

use super::notices::{CONFIG_REFUSED, RELOADED};
use super::process::Process;
use super::systemd;
use crate::config::admin::Answer;
use crate::config::cli::text_of;
use crate::config::options::Section;
use crate::config::{Change, Config, Surroundings, Takes, changes, read};

/// Reads the configuration again on request, always with the same command line and variables.
pub struct Reloader<'m> {
    process: &'m Process,
    arguments: Vec<String>,
    /// The configuration of the start: changes that need a restart are found by comparing with it.
    started: &'m Config,
    /// The last valid one: changes that a reload applies are found by comparing with it.
    current: RefCell<Config>,
}

impl<'m> Reloader<'m> {
    /// For a member that runs with `started`, which was read with these arguments.
    pub fn new(process: &'m Process, arguments: Vec<String>, started: &'m Config) -> Self {
        Self { process, arguments, started, current: RefCell::new(started.clone()) }
    }

    /// Reads and applies. The result is logged and returned. On an error nothing changes.
    pub fn reload(&self) -> Answer {
        systemd::reloading();
        let answer = self.attempt();
        for warning in &answer.warnings {
            tracing::warn!("{}", warning.trim_end());
        }
        match &answer.error {
            Some(error) => tracing::error!(
                message_id = CONFIG_REFUSED.id,
                "the new configuration is refused; going on with the old one: {}",
                error.trim_end()
            ),
            None => {
                tracing::info!(
                    message_id = RELOADED.id,
                    "the configuration was read again: {}",
                    answer.lines.join("; ")
                )
            }
        }
        systemd::ready(&self.process.status());
        answer
    }

    fn attempt(&self) -> Answer {
        let new = match read(&Surroundings::of_process(self.arguments.clone())).into_result() {
            Ok((new, warnings)) => (new, warnings),
            Err(findings) => return Answer::refused(text_of(&findings)),
        };
        let (new, warnings) = new;
        // Steps that can fail come first, so that a refusal changes nothing.
        if let Err(error) = self.process.apply(&self.started.reloaded(&new)) {
            return Answer::refused(format!("{error}\n"));
        }
        let mut lines = lines(self.started, &self.current.borrow(), &new, self.process.has_client_tls());
        lines.extend(self.process.has_tls_files(&new).then(|| "TLS files were read again".to_string()));
        if lines.is_empty() {
            lines.push("nothing has changed".to_string());
        }
        *self.current.borrow_mut() = new;
        Answer { lines, warnings: warnings.iter().map(ToString::to_string).collect(), error: None }
    }
}

/// What the new configuration changes, one line each; secrets are masked. Without TLS for clients its options wait for
/// a listener that uses them, which takes a restart.
fn lines(started: &Config, current: &Config, new: &Config, client_tls: bool) -> Vec<String> {
    let takes = |change: &Change| match change.takes() {
        Takes::Reload if change.spec.section == Section::ClientTls && !client_tls => Takes::Restart,
        takes => takes,
    };
    let at_once = changes(current, new).into_iter().filter(|change| takes(change) == Takes::Reload);
    let at_once = at_once.map(|change| format!("{} is in force", assignment(&change)));
    let later = changes(started, new).into_iter().filter(|change| takes(change) != Takes::Reload);
    let later = later.map(|change| match takes(&change) {
        Takes::Nothing => format!("{} only counts at the first start", assignment(&change)),
        _ => format!("{} takes a restart", assignment(&change)),
    });
    at_once.chain(later).collect()
}

fn assignment(change: &Change) -> String {
    format!("{} = {}", change.spec.key, change.shown())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Files;
    use std::io;
    use std::path::{Path, PathBuf};

    struct OneFile(&'static str);

    impl Files for OneFile {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            if self.exists(path) { Ok(self.0.into()) } else { Err(io::ErrorKind::NotFound.into()) }
        }

        fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }

        fn exists(&self, path: &Path) -> bool {
            path == Path::new(crate::config::DEFAULT_FILE)
        }
    }

    fn config(toml: &'static str) -> Config {
        let files = OneFile(toml);
        let surroundings = Surroundings {
            arguments: Vec::new(),
            variables: Vec::new(),
            files: &files,
            default_host: || None,
        };
        match read(&surroundings).into_result() {
            Ok((config, _)) => config,
            Err(findings) => panic!("{}", text_of(&findings)),
        }
    }

    #[test]
    fn changes_are_told_by_what_they_take() {
        let started = config("log-level = \"info\"\n");
        let now =
            config("log-level = \"debug\"\nheartbeat-interval = 200\ninitial-cluster-token = \"other\"\n");
        let told = lines(&started, &started, &now, true);
        assert_eq!(
            told,
            [
                "log-level = \"debug\" is in force",
                "initial-cluster-token = \"other\" only counts at the first start",
                "heartbeat-interval = 200 takes a restart",
            ]
        );
        // A change that was applied is not reported the next time; one that waits for a restart is.
        assert_eq!(lines(&started, &now, &now, true).len(), 2);
    }

    #[test]
    fn a_certificate_that_no_listener_uses_is_not_in_force() {
        let started = config("");
        let now = config("[client-transport-security]\ncert-file = \"/c\"\nkey-file = \"/k\"\n");
        let told = |client_tls| lines(&started, &started, &now, client_tls).join("; ");
        assert_eq!(told(true).matches("is in force").count(), 2);
        assert_eq!(told(false).matches("takes a restart").count(), 2);
    }

    #[test]
    fn secrets_are_not_told() {
        let told = lines(
            &config("cluster-secret = \"0123456789abcdef\"\n"),
            &config("cluster-secret = \"0123456789abcdef\"\n"),
            &config("cluster-secret = \"fedcba9876543210\"\n"),
            true,
        );
        assert_eq!(told.len(), 1);
        assert!(!told[0].contains("fedcba"), "{told:?}");
    }
}
