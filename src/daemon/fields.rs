//! The content of an event: its message and its fields, ready to be written in any format.

use std::fmt;

use tracing::field::{Field, Visit};

/// An event's fields as JSON values, and the message.
#[derive(Default)]
pub struct Fields {
    /// The message.
    pub message: String,
    /// The id by which the journal explains the message; it is not printed on lines.
    pub message_id: Option<String>,
    /// The other fields, in the order of the event.
    pub others: Vec<(&'static str, serde_json::Value)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_text(field, value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.others.push((field.name(), value.into()));
    }
}

impl Fields {
    fn record_text(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = text,
            "message_id" => self.message_id = Some(text),
            name => self.others.push((name, text.into())),
        }
    }

    /// The fields without the message as `name=value`, one after another. A text is quoted if it has blanks; a list is
    /// not, because its brackets show its end.
    pub fn listed(&self) -> String {
        let one = |(name, value): &(&str, serde_json::Value)| match value.as_str() {
            Some(text) if is_plain(text) => format!("{name}={text}"),
            _ => format!("{name}={value}"),
        };
        self.others.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

fn is_plain(text: &str) -> bool {
    let is_list = text.starts_with('[') && text.ends_with(']');
    !text.is_empty() && !text.contains('\n') && (is_list || !text.contains([' ', '"']))
}
