//! The journal: every event with its fields, and with a message that contains them, too, because plain `journalctl` and
//! `systemctl status` show only the message.

use std::borrow::Cow;
use std::io;
use std::os::unix::fs::MetadataExt;

use tracing::field::{Field, Value};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fields::Fields;

/// Most fields of an event; further ones are only in its message.
const MAX_FIELDS: usize = 32;

/// True if stderr is the stream that systemd connected to the journal (systemd.exec(5), `$JOURNAL_STREAM`).
pub fn is_stderr() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Some((device, inode)) = stream.split_once(':') else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino())
}

/// A text for stderr. If that is the journal, each line begins with its priority (sd-daemon(3)): otherwise the journal
/// would treat an error as information.
pub fn for_stderr(text: &str, is_error: bool) -> Cow<'_, str> {
    if is_stderr() { with_priority(text, if is_error { 3 } else { 4 }).into() } else { text.into() }
}

fn with_priority(text: &str, priority: u8) -> String {
    text.split_inclusive('\n').map(|line| format!("<{priority}>{line}")).collect()
}

/// Sends events to the journal.
///
/// # Errors
/// There is no journal.
pub fn layer<S>() -> io::Result<impl Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_journald::layer()
        .map_err(|error| io::Error::new(error.kind(), format!("log output systemd/journal: {error}")))?;
    Ok(Spelled(layer.with_field_prefix(None).with_syslog_identifier("kvd".to_string())))
}

/// Adds an event's fields to its message before it is passed to the inner layer.
struct Spelled<L>(L);

impl<S, L> Layer<S> for Spelled<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let known = event.metadata().fields();
        let named = spelled(fields).into_iter().filter_map(|(name, text)| Some((known.field(name)?, text)));
        let named: Vec<(Field, String)> = named.take(MAX_FIELDS).collect();
        let Some((first, _)) = named.first() else { return };
        let mut values: [(&Field, Option<&dyn Value>); MAX_FIELDS] = [(first, None); MAX_FIELDS];
        for (value, (field, text)) in values.iter_mut().zip(&named) {
            *value = (field, Some(text));
        }
        self.0.on_event(&Event::new(event.metadata(), &known.value_set(&values)), context);
    }
}

/// The fields of the journal's entry: the message with its fields, its id, and the other fields.
fn spelled(fields: Fields) -> Vec<(&'static str, String)> {
    let message = match fields.listed() {
        list if list.is_empty() => fields.message,
        list if fields.message.is_empty() => list,
        list => format!("{}: {list}", fields.message),
    };
    let id = fields.message_id.map(|id| ("message_id", id));
    let others = fields.others.into_iter().map(|(name, value)| match value {
        serde_json::Value::String(text) => (name, text),
        value => (name, value.to_string()),
    });
    std::iter::once(("message", message)).chain(id).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::fmt;
    use std::sync::Arc;
    use tracing_subscriber::layer::SubscriberExt;

    /// Keeps the entries for the journal.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<(String, String)>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            event.record(&mut |field: &Field, value: &dyn fmt::Debug| {
                self.0.lock().push((field.name().to_string(), format!("{value:?}")));
            });
        }
    }

    fn entry(log: impl FnOnce()) -> Vec<(String, String)> {
        let kept = Kept::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Spelled(kept.clone())), log);
        let mut entry = kept.0.lock();
        std::mem::take(&mut *entry)
    }

    fn text(name: &str, value: &str) -> (String, String) {
        (name.to_string(), format!("{value:?}"))
    }

    #[test]
    fn a_message_names_who_what_and_why_and_the_fields_stay() {
        let logged = entry(|| {
            let reason = "10.0.0.3:2380: no answer within 1s";
            tracing::warn!(remote_peer_id = "8e9e", reason, tries = 3, "failed to reach a peer");
        });
        let message = "failed to reach a peer: remote_peer_id=8e9e reason=\"10.0.0.3:2380: no answer within 1s\" tries=3";
        let fields = [
            text("message", message),
            text("remote_peer_id", "8e9e"),
            text("reason", "10.0.0.3:2380: no answer within 1s"),
            text("tries", "3"),
        ];
        assert_eq!(logged, fields);
    }

    #[test]
    fn an_id_of_a_message_and_what_is_not_known_are_no_part_of_it() {
        let name: Option<&str> = None;
        let logged = entry(|| tracing::error!(message_id = "c4c9", name, "removed"));
        assert_eq!(logged, [text("message", "removed"), text("message_id", "c4c9")]);
    }

    #[test]
    fn a_message_is_one_line_whatever_its_fields_hold() {
        let urls = vec!["http://10.0.0.2:2380".to_string(), "http://10.0.0.3:2380".to_string()];
        let logged = entry(|| tracing::info!(peer_urls = ?urls, more = "a\nb", none = "", "added member"));
        let message =
            r#"added member: peer_urls=["http://10.0.0.2:2380", "http://10.0.0.3:2380"] more="a\nb" none="""#;
        assert_eq!(logged.first(), Some(&text("message", message)));
    }

    #[test]
    fn every_line_of_an_error_says_that_it_is_one() {
        assert_eq!(with_priority("error: a\n  --> b:1:1\n", 3), "<3>error: a\n<3>  --> b:1:1\n");
        assert_eq!(with_priority("", 4), "");
    }
}
