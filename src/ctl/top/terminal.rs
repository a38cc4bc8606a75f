//! The terminal while a screen is displayed: it is given back as it was, whatever happens.

use std::io;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::mpsc;

/// The screen; the terminal is given back when this goes away, and by a panic.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }

    /// Shows what is drawn.
    ///
    /// # Errors
    /// If nobody reads it.
    pub(super) fn show(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(draw).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// What is typed, and changes of the terminal's size, from a thread that waits for them.
pub(super) fn events() -> mpsc::Receiver<Event> {
    let (to, events) = mpsc::channel(16);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if to.blocking_send(event).is_err() {
                return;
            }
        }
    });
    events
}

/// True for `q`, the escape key, and Ctrl-C.
pub(super) fn is_end(event: &Event) -> bool {
    let Some(key) = event.as_key_press_event() else { return false };
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}
