//! Passwords and tokens: overwritten in memory after use, never printed, typed without an echo.

use std::fmt;
use std::io::{self, BufRead};
use std::os::fd::AsFd;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::output::print;

/// The exit code after a signal during a prompt, as etcdctl's.
const ENDED_BY_SIGNAL: u8 = 255;

/// A password or token.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Secret(Zeroizing<String>);

impl Secret {
    /// The text; what is made of it is the caller's to clear.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::from(text.to_string())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Who the caller is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Credentials {
    /// Nobody, or whoever the certificate names.
    #[default]
    None,
    /// A user with a password.
    Password { user: String, password: Secret },
    /// A token from elsewhere.
    Token(Secret),
}

impl Credentials {
    /// The flags' meaning: a token wins; without `--password`, what follows a colon in `--user` is the password, and
    /// without a colon it is asked for. A user without a password is nobody, as in etcdctl.
    ///
    /// # Errors
    /// If the password cannot be read.
    pub(super) async fn of(
        user: Option<&Secret>,
        password: Option<&Secret>,
        token: Option<&Secret>,
    ) -> Result<Self, Failure> {
        let given = |secret: Option<&Secret>| secret.filter(|secret| !secret.is_empty()).cloned();
        if let Some(token) = given(token) {
            return Ok(Self::Token(token));
        }
        let Some(user) = given(user) else { return Ok(Self::None) };
        let (user, password) = match (given(password), user.reveal().split_once(':')) {
            (Some(password), _) => (user.reveal().to_string(), password),
            (None, Some((user, password))) => (user.to_string(), Secret::from(password)),
            (None, None) => (user.reveal().to_string(), self::password().await?),
        };
        if user.is_empty() || password.is_empty() {
            Ok(Self::None)
        } else {
            Ok(Self::Password { user, password })
        }
    }
}

/// How a command gets the password of the user that it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NewPassword {
    /// It was given, or there is none.
    Known(Secret),
    /// Typed twice.
    Asked,
    /// The first word of standard input.
    Piped,
}

impl NewPassword {
    /// Asks for it if it has to be asked for.
    ///
    /// # Errors
    /// If it is empty or was typed differently.
    pub(super) async fn read(self, user: &str) -> Result<Secret, Failure> {
        match self {
            NewPassword::Known(secret) => Ok(secret),
            NewPassword::Piped => first_word(io::stdin().lock()).map_err(not_asked),
            NewPassword::Asked => {
                let first = ask(&format!("Password of {user}: ")).await?.map_err(not_asked)?;
                if first.is_empty() {
                    return Err(Failure::arguments("empty password"));
                }
                let again = format!("Type password of {user} again for confirmation: ");
                match ask(&again).await?.map_err(not_asked)? {
                    second if second == first => Ok(first),
                    _ => Err(Failure::arguments("given passwords are different")),
                }
            }
        }
    }
}

fn not_asked(error: io::Error) -> Failure {
    Failure::arguments(format!("failed to ask password: {error}"))
}

/// Asks for the password of the caller.
pub(super) async fn password() -> Result<Secret, Failure> {
    ask("Password: ").await?.map_err(|error| Failure::error(error.to_string()))
}

/// Prints a prompt and reads a line that the terminal does not show.
///
/// # Errors
/// The outer one if a signal ended it, the inner one if it cannot be read.
async fn ask(prompt: &str) -> Result<io::Result<Secret>, Failure> {
    print(prompt);
    let hidden = Hidden::new();
    let line = tokio::task::spawn_blocking(|| line(io::stdin().lock()));
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return Err(Failure::error("signals cannot be handled"));
    };
    let read = tokio::select! {
        read = line => Ok(read.unwrap_or_else(|error| Err(io::Error::other(error)))),
        _ = interrupt.recv() => Err(Failure::silent(ENDED_BY_SIGNAL)),
        _ = terminate.recv() => Err(Failure::silent(ENDED_BY_SIGNAL)),
    };
    drop(hidden);
    print("\n");
    read
}

/// A line without what surrounds it.
fn line(mut input: impl BufRead) -> io::Result<Secret> {
    let mut line = Zeroizing::new(String::new());
    input.read_line(&mut line)?;
    Ok(Secret::from(line.trim()))
}

/// The first word of the first line; what follows is left alone.
fn first_word(input: impl BufRead) -> io::Result<Secret> {
    let line = line(input)?;
    Ok(Secret::from(line.reveal().split_whitespace().next().unwrap_or_default()))
}

/// The terminal shows nothing of what is typed as long as this lives.
struct Hidden(Option<Termios>);

impl Hidden {
    /// Standard input that is no terminal needs nothing.
    fn new() -> Self {
        let input = io::stdin();
        let before = tcgetattr(input.as_fd()).ok();
        if let Some(mut silent) = before.clone() {
            silent.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(input.as_fd(), OptionalActions::Now, &silent);
        }
        Self(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, before);
        }
    }
}

/// No core dump and no other process of the user shows what is in this process's memory.
pub(super) fn keep_private() {
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", NewPassword::Known(Secret::from("hunter2"))), "Known(Secret(***))");
    }

    #[test]
    fn passwords_are_read_as_etcdctl_reads_them() {
        let piped = |text: &str| first_word(text.as_bytes()).map(|word| word.reveal().to_string()).ok();
        assert_eq!(piped("  one two\nthree\n").as_deref(), Some("one"));
        assert_eq!(piped("\none\n").as_deref(), Some(""));
        assert_eq!(piped("").as_deref(), Some(""));
        let typed = |text: &str| line(text.as_bytes()).map(|word| word.reveal().to_string()).ok();
        assert_eq!(typed(" with space \r\nnext").as_deref(), Some("with space"));
    }
}
