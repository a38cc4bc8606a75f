//! The terminal while a screen is displayed: it is given back as it was, whatever happens.

use std::io::{self, Write};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

/// How a line is displayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Look {
    #[default]
    Plain,
    Bold,
    Reversed,
    Dim,
    /// Red, if colours are wanted.
    Bad,
    /// Yellow, if colours are wanted.
    Doubtful,
}

/// A line of the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) look: Look,
}

/// The screen, and the terminal's settings from before.
pub(super) struct Screen {
    before: Termios,
    has_colours: bool,
}

/// The alternative screen without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn take() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        let has_colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let screen = Self { before, has_colours };
        let mut out = io::stdout().lock();
        out.write_all(ENTER.as_bytes())?;
        out.flush()?;
        Ok(screen)
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        let size = tcgetwinsize(io::stdout()).map(|size| (size.ws_col, size.ws_row));
        let (wide, high) = size.ok().filter(|(wide, high)| *wide > 0 && *high > 0).unwrap_or((80, 24));
        (usize::from(wide), usize::from(high))
    }

    /// Shows these lines, as many as there is room for.
    ///
    /// # Errors
    /// If nobody reads them.
    pub(super) fn show(&self, lines: &[Line]) -> io::Result<()> {
        let (wide, high) = self.size();
        let mut out = io::stdout().lock();
        out.write_all(frame(lines, (wide, high), self.has_colours).as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Everything is drawn over what was there, so that nothing flickers.
fn frame(lines: &[Line], (wide, high): (usize, usize), has_colours: bool) -> String {
    let mut frame = String::from("\x1b[H");
    for (at, line) in lines.iter().take(high).enumerate() {
        let begin = match line.look {
            Look::Bold => "\x1b[1m",
            Look::Reversed => "\x1b[7m",
            Look::Dim => "\x1b[2m",
            Look::Bad if has_colours => "\x1b[31m",
            Look::Doubtful if has_colours => "\x1b[33m",
            _ => "",
        };
        let end = if begin.is_empty() { "" } else { "\x1b[0m" };
        let text: String = line.text.chars().take(wide).collect();
        let feed = if at == 0 { "" } else { "\r\n" };
        frame.push_str(&format!("{feed}{begin}{text}{end}\x1b[K"));
    }
    frame.push_str("\x1b[J");
    frame
}

/// What is typed, in pieces, from a thread that waits for it.
pub(super) fn typed() -> mpsc::Receiver<Vec<u8>> {
    let (to, typed) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut piece = [0; 64];
        while let Ok(length @ 1..) = rustix::io::read(io::stdin(), &mut piece) {
            if to.blocking_send(piece[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    typed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_colours_can_be_left_out() {
        let line = |text: &str, look| Line { text: text.to_string(), look };
        let lines = [line("\u{fc}bcdef", Look::Plain), line("bad", Look::Bad), line("more", Look::Plain)];
        assert_eq!(frame(&lines, (4, 2), true), "\x1b[H\u{fc}bcd\x1b[K\r\n\x1b[31mbad\x1b[0m\x1b[K\x1b[J");
        assert_eq!(frame(&lines, (4, 2), false), "\x1b[H\u{fc}bcd\x1b[K\r\nbad\x1b[K\x1b[J");
    }
}
