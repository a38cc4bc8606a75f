//! Configuration: files, environment and flags become one checked [`Config`], with the origin of every value and
//! precise findings.
//!
//! | file | what |
//! |---|---|
//! | `options/` | the one table of all options; help, man pages and the sample file are made from it |
//! | `source/` | command line (Go's syntax), environment, TOML: each turns text into checked values |
//! | `value.rs`, `url.rs`, `duration.rs` | single values |
//! | `read.rs`, `derive.rs`, `check.rs`, `bootstrap.rs` | sources laid over each other, values that follow, rules |
//! | `config.rs`, `types.rs` | the result |
//! | `diagnostic.rs`, `settings.rs` | findings and origins |
//! | `reload.rs` | what a new configuration changes in a running member |
//! | `admin.rs` | what kvctl and the daemon say over the admin socket |
//! | `render/` | TOML, the sample file, the man pages |
//! | `cli/` | `kvd`'s command line: what is to be done, and every answer but running |
//!
//! Rules: the outside is only touched through [`Surroundings`]; reading never panics, whatever it is given; every
//! error is reported at once; a value's text never appears in a finding when the option is a secret.
//!
//! Where kvd differs from etcd on purpose: all sources merge (etcd's file silences flags and variables); a variable
//! beside a flag of the same option is no error; unknown keys of the file are errors; numbers in the file may be
//! durations in Go's spelling; configuration errors exit with 78.

pub mod admin;
mod bootstrap;
mod check;
pub mod cli;
#[allow(clippy::module_inception)]
mod config;
mod derive;
mod diagnostic;
mod duration;
pub mod options;
mod read;
mod reload;
pub mod render;
mod settings;
pub mod source;
mod surroundings;
mod tls_names;
mod types;
mod url;
mod value;

pub use bootstrap::{advertised_problem, bootstrap_options, is_initialised};
pub use config::Config;
pub use diagnostic::{Diagnostic, FilePlace, Place, Severity, summary};
pub use duration::{DurationError, format_duration, parse_duration};
pub use options::{Gate, GateStage};
pub use read::{DEFAULT_FILE, Outcome, read};
pub use reload::{Change, Takes, changes};
pub use settings::{Given, Origin, Setting, Settings};
pub use surroundings::{Disk, Files, Surroundings, default_host};
pub use tls_names::{SUITES, SuiteSupport, suite_support};
pub use types::*;
pub use url::{Scheme, Url, UrlError, UrlUse, join_urls, parse_url_list};
pub use value::{Value, cluster_text, parse_cluster, parse_gates};
