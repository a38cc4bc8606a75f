//! `kvctl watch`.

use std::ffi::OsString;
use std::io::BufRead;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{broadcast, mpsc};

use crate::api::proto::etcdserverpb::WatchResponse;
use crate::api::proto::mvccpb::Event;
use crate::ctl::arguments::{Watch, Watched, watch_line};
use crate::ctl::child;
use crate::ctl::client::Client;
use crate::ctl::failure::{ERROR, Failure, INTERRUPTED, INVALID_INPUT};
use crate::ctl::output::{complain, print, print_bytes};
use crate::ctl::print::{Style, quoted, quoted_bytes, watch};
use crate::ctl::target::Target;
use crate::ctl::watcher::{Ended, Watcher};
use crate::ctl::words::words;

/// Watches, until the server ends it.
pub(in crate::ctl) async fn run(target: &Target, style: Style, asked: Watch) -> Result<(), Failure> {
    match asked {
        Watch::Interactive => interactive(target, style).await,
        Watch::One(watched) => {
            let client = Client::open(target).await?;
            let (watcher, nobody) =
                (Watcher::new(client, watched.request.clone()), broadcast::Sender::new(1));
            let hint = follow(watcher, nobody.subscribe(), &watched, style).await?;
            Err(Failure::with_code(INTERRUPTED, "watch is canceled by the server").hint(hint))
        }
    }
}

/// Prints what a watcher sees and runs the command for each event; returns the server's reason for its end. It asks for
/// progress whenever it is `asked`.
async fn follow(
    mut watcher: Watcher<'_>,
    mut asked: broadcast::Receiver<()>,
    watched: &Watched,
    style: Style,
) -> Result<Option<String>, Failure> {
    loop {
        let next = tokio::select! {
            next = watcher.next() => next,
            Ok(()) = asked.recv() => {
                watcher.ask_progress().await;
                continue;
            }
        };
        match next {
            Ok(mut answer) => {
                if let Some(glob) = watched.glob.as_ref().filter(|_| !answer.events.is_empty()) {
                    answer.events.retain(|event| event.kv.as_ref().is_some_and(|kv| glob.matches(&kv.key)));
                    if answer.events.is_empty() {
                        continue;
                    }
                }
                if is_progress(&answer) {
                    let revision = answer.header.map_or(0, |header| header.revision);
                    print(&format!("progress notify: {revision}\n"));
                }
                print_bytes(&watch::events(&answer, style)?);
                execute(&watched.command, &answer).await?;
            }
            Err(Ended { answer, error, reason }) => {
                if let Some(error) = error {
                    complain(&format!("watch was canceled ({error})"));
                    print_bytes(&watch::events(&answer, style)?);
                }
                return Ok(reason);
            }
        }
    }
}

fn is_progress(answer: &WatchResponse) -> bool {
    answer.events.is_empty() && answer.header.is_some_and(|header| header.revision != 0)
}

/// Runs the command once for each event, one after the other.
async fn execute(command: &[OsString], answer: &WatchResponse) -> Result<(), Failure> {
    if command.is_empty() {
        return Ok(());
    }
    let revision = answer.header.map_or(0, |header| header.revision);
    for event in &answer.events {
        if let Err(failed) = child::run(command, variables(revision, event)).await {
            let words: Vec<String> = command.iter().map(|word| quoted_bytes(word.as_bytes())).collect();
            complain(&format!("command [{}] error ({})", words.join(" "), failed.text));
            return Err(Failure::silent(ERROR));
        }
    }
    Ok(())
}

/// What the command learns of the event.
fn variables(revision: i64, event: &Event) -> Vec<(&'static str, OsString)> {
    let kv = event.kv.clone().unwrap_or_default();
    vec![
        ("ETCD_WATCH_REVISION", revision.to_string().into()),
        ("ETCD_WATCH_EVENT_TYPE", quoted(event.r#type().as_str_name()).into()),
        ("ETCD_WATCH_KEY", quoted_bytes(&kv.key).into()),
        ("ETCD_WATCH_VALUE", quoted_bytes(&kv.value).into()),
    ]
}

/// Lines of standard input, one at a time.
fn lines() -> mpsc::Receiver<Vec<u8>> {
    let (to, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            match input.read_until(b'\n', &mut line) {
                Ok(_) if line.pop() == Some(b'\n') => {}
                _ => return,
            }
            if to.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Watches what standard input names, all at the same time, until it ends.
async fn interactive(target: &Target, style: Style) -> Result<(), Failure> {
    // Shows early whether there is a server, and who the caller is.
    drop(Client::open(target).await?);
    let asks = broadcast::Sender::<()>::new(16);
    let mut watches = FuturesUnordered::new();
    let mut lines = lines();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            Some(ended) = watches.next(), if !watches.is_empty() => {
                let _: Option<String> = ended?;
                continue;
            }
        };
        let Some(line) = line else {
            return Err(Failure::with_code(INVALID_INPUT, "error reading watch request line: EOF"));
        };
        let text = String::from_utf8_lossy(&line).into_owned();
        let mut words = words(&text).map_err(|error| Failure::with_code(INVALID_INPUT, error))?.into_iter();
        match words.next().as_deref() {
            None => complain(&format!("Invalid command: {text} (watch and progress supported)")),
            // There may be no watch that could answer.
            Some(b"progress") => drop(asks.send(())),
            Some(b"watch") => match watch_line(words.map(OsString::from_vec).collect())? {
                None => complain(&format!("Invalid command {text} (command type or key is not provided)")),
                Some(watched) => {
                    let watcher = Watcher::new(Client::open(target).await?, watched.request.clone());
                    let asked = asks.subscribe();
                    watches.push(async move { follow(watcher, asked, &watched, style).await });
                }
            },
            Some(_) => complain(&format!("Invalid command {text} (only support watch)")),
        }
    }
}
