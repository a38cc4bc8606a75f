//! `kvctl edit`: a value in an editor, written only if nobody has changed it meanwhile.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use tokio::signal::unix::{SignalKind, signal};

use crate::api::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::api::proto::etcdserverpb::request_op::Request;
use crate::api::proto::etcdserverpb::response_op::Response;
use crate::api::proto::etcdserverpb::{Compare, PutRequest, RangeRequest, RequestOp, TxnRequest};
use crate::client::text;
use crate::ctl::arguments::Edit;
use crate::ctl::client::Client;
use crate::ctl::failure::Failure;
use crate::ctl::output::{complain, print};
use crate::ctl::print::quoted_bytes;
use crate::ctl::target::Target;

/// Fetches, edits and writes.
pub(in crate::ctl) async fn run(target: &Target, asked: Edit) -> Result<(), Failure> {
    let Edit { key, binary } = asked;
    let mut client = Client::open(target).await?;
    let get = RangeRequest { key: key.clone().into(), ..RangeRequest::default() };
    let found = client.ask(async |to| to.kv.range(get.clone()).await).await;
    let found = found.map_err(|status| Failure::error(text(&status)))?;
    // An editor may stay open for hours: no connection is kept for it.
    drop(client);
    let (value, revision) =
        found.kvs.first().map(|kv| (kv.value.to_vec(), kv.mod_revision)).unwrap_or_default();
    if std::str::from_utf8(&value).is_err() && !binary {
        let hint = "an editor may damage it: --binary edits it all the same, kvctl put takes a file";
        return Err(Failure::error(format!("the value of {} is no text", quoted_bytes(&key)))
            .hint(Some(hint.to_string())));
    }
    let draft = Draft::write(&key, &value).map_err(|(path, error)| failed(&path, &error))?;
    let edited = edited(&draft).await?;
    let new = if binary { edited } else { without_last_feed(&value, edited) };
    if new == value {
        complain("the value is not changed: nothing is written");
        return draft.remove();
    }
    match write(target, key, new, revision).await {
        Ok(()) => {
            print("OK\n");
            draft.remove()
        }
        Err(failure) => Err(failure.hint(Some(format!("your text is in {}", draft.0.display())))),
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::error(format!("{}: {error}", path.display()))
}

/// The text after the editor has ended.
async fn edited(draft: &Draft) -> Result<Vec<u8>, Failure> {
    let before = std::fs::read(&draft.0).map_err(|error| failed(&draft.0, &error))?;
    // What is typed to interrupt something in the editor does not end kvctl.
    let _held = signal(SignalKind::interrupt());
    let editor = editor();
    let shown = editor.to_string_lossy().into_owned();
    let path = draft.0.clone();
    let ended = tokio::task::spawn_blocking(move || start(&editor, &path)).await;
    let ended = ended.unwrap_or_else(|error| Err(io::Error::other(error)));
    let after = std::fs::read(&draft.0).map_err(|error| failed(&draft.0, &error))?;
    let why = match ended {
        Ok(status) if status.success() => return Ok(after),
        Ok(status) => format!("the editor {shown} failed ({status}): nothing is written"),
        Err(error) => format!("the editor {shown} cannot be started: {error}"),
    };
    let hint = if after == before {
        draft.remove()?;
        "VISUAL or EDITOR names the editor".to_string()
    } else {
        format!("your text is in {}", draft.0.display())
    };
    Err(Failure::error(why).hint(Some(hint)))
}

fn editor() -> OsString {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".into())
}

/// Runs it by the shell, since it may have arguments.
fn start(editor: &OsString, path: &Path) -> io::Result<ExitStatus> {
    let mut line = editor.clone();
    line.push(" \"$@\"");
    Command::new("sh").arg("-c").arg(line).arg("editor").arg(path).status()
}

/// Editors end the last line with a line feed. It is left out if the value had none.
fn without_last_feed(before: &[u8], mut edited: Vec<u8>) -> Vec<u8> {
    if !before.ends_with(b"\n") && edited.ends_with(b"\n") {
        edited.pop();
    }
    edited
}

/// Puts the value, if the key is still as it was.
async fn write(target: &Target, key: Vec<u8>, value: Vec<u8>, revision: i64) -> Result<(), Failure> {
    let shown = quoted_bytes(&key);
    let get = RangeRequest { key: key.clone().into(), keys_only: true, ..RangeRequest::default() };
    let compare = Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: key.clone().into(),
        range_end: Default::default(),
        target_union: Some(TargetUnion::ModRevision(revision)),
    };
    let (key, value) = (key.into(), value.into());
    let put = PutRequest { key, value, ignore_lease: revision != 0, ..PutRequest::default() };
    let request = TxnRequest {
        compare: vec![compare],
        success: vec![RequestOp { request: Some(Request::RequestPut(put)) }],
        failure: vec![RequestOp { request: Some(Request::RequestRange(get)) }],
    };
    let mut client = Client::open(target).await?;
    client.check_size(&request)?;
    let answer = client.ask(async |to| to.kv.txn(request.clone()).await).await;
    let answer = answer.map_err(|status| Failure::error(text(&status)))?;
    if answer.succeeded {
        return Ok(());
    }
    let now = answer.responses.into_iter().find_map(|one| match one.response {
        Some(Response::ResponseRange(range)) => range.kvs.into_iter().next(),
        _ => None,
    });
    Err(Failure::error(match now {
        Some(kv) if revision == 0 => {
            format!("{shown} was created meanwhile, at revision {}: nothing is written", kv.mod_revision)
        }
        Some(kv) => format!(
            "{shown} was changed meanwhile, at revision {} (it was at {revision}): nothing is written",
            kv.mod_revision
        ),
        None => format!("{shown} was deleted meanwhile: nothing is written"),
    }))
}

/// A file with the text, for its owner only. It stays unless it is removed.
struct Draft(PathBuf);

impl Draft {
    fn write(key: &[u8], value: &[u8]) -> Result<Self, (PathBuf, io::Error)> {
        let name = format!("kvctl-edit-{:016x}-{}", rand::random::<u64>(), name(key));
        let path = std::env::temp_dir().join(name);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        match opened.and_then(|mut file| file.write_all(value)) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err((path, error)),
        }
    }

    fn remove(&self) -> Result<(), Failure> {
        std::fs::remove_file(&self.0).map_err(|error| failed(&self.0, &error))
    }
}

/// The last part of a key as part of a file's name: editors choose colours by its ending.
fn name(key: &[u8]) -> String {
    let key = String::from_utf8_lossy(key);
    let last = key.rsplit('/').find(|part| !part.is_empty()).unwrap_or("value");
    let kept = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    let all: Vec<char> = last.chars().map(kept).collect();
    all[all.len().saturating_sub(40)..].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_feed_of_an_editor_is_left_out() {
        let after = |before: &str, edited: &str| without_last_feed(before.as_bytes(), edited.into());
        assert_eq!(after("a", "b\n"), b"b");
        assert_eq!(after("a\n", "b\n"), b"b\n");
        assert_eq!(after("a", "b\n\n"), b"b\n");
        assert_eq!(after("", "new\n"), b"new");
    }

    #[test]
    fn a_file_is_named_after_the_key() {
        assert_eq!(name(b"/app/settings.json"), "settings.json");
        assert_eq!(name(b"/app/$x y/"), "_x_y");
        assert_eq!(name(b"/"), "value");
        assert_eq!(name(&[b'a'; 100]).len(), 40);
    }
}
