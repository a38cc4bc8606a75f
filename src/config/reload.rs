//! What a new configuration changes in a running member.

use super::config::Config;
use super::diagnostic::MASK;
use super::settings::Setting;
use super::spec::OptionSpec;
use super::value::quote;

/// What is needed to apply a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A reload.
    Reload,
    /// A restart.
    Restart,
    /// Nothing applies it: it only matters at the first start.
    Nothing,
}

/// One option whose value has changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// The option.
    pub spec: &'static OptionSpec,
    /// Its previous value and origin.
    pub old: Setting,
    /// Its new value and origin.
    pub new: Setting,
}

impl Change {
    /// The new value as TOML; secrets are masked.
    pub fn shown(&self) -> String {
        shown(self.spec, &self.new)
    }

    /// What is needed to apply it.
    pub fn takes(&self) -> Takes {
        if self.spec.bootstrap {
            Takes::Nothing
        } else if self.spec.reloads {
            Takes::Reload
        } else {
            Takes::Restart
        }
    }
}

/// A value as TOML; secrets are masked.
pub(super) fn shown(spec: &OptionSpec, setting: &Setting) -> String {
    if spec.secret && !setting.value.is_empty() { quote(MASK) } else { setting.value.to_toml(spec.kind) }
}

/// The options whose values differ, in the order of the table. A different origin alone is not a change.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    old.settings()
        .iter()
        .zip(new.settings().iter())
        .filter(|((_, old), (_, new))| old.value != new.value)
        .map(|((spec, old), (_, new))| Change { spec, old: old.clone(), new: new.clone() })
        .collect()
}
