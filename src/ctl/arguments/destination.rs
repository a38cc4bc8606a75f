//! How the second of two clusters is reached, if not as the first one: flags of `make-mirror` and `diff`.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, ValueHint};

use super::flags::{given, value};
use super::global::Globals;
use crate::ctl::secret::Secret;

/// What the flags say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ctl) struct Destination {
    pub(in crate::ctl) cert: Option<PathBuf>,
    pub(in crate::ctl) key: Option<PathBuf>,
    pub(in crate::ctl) cacert: Option<PathBuf>,
    /// May have the password behind a colon.
    pub(in crate::ctl) user: Option<Secret>,
    pub(in crate::ctl) password: Option<Secret>,
}

impl Destination {
    /// etcdctl's flags of `make-mirror`.
    pub(super) fn flags() -> [Arg; 5] {
        let file = |name, help| value(name, "FILE", help).value_hint(ValueHint::FilePath);
        [
            file("dest-cert", "A client certificate for the destination"),
            file("dest-key", "The certificate's key"),
            file("dest-cacert", "The CA that signs the destination's certificates"),
            value("dest-user", "USER[:PASSWORD]", "Act as this user there"),
            value("dest-password", "PASSWORD", "The user's password"),
        ]
    }

    pub(super) fn read(matches: &ArgMatches) -> Self {
        let path = |name: &str| given(matches, name).filter(|path| !path.is_empty()).map(PathBuf::from);
        Self {
            cert: path("dest-cert"),
            key: path("dest-key"),
            cacert: path("dest-cacert"),
            user: given(matches, "dest-user").map(Secret::from),
            password: given(matches, "dest-password").map(Secret::from),
        }
    }

    /// The flags of all commands, with what is said here in their place: a certificate with its key, a user with its
    /// password.
    pub(in crate::ctl) fn over(&self, globals: Globals) -> Globals {
        let mut globals = globals;
        if self.cert.is_some() || self.key.is_some() {
            (globals.cert, globals.key) = (self.cert.clone(), self.key.clone());
        }
        if self.cacert.is_some() {
            globals.cacert.clone_from(&self.cacert);
        }
        if self.user.is_some() || self.password.is_some() {
            (globals.user, globals.password) = (self.user.clone(), self.password.clone());
            globals.token = None;
        }
        globals
    }
}
