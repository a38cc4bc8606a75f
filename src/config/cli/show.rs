//! `kvd config show`.

use serde_json::json;

use super::Answer;
use crate::config::config::Config;
use crate::config::diagnostic::MASK;
use crate::config::render::{self, Shown};

/// The form of the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// Each value's origin.
    pub(super) origin: bool,
    /// As JSON.
    pub(super) json: bool,
}

pub(super) fn show(config: &Config, options: Options) -> Answer {
    if !options.json {
        return Answer::out(render::show(config, Shown { origins: options.origin, secrets: false }));
    }
    let mut object = serde_json::Map::new();
    for (spec, setting) in config.settings().iter().filter(|(spec, _)| spec.acts()) {
        let text = setting.value.to_text(spec.kind);
        let text = if spec.secret && !text.is_empty() { MASK.to_string() } else { text };
        object.insert(spec.name.to_string(), json!({ "value": text, "origin": setting.origin.to_string() }));
    }
    Answer::out(format!("{:#}\n", serde_json::Value::Object(object)))
}
