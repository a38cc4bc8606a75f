//! `kvctl edit`.

use clap::{ArgMatches, Command};

use super::flags::{arguments, is_on, leaf, switch};
use crate::ctl::failure::Failure;

/// A value that is edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Edit {
    pub(in crate::ctl) key: Vec<u8>,
    /// Also one that is no text.
    pub(in crate::ctl) binary: bool,
}

/// The command.
pub(super) fn command() -> Command {
    leaf("edit", "edit KEY", "Change a value in an editor")
        .after_help(
            "The editor is $VISUAL, or $EDITOR, or vi. Nothing is written if the text is the same as before, if the editor \
             fails, or if the key was changed meanwhile: then the text stays in a file that is named. A key that is not \
             there is created, unless the text is empty. The line feed that editors put behind the last line is left out if \
             the value had none. The lease stays.",
        )
        .arg(switch("binary", "Edit a value that is no text, too, byte by byte as it is"))
}

/// # Errors
/// For wrong arguments.
pub(super) fn read(matches: &ArgMatches) -> Result<Edit, Failure> {
    let given = <[Vec<u8>; 1]>::try_from(arguments(matches));
    let [key] = given.map_err(|_| Failure::arguments("edit command needs one argument as key"))?;
    if key.is_empty() {
        return Err(Failure::arguments("the key is empty"));
    }
    Ok(Edit { key, binary: is_on(matches, "binary")? })
}
