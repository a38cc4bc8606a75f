//! `--write-out yaml`: the structure of `--write-out json`, one member a line.

use serde_json::Value;

use super::tree::{Node, Object, Shown, member, shown};

/// A document.
pub(super) fn document(node: &Node, texts: bool) -> String {
    let mut out = String::new();
    match node {
        Node::Object(object) if !object.0.is_empty() => members(object, texts, 0, &mut out),
        Node::List(elements) if !elements.is_empty() => list(elements, texts, 0, &mut out),
        single => {
            value(single, texts, 0, &mut out);
            // A value on its own line has no name before it.
            out = out.trim_start().to_string();
        }
    }
    out
}

fn members(object: &Object, texts: bool, indent: usize, out: &mut String) {
    for (at, (name, node)) in object.0.iter().enumerate() {
        // The first one is behind the indentation, or behind the dash of a list.
        if at > 0 || !out.ends_with("- ") {
            out.push_str(&" ".repeat(indent));
        }
        match node {
            Node::Bytes(bytes) => {
                let (name, text) = member(name, bytes, texts);
                out.push_str(&format!("{}: {}\n", scalar(&name), scalar(&text)));
            }
            node => {
                out.push_str(&format!("{}:", scalar(name)));
                value(node, texts, indent, out);
            }
        }
    }
}

fn list(elements: &[Node], texts: bool, indent: usize, out: &mut String) {
    for element in elements {
        out.push_str(&format!("{}-", " ".repeat(indent)));
        match element {
            Node::Object(object) if !object.0.is_empty() => {
                out.push(' ');
                members(object, texts, indent + 2, out);
            }
            other => value(other, texts, indent + 2, out),
        }
    }
}

/// What is behind a name or a dash, with the end of the line.
fn value(node: &Node, texts: bool, indent: usize, out: &mut String) {
    match node {
        Node::Scalar(Value::String(text)) => out.push_str(&format!(" {}\n", scalar(text))),
        Node::Scalar(value) => out.push_str(&format!(" {value}\n")),
        Node::Bytes(bytes) => match shown(bytes, texts) {
            Shown::Text(text) => out.push_str(&format!(" {}\n", scalar(&text))),
            Shown::NoText(text) => out.push_str(&format!(" base64: {}\n", scalar(&text))),
        },
        Node::Object(object) if object.0.is_empty() => out.push_str(" {}\n"),
        Node::List(elements) if elements.is_empty() => out.push_str(" []\n"),
        Node::Object(object) => {
            out.push('\n');
            members(object, texts, indent + 2, out);
        }
        Node::List(elements) => {
            out.push('\n');
            list(elements, texts, indent, out);
        }
    }
}

/// A text: plain if every parser reads it as this text, otherwise in quotes.
fn scalar(text: &str) -> String {
    // YAML 1.1 has more words for booleans than 1.2; all are quoted.
    const WORDS: [&str; 10] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan"];
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/_-.+=@:".contains(c);
    if starts_well
        && !text.ends_with(':')
        && text.chars().all(is_plain)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
    {
        return text.to_string();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    for character in Value::from(text).to_string().chars() {
        match character {
            // Some parsers take these for the end of a line, or do not accept them at all.
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => quoted.push(other),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_blocks() {
        let inner = || Object::default().always("id", 7).always("name", "m 1");
        let object = Object::default()
            .with("header", inner())
            .list("kvs", [inner().with("deep", inner()), inner()].into_iter())
            .always("names", vec!["a", "b"])
            .with("none", Node::List(Vec::new()))
            .with("nothing", Object::default())
            .with("null", Value::Null)
            .with("keys", Node::List(vec![Node::Bytes(b"k".to_vec()), Node::Bytes(vec![0xff])]))
            .bytes("value", &[0xff]);
        let expected = "header:\n  id: 7\n  name: \"m 1\"\nkvs:\n- id: 7\n  name: \"m 1\"\n  deep:\n    id: 7\n    \
                        name: \"m 1\"\n- id: 7\n  name: \"m 1\"\nnames:\n- a\n- b\nnone: []\nnothing: {}\n\"null\": null\n\
                        keys:\n- k\n- base64: /w==\nvalue_base64: /w==\n";
        assert_eq!(document(&object.into(), true), expected);
        assert_eq!(document(&Node::List(Vec::new()), false), "[]\n");
        assert_eq!(document(&Value::Null.into(), false), "null\n");
    }

    #[test]
    fn texts_that_could_be_read_as_something_else_are_quoted() {
        for plain in ["a", "/a/b-c_d.e", "Zm9vYg==", "user@host", "e5", "http://host:2379/"] {
            assert_eq!(scalar(plain), plain);
        }
        for (text, quoted) in [
            ("", "\"\""),
            ("Yes", "\"Yes\""),
            ("12", "\"12\""),
            ("a:", "\"a:\""),
            ("a: b", "\"a: b\""),
            ("a#", "\"a#\""),
            ("- a", "\"- a\""),
            ("=", "\"=\""),
            ("a\nb\t\"", "\"a\\nb\\t\\\"\""),
            ("\u{85}\u{fc}", "\"\\u0085\u{fc}\""),
        ] {
            assert_eq!(scalar(text), quoted);
        }
    }
}
