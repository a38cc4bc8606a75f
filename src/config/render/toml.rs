//! A configuration as TOML that [`read`](fn@crate::config::read) can read again.

use crate::config::config::Config;
use crate::config::diagnostic::MASK;
use crate::config::options::OptionSpec;
use crate::config::settings::{Origin, Setting};
use crate::config::value::{Value, quote, toml_key};

/// Lines of TOML, each added to its table. Keys without a table come first, as TOML requires.
#[derive(Clone, Debug, Default)]
pub struct Document {
    top: Vec<String>,
    tables: Vec<(String, Vec<String>)>,
}

impl Document {
    /// Adds an option's value with the comment lines above it. Members and gates become tables of their own.
    pub fn put(&mut self, spec: &OptionSpec, value: &Value, above: &[String], behind: &str) {
        let behind = if behind.is_empty() { String::new() } else { format!("  # {behind}") };
        let entries: Vec<String> = match value {
            Value::Cluster(members) => members
                .iter()
                .map(|(name, urls)| {
                    let urls = Value::Urls(urls.clone()).to_toml(crate::config::options::Kind::PeerUrls);
                    let one = urls.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                    let urls = one.filter(|one| !one.contains(',')).map_or(urls.clone(), str::to_string);
                    format!("{} = {urls}{behind}", toml_key(name))
                })
                .collect(),
            Value::Gates(gates) => {
                gates.iter().map(|(name, on)| format!("{} = {on}{behind}", toml_key(name))).collect()
            }
            value => {
                let text = if spec.secret { quote(MASK) } else { value.to_toml(spec.kind) };
                let (table, key) = spec.key.rsplit_once('.').unwrap_or(("", spec.key));
                let lines = self.table(table);
                lines.extend(above.iter().map(|line| format!("# {line}")));
                lines.push(format!("{key} = {text}{behind}"));
                return;
            }
        };
        let lines = self.table(spec.key);
        lines.extend(above.iter().map(|line| format!("# {line}")));
        lines.extend(entries);
    }

    /// The same with the secret in clear, for files that will be used.
    pub fn put_clear(&mut self, spec: &OptionSpec, value: &Value, above: &[String]) {
        let clear = OptionSpec { secret: false, ..*spec };
        self.put(&clear, value, above, "");
    }

    /// Adds a line unchanged to a table; an empty name is the top.
    pub fn line(&mut self, table: &str, line: String) {
        self.table(table).push(line);
    }

    fn table(&mut self, name: &str) -> &mut Vec<String> {
        if name.is_empty() {
            return &mut self.top;
        }
        let at = match self.tables.iter().position(|(known, _)| known == name) {
            Some(at) => at,
            None => {
                self.tables.push((name.to_string(), Vec::new()));
                self.tables.len() - 1
            }
        };
        &mut self.tables[at].1
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.top {
            text.push_str(line);
            text.push('\n');
        }
        for (name, lines) in &self.tables {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&format!("[{name}]\n"));
            for line in lines {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

/// What is shown of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Each value's origin behind it.
    pub origins: bool,
    /// Secrets in clear; only for tests that read the result back.
    pub secrets: bool,
}

/// All values in force as TOML, without empty ones. Secrets are masked.
pub fn show(config: &Config, shown: Shown) -> String {
    let mut document = Document::default();
    for (spec, setting) in config.settings().iter() {
        if !spec.acts() || is_silent(spec, setting) {
            continue;
        }
        let behind = if shown.origins { setting.origin.to_string() } else { String::new() };
        let spec = OptionSpec { secret: spec.secret && !shown.secrets && !setting.value.is_empty(), ..*spec };
        document.put(&spec, &setting.value, &[], &behind);
    }
    document.text()
}

/// True if it is empty by default and now.
fn is_silent(spec: &OptionSpec, setting: &Setting) -> bool {
    setting.value.is_empty() && (spec.default.is_empty() || !matches!(setting.origin, Origin::Given(_)))
}
