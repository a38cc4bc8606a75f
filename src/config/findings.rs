//! What is found in a configuration's values while sections are made from them and judged by their rules.

use super::diagnostic::{Diagnostic, Place};
use super::settings::Settings;
use super::spec::OptionSpec;
use super::typed::FromValue;
use super::value::Value;

/// The values, and the findings so far, in the order in which they were found.
pub(super) struct Findings<'s> {
    settings: &'s Settings,
    found: Vec<Diagnostic>,
}

impl<'s> Findings<'s> {
    /// Nothing yet.
    pub(super) fn of(settings: &'s Settings) -> Self {
        Self { settings, found: Vec::new() }
    }

    /// All findings.
    pub(super) fn finish(self) -> Vec<Diagnostic> {
        self.found
    }

    /// An option's value in its field's type. An invalid value is a finding, and the default is used instead, so that
    /// the rules are checked anyway.
    ///
    /// # Panics
    /// If the default itself cannot be one; making any configuration would show it.
    pub(super) fn take<T: FromValue>(&mut self, option: &str) -> T {
        let (spec, setting) = self.settings.row(option);
        match T::from_value(&in_force(spec, &setting.value)) {
            Ok(value) => value,
            Err(problem) => {
                self.found.push((*problem).about(spec.name).at(setting.origin.place()));
                let default = Value::parse(spec.kind, spec.default);
                let default = default.map(|default| T::from_value(&in_force(spec, &default)));
                match default {
                    Ok(Ok(value)) => value,
                    _ => panic!("the default of {option} is no value of it"),
                }
            }
        }
    }

    /// True if the operator gave this option.
    pub(super) fn is_given(&self, option: &str) -> bool {
        self.settings.is_given(option)
    }

    /// True if all these options have values of their own. A rule among options says nothing if one of them was refused
    /// already: what its default leads to is nobody's mistake.
    pub(super) fn are_readable(&self, options: &[&str]) -> bool {
        options.iter().all(|option| !self.settings.origin(option).is_refused())
    }

    /// True if any value comes from a file.
    pub(super) fn has_file(&self) -> bool {
        self.settings.iter().any(|(_, setting)| matches!(setting.origin.place(), Some(Place::File(_))))
    }

    /// An option's value as a flag would take it.
    pub(super) fn text(&self, option: &str) -> String {
        let (spec, setting) = self.settings.row(option);
        setting.value.to_text(spec.kind)
    }

    /// An error about this option, at the place of its value.
    pub(super) fn error(&mut self, option: &'static str, message: impl Into<String>) {
        self.push(option, Diagnostic::error(message));
    }

    /// A warning about this option, at the place of its value.
    pub(super) fn warn(&mut self, option: &'static str, message: impl Into<String>) {
        self.push(option, Diagnostic::warning(message));
    }

    /// A finding about an option, at the place of its value.
    pub(super) fn push(&mut self, option: &'static str, finding: Diagnostic) {
        self.push_at(option, option, finding);
    }

    /// A finding about an option, at the place of another one's value; none if either of them was refused already.
    pub(super) fn push_at(&mut self, option: &'static str, at: &str, finding: Diagnostic) {
        if !self.are_readable(&[option, at]) {
            return;
        }
        let place = self.settings.origin(at).place();
        self.found.push(finding.about(option).at(place));
    }
}

/// The value, or the meaning of a zero.
fn in_force(spec: &OptionSpec, value: &Value) -> Value {
    if spec.zero_means.is_empty() || !value.is_zero() {
        return value.clone();
    }
    Value::parse(spec.kind, spec.zero_means).unwrap_or_else(|_| value.clone())
}
