//! How the process ends: exit codes, by which the service manager decides whether to try again, and their explanations
//! in the journal.

use super::notices::{COPY, HISTORY, Notice, STRANGER, VERSION};
use crate::join::discovery::DiscoveryError;
use crate::join::enter::EntryError;
use crate::join::identity::IdentityError;
use crate::member::MemberError;

/// The member cannot start, or did not stop cleanly.
pub const START: u8 = 1;
/// `EX_DATAERR` of sysexits.h: identity, log and store do not belong together, or one of them is missing.
pub const HISTORY_REFUSED: u8 = 65;
/// `EX_NOPERM` of sysexits.h: the cluster refuses this member, which was removed from it, is a copy of a member, has
/// another secret, or may not join; a restart does not help.
pub const IDENTITY: u8 = 77;
/// `EX_CONFIG` of sysexits.h: the configuration cannot be used.
pub const CONFIG: u8 = 78;
/// `EX_IOERR` of sysexits.h: log or store cannot be trusted any more.
const FATAL: i32 = 74;

/// The exit code of a start that failed.
pub fn code(error: &MemberError) -> u8 {
    match error {
        MemberError::Version(_)
        | MemberError::Entry(EntryError::Version(_))
        | MemberError::Config(_)
        | MemberError::Bootstrap(_)
        | MemberError::Pki(_) => CONFIG,
        MemberError::Identity(IdentityError::Removed { .. })
        | MemberError::Copy(_)
        | MemberError::Entry(EntryError::Refused(_) | EntryError::Stranger(_)) => IDENTITY,
        // The size may be written later.
        MemberError::Discovery(DiscoveryError::SizeNotFound(_) | DiscoveryError::BadSize { .. }) => START,
        MemberError::Discovery(_) => IDENTITY,
        MemberError::History(_) => HISTORY_REFUSED,
        _ => START,
    }
}

/// The exit code of a member that ran, and has this code of its own. That the cluster refuses it outweighs how it
/// stopped: another start would not help.
pub fn after(code: u8, stopped_cleanly: bool) -> u8 {
    if code == 0 && !stopped_cleanly { START } else { code }
}

/// The explanation of a start that failed, if an operator has to act on it.
pub fn notice(error: &MemberError) -> Option<&'static Notice> {
    match error {
        MemberError::History(_) => Some(&HISTORY),
        MemberError::Copy(_) => Some(&COPY),
        MemberError::Version(_) | MemberError::Entry(EntryError::Version(_)) => Some(&VERSION),
        MemberError::Entry(EntryError::Stranger(_)) => Some(&STRANGER),
        _ => None,
    }
}

/// Ends the process because continuing could lose or corrupt data. May be called on any thread.
pub fn fatal(what: &str, error: &dyn std::fmt::Display) -> ! {
    tracing::error!(%error, "{what}; the process ends, as going on could lose data");
    std::process::exit(FATAL);
}

/// Ends a process that is stopping, without the disk of its log, which stands still: whoever drops the log waits for it.
pub fn without_disk(missing: &str) -> ! {
    tracing::error!(
        "stopping without the disk of the raft log, which has stood still for too long: {missing}"
    );
    std::process::exit(i32::from(START));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_member_is_not_restarted_however_it_stopped() {
        assert_eq!([after(0, true), after(0, false)], [0, START]);
        assert_eq!([after(IDENTITY, true), after(IDENTITY, false)], [IDENTITY, IDENTITY]);
    }
}
