//! JSON as Go's `encoding/json` writes it, which escapes what HTML gives a meaning to.

use std::fmt::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;

use crate::api::unsent::{Share, WORTH_COUNTING};
use crate::model::{Refusal, TreeAction, TreeEvent, TreeListing, TreeNode};

/// The characters below the space, escaped: a value may consist of them, and formatting each takes long.
const CONTROLS: &str = "\
    \\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\u0008\\u0009\\u000a\\u000b\\u000c\\u000d\\u000e\\u000f\
    \\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f";

/// Writes a string.
///
/// # Errors
/// Those of `out`; a `String` has none.
pub fn text(text: &str, out: &mut dyn Write) -> fmt::Result {
    out.write_char('"')?;
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        let escape = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '<' => "\\u003c",
            '>' => "\\u003e",
            '&' => "\\u0026",
            '\u{2028}' => "\\u2028",
            '\u{2029}' => "\\u2029",
            '\0'..' ' => {
                let number = 6 * character as usize;
                CONTROLS.get(number..number + 6).unwrap_or_default()
            }
            _ => continue,
        };
        out.write_str(&text[plain..at])?;
        out.write_str(escape)?;
        plain = at + character.len_utf8();
    }
    out.write_str(&text[plain..])?;
    out.write_char('"')
}

/// A string alone.
pub fn quoted(string: &str) -> String {
    string_of(string.len() + 2, |out| text(string, out))
}

/// What `write` writes, of about that length. A string takes everything, so its errors are none.
pub fn string_of(length: usize, write: impl FnOnce(&mut dyn Write) -> fmt::Result) -> String {
    let mut out = String::with_capacity(length);
    let _ = write(&mut out);
    out
}

/// How many bytes `write` writes: a value may be six times as long in JSON.
pub fn length(write: impl FnOnce(&mut dyn Write) -> fmt::Result) -> usize {
    let mut length = Length(0);
    let _ = write(&mut length);
    length.0
}

/// What `write` writes; its room is taken before it is encoded.
///
/// # Errors
/// Those of [`Share::take`].
pub fn line(share: &Arc<Share>, write: impl Fn(&mut dyn Write) -> fmt::Result) -> Result<Bytes, Refusal> {
    let bytes = length(&write);
    let room = (bytes >= WORTH_COUNTING).then(|| share.take(bytes)).transpose()?;
    let line = Bytes::from(string_of(bytes, &write));
    Ok(match room {
        Some(room) => room.by(line),
        None => line,
    })
}

/// Counts what is written.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
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

/// Writes an event as a line; `bare` leaves out its nodes.
///
/// # Errors
/// Those of `out`; a `String` has none.
pub fn event(event: &TreeEvent, bare: bool, out: &mut dyn Write) -> fmt::Result {
    write!(out, "{{\"action\":\"{}\"", name(event.action))?;
    if !bare {
        out.write_str(",\"node\":")?;
        node(&event.node, &[], out)?;
        if let Some(prev) = &event.prev {
            out.write_str(",\"prevNode\":")?;
            node(prev, &[], out)?;
        }
    }
    out.write_str("}\n")
}

/// Writes the answer to a read, as a line.
///
/// # Errors
/// Those of `out`; a `String` has none.
pub fn listing(listing: &TreeListing, out: &mut dyn Write) -> fmt::Result {
    out.write_str("{\"action\":\"get\",\"node\":")?;
    node(&listing.node, &listing.nodes, out)?;
    out.write_str("}\n")
}

fn node(shown: &TreeNode, nodes: &[TreeListing], out: &mut dyn Write) -> fmt::Result {
    let mut fields = Fields { out, is_empty: true };
    // The root has no key.
    if &*shown.key != "/" {
        text(&shown.key, fields.next("key")?)?;
    }
    if let Some(value) = &shown.value {
        text(value, fields.next("value")?)?;
    }
    if shown.dir {
        fields.next("dir")?.write_str("true")?;
    }
    if let Some(expires) = shown.expires_ms {
        text(&time(expires), fields.next("expiration")?)?;
    }
    fields.number("ttl", shown.ttl)?;
    if !nodes.is_empty() {
        let out = fields.next("nodes")?;
        for (place, below) in nodes.iter().enumerate() {
            out.write_char(if place == 0 { '[' } else { ',' })?;
            node(&below.node, &below.nodes, out)?;
        }
        out.write_char(']')?;
    }
    fields.number("modifiedIndex", i64::try_from(shown.modified).unwrap_or(i64::MAX))?;
    fields.number("createdIndex", i64::try_from(shown.created).unwrap_or(i64::MAX))?;
    fields.end()
}

/// The fields of an object.
struct Fields<'o> {
    out: &'o mut dyn Write,
    is_empty: bool,
}

impl Fields<'_> {
    /// Begins a field, whose value follows.
    fn next(&mut self, name: &str) -> Result<&mut dyn Write, fmt::Error> {
        let begin = if std::mem::take(&mut self.is_empty) { '{' } else { ',' };
        write!(self.out, "{begin}\"{name}\":")?;
        Ok(self.out)
    }

    /// A number, which is left out if it is zero.
    fn number(&mut self, name: &str, number: i64) -> fmt::Result {
        if number != 0 {
            write!(self.next(name)?, "{number}")?;
        }
        Ok(())
    }

    fn end(self) -> fmt::Result {
        self.out.write_str(if self.is_empty { "{}" } else { "}" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Budget;

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
    fn every_character_reads_as_itself() {
        let all: String =
            ('\0'..='\u{ff}').chain("\u{2027}\u{2028}\u{2029}\u{202a}\u{10000}".chars()).collect();
        assert_eq!(serde_json::from_str::<String>(&quoted(&all)).unwrap(), all);
        assert_eq!(quoted("\u{8}\u{c}\u{1f}"), r#""\u0008\u000c\u001f""#);
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
            string_of(0, |out| listing(&root, out)),
            "{\"action\":\"get\",\"node\":{\"dir\":true,\"nodes\":[{\"key\":\"/a\",\"value\":\"\",\"modifiedIndex\":4,\"createdIndex\":4}]}}\n"
        );
        assert_eq!(length(|out| listing(&root, out)), string_of(0, |out| listing(&root, out)).len());
    }

    #[test]
    fn a_value_that_grows_in_json_is_refused_before_it_is_encoded() {
        let answers = Budget::new(1 << 20);
        let share = Share::new(answers.clone(), &Budget::new(1 << 20), Budget::new(1 << 20));
        let length = 200_000;
        let of = |value: &str| line(&share, |out| text(value, out));
        let plain = of(&"x".repeat(length)).expect("there is room");
        assert_eq!((plain.len(), answers.used()), (length + 2, length + 2));
        drop(plain);
        assert!(matches!(of(&"\u{1}".repeat(length)), Err(Refusal::MessageTooLong(_))));
        assert_eq!(answers.used(), 0, "what was refused holds nothing");
        assert_eq!(of("\u{1}<"), Ok(Bytes::from_static(b"\"\\u0001\\u003c\"")));
    }
}
