//! Configuration: files, environment and flags become one checked [`Config`], with the origin of every value and
//! precise findings.
//!
//! | file | what |
//! |---|---|
//! | `sections/` | the options, topic by topic: row, type, default, rules |
//! | `spec.rs`, `typed.rs`, `gates.rs` | the structure of a row, and how it becomes a field; feature gates |
//! | `options.rs` | all rows: help, man pages and the sample file are made from them |
//! | `source/` | command line (Go's syntax), environment, TOML: each turns text into checked values |
//! | `value.rs`, `url.rs`, `duration.rs` | single values |
//! | `settings.rs`, `findings.rs`, `diagnostic.rs` | all values with their origins; findings |
//! | `read.rs` | merges the sources |
//! | `config.rs`, `bootstrap.rs` | the result: the struct of all sections; what a first start needs |
//! | `reload.rs` | what a new configuration changes in a running member |
//! | `admin.rs` | the messages between kvctl and the daemon on the admin socket |
//! | `render/` | TOML, the sample file, the man pages |
//! | `cli/` | `kvd`'s command line: what to do, and all commands except running the daemon |
//!
//! An option is one row in its section. The row says whether a reload applies it; [`Config::reloaded`] follows the
//! rows, and a test of the daemon checks that such an option changes something in a running member.
//!
//! Rules: everything outside is accessed through [`Surroundings`]; reading never panics, whatever the input; all errors
//! are reported at once; if an option is a secret, its value never appears in a finding.
//!
//! Intended differences from etcd: all sources merge (in etcd a file disables flags and variables); a variable together
//! with a flag for the same option is not an error; unknown keys of the file are errors; numbers in the file may be
//! durations in Go's syntax; configuration errors exit with 78.

pub mod admin;
mod bootstrap;
pub mod cli;
#[allow(clippy::module_inception)]
mod config;
mod diagnostic;
mod duration;
mod findings;
mod gates;
pub mod options;
mod read;
mod reload;
pub mod render;
mod sections;
mod settings;
pub mod source;
mod spec;
mod surroundings;
mod tls_names;
mod typed;
mod url;
mod value;

pub use bootstrap::{advertised_problem, bootstrap_options, is_initialised};
pub use config::Config;
pub use diagnostic::{Diagnostic, FilePlace, Place, Severity, summary, system_text};
pub use duration::{DurationError, format_duration, parse_duration};
pub use gates::{Gate, GateStage};
pub use read::{DEFAULT_FILE, ENVIRONMENT_FILE, Outcome, read};
pub use reload::{Change, Takes, changes};
pub use sections::*;
pub use settings::{Given, Origin, Setting, Settings};
pub use surroundings::{Disk, Files, Surroundings, default_host};
pub use tls_names::{SUITES, SuiteSupport, suite_support};
pub use typed::Secret;
pub use url::{Scheme, Url, UrlError, UrlUse, join_urls, parse_url_list};
pub use value::{Value, cluster_text, parse_cluster, parse_gates};
