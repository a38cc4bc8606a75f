//! JSON as Go's `encoding/json` writes it, which escapes what HTML gives a meaning to.

use std::fmt::Write;

use chrono::DateTime;

use crate::model::{TreeAction, TreeEvent, TreeListing, TreeNode};

/// Appends a string.
pub fn text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..=' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if character != ' ' => {
                // Writing to a string never fails.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            character => out.push(character),
        }
    }
    out.push('"');
}

/// A string alone.
pub fn quoted(string: &str) -> String {
    let mut out = String::with_capacity(string.len() + 2);
    text(string, &mut out);
    out
}

/// A moment, as Go writes it: UTC, without zeros at its end.
pub fn time(ms: i64) -> String {
    let Some(moment) = DateTime::from_timestamp_millis(ms) else { return String::new() };
    let seconds = moment.format("%Y-%m-%dT%H:%M:%S");
    let fraction = format!(".{:03}", moment.timestamp_subsec_millis());
    format!("{seconds}{}Z", fraction.trim_end_matches('0').trim_end_matches('.'))
}

/// The name of an action.
fn name(action: TreeAction) -> &'static str {
    match action {
        TreeAction::Set => "set",
        TreeAction::Create => "create",
        TreeAction::Update => "update",
        TreeAction::CompareAndSwap => "compareAndSwap",
        TreeAction::Delete => "delete",
        TreeAction::CompareAndDelete => "compareAndDelete",
        TreeAction::Expire => "expire",
    }
}

/// An event as a line; `bare` leaves out its nodes.
pub fn event(event: &TreeEvent, bare: bool) -> String {
    let mut out = format!("{{\"action\":\"{}\"", name(event.action));
    if !bare {
        out.push_str(",\"node\":");
        node(&event.node, &[], &mut out);
        if let Some(prev) = &event.prev {
            out.push_str(",\"prevNode\":");
            node(prev, &[], &mut out);
        }
    }
    out.push_str("}\n");
    out
}

/// The answer to a read, as a line.
pub fn listing(listing: &TreeListing) -> String {
    let mut out = String::from("{\"action\":\"get\",\"node\":");
    node(&listing.node, &listing.nodes, &mut out);
    out.push_str("}\n");
    out
}

fn node(shown: &TreeNode, nodes: &[TreeListing], out: &mut String) {
    let mut fields = Fields { out, is_empty: true };
    // The root has no key.
    if &*shown.key != "/" {
        text(&shown.key, fields.next("key"));
    }
    if let Some(value) = &shown.value {
        text(value, fields.next("value"));
    }
    if shown.dir {
        fields.next("dir").push_str("true");
    }
    if let Some(expires) = shown.expires_ms {
        text(&time(expires), fields.next("expiration"));
    }
    fields.number("ttl", shown.ttl);
    if !nodes.is_empty() {
        let out = fields.next("nodes");
        for (place, below) in nodes.iter().enumerate() {
            out.push(if place == 0 { '[' } else { ',' });
            node(&below.node, &below.nodes, out);
        }
        out.push(']');
    }
    fields.number("modifiedIndex", i64::try_from(shown.modified).unwrap_or(i64::MAX));
    fields.number("createdIndex", i64::try_from(shown.created).unwrap_or(i64::MAX));
    fields.end();
}

/// The fields of an object.
struct Fields<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl Fields<'_> {
    /// Begins a field, whose value follows.
    fn next(&mut self, name: &str) -> &mut String {
        let begin = if std::mem::take(&mut self.is_empty) { '{' } else { ',' };
        let _ = write!(self.out, "{begin}\"{name}\":");
        self.out
    }

    /// A number, which is left out if it is zero.
    fn number(&mut self, name: &str, number: i64) {
        if number != 0 {
            let _ = write!(self.next(name), "{number}");
        }
    }

    fn end(self) {
        self.out.push_str(if self.is_empty { "{}" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_times_are_those_of_go() {
        assert_eq!(
            quoted("a<b>&\"\\\n\u{1}\u{7f} ä\u{2028}"),
            r#""a\u003cb\u003e\u0026\"\\\n\u0001"#.to_owned() + "\u{7f} ä\\u2028\""
        );
        for (ms, text) in [
            (1_455_608_149_278, "2016-02-16T07:35:49.278Z"),
            (1_455_608_149_270, "2016-02-16T07:35:49.27Z"),
            (1_455_608_149_000, "2016-02-16T07:35:49Z"),
        ] {
            assert_eq!(time(ms), text);
        }
    }

    #[test]
    fn nodes_have_only_fields_that_say_something() {
        let shown = |key: &str, dir: bool, modified| TreeNode {
            key: key.into(),
            value: (!dir).then(|| "".into()),
            dir,
            expires_ms: None,
            ttl: 0,
            modified,
            created: modified,
        };
        let file = TreeListing { node: shown("/a", false, 4), nodes: Vec::new() };
        let root = TreeListing { node: shown("/", true, 0), nodes: vec![file] };
        assert_eq!(
            listing(&root),
            "{\"action\":\"get\",\"node\":{\"dir\":true,\"nodes\":[{\"key\":\"/a\",\"value\":\"\",\"modifiedIndex\":4,\"createdIndex\":4}]}}\n"
        );
    }
}
