//! The command line of `kvd`: what is to be done, and the answers to everything that is not running the daemon.
//!
//! clap frames sub-commands and help; server flags have Go's syntax, which clap does not, and are read from the table
//! of options before clap sees the rest. Nothing is printed here: an [`Answer`] carries the texts.

mod completion;
mod diff;
mod frame;
mod from_etcd;
mod show;
mod version;

use std::ffi::OsString;
use std::path::PathBuf;

use super::config::Config;
use super::diagnostic::{Diagnostic, summary};
use super::options::did_you_mean;
use super::read::{Outcome, names_no_other_file, read, read_as_service};
use super::source::{is_flag, read_flags};
use super::surroundings::Surroundings;
use super::value::Value;
use super::{bootstrap, render};

pub use completion::{completion, completion_script};
pub use frame::command;
pub use from_etcd::{convert, service_settings};
pub use version::version_text;

/// The exit code for a configuration that is wrong (EX_CONFIG of sysexits.h); systemd does not restart on it.
pub const EXIT_CONFIG: u8 = 78;

/// Texts for standard output and standard error, and the exit code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub out: String,
    /// For standard error.
    pub err: String,
    /// The exit code.
    pub code: u8,
}

impl Answer {
    fn out(text: impl Into<String>) -> Self {
        Self { out: text.into(), ..Self::default() }
    }

    fn refused(text: impl Into<String>) -> Self {
        Self { err: text.into(), code: EXIT_CONFIG, ..Self::default() }
    }

    fn findings(diagnostics: &[Diagnostic]) -> Self {
        Self::refused(text_of(diagnostics))
    }
}

/// What the command line asks for.
pub enum Invocation<'s> {
    /// Run the daemon with this configuration; the warnings are for its log.
    Run(Box<Config>, Vec<Diagnostic>),
    /// Look at the files that a start would open, and say whether all of it is good.
    Check(Box<CheckRequest<'s>>),
    /// Print this and exit.
    Answer(Answer),
    /// Make a secret for a cluster, in this file or on standard output.
    NewSecret(Option<PathBuf>),
    /// Let the service write where this configuration says.
    DropIn(Box<Config>),
}

/// Parses the arguments of this process, without the program's name.
pub fn parse_process(arguments: impl Iterator<Item = OsString>) -> Invocation<'static> {
    let mut texts = Vec::new();
    for argument in arguments {
        match argument.into_string() {
            Ok(text) => texts.push(text),
            Err(argument) => {
                let message = format!("the argument {argument:?} is not UTF-8");
                return Invocation::Answer(Answer::findings(&[Diagnostic::error(message)]));
            }
        }
    }
    parse(Surroundings::of_process(texts))
}

/// Parses a command line in its surroundings.
pub fn parse(surroundings: Surroundings<'_>) -> Invocation<'_> {
    let first = surroundings.arguments.first().map(String::as_str);
    match first {
        Some(word) if !is_flag(word) && !word.is_empty() => sub_command(surroundings),
        _ => {
            let flags = read_flags(&surroundings.arguments);
            let asked = |name: &str| {
                flags.given.iter().any(|given| given.spec.name == name && given.value == Value::Bool(true))
            };
            if asked("help") {
                return Invocation::Answer(Answer::out(frame::help()));
            }
            if asked("version") {
                return Invocation::Answer(Answer::out(version_text()));
            }
            match read(&surroundings).into_result() {
                Ok((config, warnings)) => Invocation::Run(Box::new(config), warnings),
                Err(findings) => Invocation::Answer(Answer::findings(&findings)),
            }
        }
    }
}

/// The text of some findings, with an empty line between two and their count at the end.
pub fn text_of(diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&format!("{diagnostic}\n"));
    }
    if diagnostics.iter().any(Diagnostic::is_error) {
        text.push_str(&format!("kvd: {}\n", summary(diagnostics)));
    }
    text
}

fn sub_command(mut surroundings: Surroundings<'_>) -> Invocation<'_> {
    let arguments = std::mem::take(&mut surroundings.arguments);
    let first = arguments.first().map_or("", String::as_str);
    if !frame::is_sub_command(first) {
        return Invocation::Answer(not_a_command(first));
    }
    let (for_clap, server_flags) = frame::separate(&arguments);
    let matches = match command().try_get_matches_from(std::iter::once("kvd".to_string()).chain(for_clap)) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => {
            return Invocation::Answer(Answer::refused(error.render().to_string()));
        }
        Err(error) => return Invocation::Answer(Answer::out(error.render().to_string())),
    };
    surroundings.arguments = server_flags;
    Invocation::Answer(match matches.subcommand() {
        Some(("check", matches)) => {
            let json = matches.get_flag("json");
            return Invocation::Check(Box::new(CheckRequest { surroundings, json }));
        }
        Some(("completion", matches)) => Answer::out(completion_script(matches, command())),
        Some(("secret", matches)) => match matches.subcommand() {
            Some(("new", matches)) => {
                return Invocation::NewSecret(matches.get_one::<String>("file").map(PathBuf::from));
            }
            _ => Answer::refused("kvd: no such command\n"),
        },
        Some(("config", matches)) => match matches.subcommand() {
            Some(("show", matches)) => {
                let options =
                    show::Options { origin: matches.get_flag("origin"), json: matches.get_flag("json") };
                with_config(&surroundings, |config| show::show(config, options))
            }
            Some(("diff", matches)) => {
                let file = matches.get_one::<String>("file").cloned();
                with_config(&surroundings, |config| diff::diff(config, file.as_deref(), &surroundings))
            }
            Some(("from-etcd", matches)) => match matches.get_one::<String>("file") {
                Some(file) => from_etcd::from_etcd(file, &surroundings),
                None => Answer::refused("kvd: no file is given\n"),
            },
            Some(("dropin", _)) => match read_as_service(&surroundings).into_result() {
                Ok((config, _)) => return Invocation::DropIn(Box::new(config)),
                Err(findings) => Answer::findings(&findings),
            },
            _ => Answer::refused("kvd: no such command\n"),
        },
        _ => Answer::refused("kvd: no such command\n"),
    })
}

