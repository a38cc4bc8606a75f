//! Members and clusters as this room's tests need them.

use super::bootstrap::InitialMember;
use super::questions::Roll;
use crate::model::{ClusterId, Member, MemberId, Version};

/// A member that has published `name`, or not yet if it is empty.
pub fn member(id: u64, name: &str, url: &str) -> Member {
    Member { name: name.into(), ..Member::founder(MemberId(id), vec![url.into()]) }
}

/// A member as `initial-cluster` names it.
pub fn initial(name: &str, url: &str) -> InitialMember {
    InitialMember { name: name.into(), peer_urls: vec![url.into()] }
}

/// The roll that the members of cluster `c` send.
pub fn roll(members: Vec<Member>) -> Roll {
    Roll { cluster: ClusterId(0xc), epoch: 3, members, version: Some(Version::OWN) }
}
