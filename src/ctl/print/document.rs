//! Answers as lines of JSON or documents of YAML.

use super::format::{Format, Style};
use super::tree::Node;
use super::{json, yaml};

/// A line with one value in JSON, or a document in YAML.
pub(super) fn line(node: impl Into<Node>, style: Style) -> Vec<u8> {
    let node = node.into();
    match style.format {
        Format::Yaml => yaml::document(&node, style.text).into_bytes(),
        _ => (json::text(&node, style.text) + "\n").into_bytes(),
    }
}

/// As [`line`], for one of several answers: in YAML they are documents of one stream.
pub(super) fn one_of_many(node: impl Into<Node>, style: Style) -> Vec<u8> {
    let mark = if style.format == Format::Yaml { "---\n" } else { "" };
    [mark.as_bytes(), &line(node, style)].concat()
}