/// A first word that is no command: etcd's text for it, and what was probably meant.
fn not_a_command(word: &str) -> Answer {
    let help = match word {
        "gateway" | "grpc-proxy" => {
            Some("kvd has no proxies; clients know several endpoints themselves".to_string())
        }
        word if word.ends_with(".toml") => {
            Some(format!("the configuration file is named by --config-file {word}"))
        }
        word => did_you_mean(word, ["check", "completion", "config", "secret", "help"].into_iter())
            .map(|word| format!("did you mean `kvd {word}`?")),
    };
    Answer::findings(&[Diagnostic::error(format!("{word:?} is not a valid flag")).maybe_help(help)])
}

fn with_config(surroundings: &Surroundings<'_>, act: impl FnOnce(&Config) -> Answer) -> Answer {
    match read_as_service(surroundings).into_result() {
        Ok((config, warnings)) => {
            let mut answer = act(&config);
            answer.err.insert_str(0, &text_of(&warnings));
            answer
        }
        Err(findings) => Answer::findings(&findings),
    }
}

/// `kvd check`, before anything is read.
pub struct CheckRequest<'s> {
    surroundings: Surroundings<'s>,
    json: bool,
}

impl<'s> CheckRequest<'s> {
    /// True unless another file than the service's is named: the service's configuration is meant.
    pub fn is_of_service(&self) -> bool {
        names_no_other_file(&self.surroundings)
    }

    /// The same in other surroundings.
    pub fn within<'t>(self, change: impl FnOnce(Surroundings<'s>) -> Surroundings<'t>) -> CheckRequest<'t> {
        CheckRequest { surroundings: change(self.surroundings), json: self.json }
    }

    /// Reads the configuration.
    pub fn read(self) -> Check {
        Check::of(&self.surroundings, self.json)
    }
}

/// `kvd check`, but for what only the daemon knows how to open.
#[derive(Clone, Debug)]
pub struct Check {
    config: Option<Config>,
    findings: Vec<Diagnostic>,
    files: Vec<PathBuf>,
    json: bool,
}

impl Check {
    fn of(surroundings: &Surroundings<'_>, json: bool) -> Self {
        let Outcome { draft, mut diagnostics, files, .. } = read_as_service(surroundings);
        if let Some(config) = &draft {
            let initialised = bootstrap::is_initialised_in(surroundings.files, &config.member.data_dir);
            let problems = config.bootstrap_problems().into_iter().map(|problem| match initialised {
                false => problem,
                true => Diagnostic {
                    severity: super::diagnostic::Severity::Warning,
                    help: Some(format!(
                        "it does not count: {} holds a member already",
                        config.member.data_dir.display()
                    )),
                    ..problem
                },
            });
            diagnostics.extend(problems);
            diagnostics.extend(missing_files(config, surroundings));
        }
        Self { config: draft, findings: diagnostics, files, json }
    }

    /// The configuration, as far as it can be read.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// The answer, with what else was found; `user` is whoever opened the files, unless that is the caller.
    pub fn answer(self, more: Vec<Diagnostic>, user: Option<&str>) -> Answer {
        let Self { mut findings, files, json, .. } = self;
        findings.extend(more);
        findings.sort_by_key(|finding| finding.severity);
        let valid = !findings.iter().any(Diagnostic::is_error);
        let code = if valid { 0 } else { EXIT_CONFIG };
        if json {
            let found: Vec<serde_json::Value> = findings.iter().map(Diagnostic::to_json).collect();
            let files: Vec<String> = files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
            let object = serde_json::json!({ "valid": valid, "files": files, "findings": found });
            return Answer { out: format!("{object:#}\n"), err: String::new(), code };
        }
        if !valid {
            let mut answer = Answer::findings(&findings);
            if let Some(name) = user {
                answer.err.push_str(&format!(
                    "kvd: the files were read as user {name}, as kvd.service reads them\n"
                ));
            }
            return answer;
        }
        let read_from = match files.as_slice() {
            [] => "no file".to_string(),
            files => files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "),
        };
        let user = user.map(|name| format!("read as user {name}; ")).unwrap_or_default();
        let out = format!("kvd: the configuration is good ({read_from}; {user}{})\n", summary(&findings));
        Answer { out, err: text_of(&findings), code }
    }
}

/// Files that options name and that are not there. A start refuses them as well, but one at a time.
fn missing_files(config: &Config, surroundings: &Surroundings<'_>) -> Vec<Diagnostic> {
    let mut missing = Vec::new();
    for (spec, setting) in config.settings().iter().filter(|(spec, _)| spec.names_file) {
        let path = setting.value.to_text(spec.kind);
        if !path.is_empty() && !surroundings.files.exists(path.as_ref()) {
            let error = Diagnostic::error(format!(
                "--{}: there is no file {path}, or it cannot be reached",
                spec.name
            ));
            missing.push(error.about(spec.name).at(setting.origin.place()));
        }
    }
    missing
}

/// The configuration in clear as TOML; for tests that read it back.
pub fn clear_toml(config: &Config) -> String {
    render::show(config, render::Shown { origins: false, secrets: true })
}
