//! `kvctl top`: the cluster at work, on a terminal.
//!
//! `figures` computes what is displayed from two looks at the members, `screen` draws it, `terminal` has the terminal; the
//! loop is here.

mod figures;
mod screen;
mod terminal;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::arguments::Top;
use super::client::Client;
use super::failure::Failure;
use super::keys::ZERO;
use super::metrics::pages;
use super::signals::Signals;
use super::survey::survey;
use super::target::Target;
use super::watcher::Watcher;
use crate::api::proto::etcdserverpb::WatchCreateRequest;
use figures::{Look, View};
use terminal::{Screen, events, is_end};

/// Shows the members until `q` is typed.
pub(super) async fn run(target: &Target, asked: Top) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        let hint = "kvctl status and kvctl endpoint status print once";
        return Err(Failure::error("top needs a terminal").hint(Some(hint.to_string())));
    }
    // Errors that do not go away are told before the screen is taken.
    let first = look(target).await?;
    let mut changes = watched(target, asked.hot).await?;
    let mut view = View::new(asked.interval, asked.hot);
    view.add(first);
    show(target, &mut view, changes.as_mut()).await
}

async fn show(
    target: &Target,
    view: &mut View,
    mut changes: Option<&mut Watcher<'_>>,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::error(error.to_string());
    let mut ended = Signals::new()?;
    let mut screen = Screen::take().map_err(failed)?;
    let mut events = events();
    let next = |interval| async move {
        tokio::time::sleep(interval).await;
        look(target).await
    };
    let mut looking = Box::pin(next(view.interval));
    loop {
        screen.show(|frame| screen::draw(view, frame)).map_err(failed)?;
        tokio::select! {
            found = &mut looking => {
                match found {
                    Ok(look) => view.add(look),
                    Err(failure) => view.trouble(&failure.to_string()),
                }
                looking = Box::pin(next(view.interval));
            }
            event = events.recv() => if event.is_none_or(|event| is_end(&event)) { return Ok(()) },
            () = ended.recv() => return Ok(()),
            () = collect(&mut changes, view) => {}
        }
    }
}

async fn look(target: &Target) -> Result<Look, Failure> {
    let seen = survey(target).await?;
    let pages = pages(target, &seen).await;
    Ok(Look { at: Instant::now(), members: seen.into_iter().zip(pages).collect() })
}

/// A watch of all keys, if hot prefixes are asked for.
async fn watched(target: &Target, hot: bool) -> Result<Option<Watcher<'_>>, Failure> {
    if !hot {
        return Ok(None);
    }
    let (key, range_end) = (ZERO.to_vec().into(), ZERO.to_vec().into());
    let request = WatchCreateRequest { key, range_end, ..WatchCreateRequest::default() };
    let mut watcher = Watcher::new(Client::open(target).await?, request);
    watcher.open().await.map_err(|end| Failure::error(end.error.or(end.reason).unwrap_or_default()))?;
    Ok(Some(watcher))
}

/// Counts changes; ends about as often as a screen can change.
async fn collect(changes: &mut Option<&mut Watcher<'_>>, view: &mut View) {
    const AT_ONCE: Duration = Duration::from_millis(250);
    let Some(watcher) = changes else { return std::future::pending().await };
    let begun = Instant::now();
    while begun.elapsed() < AT_ONCE {
        match watcher.next().await {
            Ok(answer) => view.count(&answer.events),
            Err(end) => {
                view.trouble(&end.error.or(end.reason).unwrap_or_default());
                *changes = None;
                return;
            }
        }
    }
}
