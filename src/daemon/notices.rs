//! Events on which an operator acts: each has an id in the journal (`MESSAGE_ID=`), and an entry in the catalog from
//! which `journalctl -x` explains it. `packaging/kvd.catalog` is generated from this table.

/// One kind of event.
pub struct Notice {
    /// 128 random bits that never change (sd-id128(3)).
    pub id: &'static str,
    subject: &'static str,
    text: &'static str,
}

const fn notice(id: &'static str, subject: &'static str, text: &'static str) -> Notice {
    Notice { id, subject, text }
}

/// The member became a voter.
pub const PROMOTED: Notice = notice(
    "9882169074454f9caaba2f8f1cb2420f",
    "This member votes",
    "It has caught up with the cluster and was made a voter. From now on it counts towards the quorum: a majority of\n\
     the voters must be up for the cluster to accept writes.",
);

/// There has been no leader for a while.
pub const QUORUM_LOST: Notice = notice(
    "aa87a8e2e63a4126bf0ed1654330a720",
    "There is no leader",
    "No member leads, so nothing can be written, and only serializable reads are answered. As a rule fewer than half of\n\
     the voters reach each other. Look at the members, as this one knows them:\n\n    \
     kvctl member list --consistency=s -w table\n    kvctl endpoint status -w table\n\n\
     and at 2380/udp among them (QUIC is UDP; see /usr/share/doc/kvd/README.firewall). As soon as a majority is back,\n\
     the cluster goes on by itself. Only where a majority is lost for good, --force-new-cluster makes a new cluster of\n\
     this member's data; see kvd(8).",
);

/// There is a leader again.
pub const QUORUM_BACK: Notice = notice(
    "4793883bdede4666a8e2634b95f0039e",
    "There is a leader again",
    "A majority of the voters reach each other; writes and linearizable reads are answered.",
);

/// The space quota is used up.
pub const SPACE: Notice = notice(
    "5fa070a953624a2fad6fe2f28750d75b",
    "The space quota is used up",
    "The data have reached quota-backend-bytes on a member, and the whole cluster refuses writes until the alarm is\n\
     disarmed. Make room: delete keys, and compact the history up to the revision that `kvctl endpoint status -w fields`\n\
     shows, or an earlier one. Then disarm the alarm:\n\n    kvctl compaction REVISION\n    \
     kvctl alarm disarm\n\nauto-compaction-retention in /etc/kv/cluster.toml keeps it from filling again; a larger\n\
     quota-backend-bytes takes a reload.",
);

/// The quota is nearly used up.
pub const NEARLY_FULL: Notice = notice(
    "0919205749f44d80b78d4ed7e3b94992",
    "The space quota is nearly used up",
    "More than four fifths of quota-backend-bytes are taken. At the quota the whole cluster refuses writes. Compact the\n\
     history (kvctl compaction REVISION), set auto-compaction-retention, or raise quota-backend-bytes; all of them take\n\
     a reload at most.",
);

/// The disk is full.
pub const DISK_FULL: Notice = notice(
    "02dacb119d17a3d8c9b9f41afb6946dc",
    "The disk is full",
    "There is hardly room for the data on this member's disk. Reads are served; commands that need space are refused;\n\
     deletions and compactions still work, with a small reserve. Make room: remove other files, enlarge the disk, or\n\
     delete keys and compact:\n\n    kvctl compaction REVISION\n\nThe member accepts writes again by itself as soon as there is room.",
);

/// The disk has room again.
pub const DISK_ROOM: Notice = notice(
    "1ca59df44a813c54ac711ba6dc8c0608",
    "There is room on the disk again",
    "Commands that need space are accepted again.",
);

/// Members' data differ.
pub const CORRUPT: Notice = notice(
    "c4c9db8f06054edea9783550afdaf5fe",
    "The data of members differ",
    "A comparison found a member whose data are not those of the others; member 0 stands for the cluster: no majority of\n\
     the members agrees. Writes are refused on all members until the alarm is disarmed. Keep a copy of the member's data\n\
     directory for an examination, and replace its state by the leader's, on its machine:\n\n    kvctl rebuild\n\n\
     That disarms the alarm of the member. If no majority agrees, decide which members are right, have one of them lead\n\
     (`kvctl move-leader`), rebuild the others, and disarm:\n\n    kvctl alarm disarm",
);

/// This member's state is not the leader's.
pub const DIVERGED: Notice = notice(
    "e4295c7e2d9c45fd905151a68b864718",
    "The state of this member differs",
    "After the same log entry this member's state is not what the others' are, and the difference stays: a program, the\n\
     disk or the memory of this machine has made a mistake. If a majority of the members agrees, a member outside of it\n\
     serves nothing any more, leads no more and still votes, because its log is right; the lines beside this one say which\n\
     members agree. With two members nobody can say who is right.\n\n\
     Keep a copy of the data directory for an examination. Then, on this machine:\n\n    kvctl rebuild\n\n\
     replaces the state by the leader's; log, votes and identity stay. With on-divergence = \"rebuild\" the member does so\n\
     by itself. Test the memory of the machine if it happens again.",
);

/// This member's data are not what was written.
pub const DAMAGED: Notice = notice(
    "0e3f1d966d0c4502931be2b9c4f6186b",
    "The data of this member are damaged",
    "The disk gives back something else than what was written; the line says where, and what is lost there. The member\n\
     serves nothing of its state any more and leads no more; its log is right, so it still votes. With other members\n\n    \
     kvctl rebuild\n\non this machine replaces the state by the leader's; with on-divergence = \"rebuild\" the member does so by\n\
     itself. A single member does not start with such data: restore a backup (`kvctl snapshot restore`). Test disk and\n\
     memory of the machine before you trust them again.",
);

/// An alarm is gone.
pub const ALARM_OVER: Notice =
    notice("82c4b02c31fb429caa3a4c56fd5bed29", "An alarm was disarmed", "What it refused is accepted again.");

/// The member was removed.
pub const REMOVED: Notice = notice(
    "aa87ba9aa21e4c988476cb0fad3b99be",
    "This member was removed from its cluster",
    "The other members do not know it any more, for ever: ids are not used twice. The service ends and is not started\n\
     again. To take part again it needs an empty data directory and joins as a new member; see [join] in\n\
     cluster.toml(5).",
);

/// Two processes of one member.
pub const COPY: Notice = notice(
    "78d5104f7ea078d7cf19e2d17b760ac6",
    "This process runs on a copy of a member's data",
    "Another process of the same member is there: it answers at the member's peer URL, or the other members are\n\
     connected to it. Two processes with one identity could vote twice, so this one ends and is not started again; the\n\
     other one and the cluster go on. The line beside this one says where the other one is.\n\n\
     As a rule a disk, a volume or a virtual machine was cloned. Empty data-dir and wal-dir of the clone and let it join\n\
     as a new member; see [join] in cluster.toml(5). If the member has moved and this is its new place, stop the old one\n\
     for good before this one is started.",
);

/// The data are older than what the member has acknowledged.
pub const OUTDATED: Notice = notice(
    "ea3d9409e2e52c4381c5e203aa5c3705",
    "The data of this member are an older copy",
    "The leader knows of entries that this member has acknowledged and that its log does not hold: the disk was exchanged\n\
     for an older copy, a snapshot or a backup, or has lost what was flushed. Going on could lose acknowledged writes, so\n\
     the service ends and is not started again. Nothing was changed.\n\n\
     If the newer data are still there, put them back and start again. Otherwise leave and join again: on another member\n\n    \
     kvctl member remove ID\n\nthen empty data-dir and wal-dir here, and start it with a [join] table, or after\n\
     `kvctl member add`; see cluster.toml(5).",
);

/// Identity, log and store do not belong together.
pub const HISTORY: Notice = notice(
    "3d0460f541b44b1faf5ad0175e982f36",
    "Data of this member are missing, or are another member's",
    "Of the member's identity, its log and its state at least one is missing, older than the others or of another member,\n\
     and going on without it could lose acknowledged writes or vote twice. Nothing was changed. The line beside this one\n\
     says what does not fit.\n\n\
     As a rule a disk is not mounted: look at data-dir and wal-dir, mount it, and start again;\n\
     RequiresMountsFor= in /usr/share/doc/kvd/dropins/data-disk.conf makes the service wait for it. If the data are\n\
     lost, this member cannot come back under its old id. Leave and join again: on another member\n\n    \
     kvctl member remove ID\n\nthen empty data-dir and wal-dir here, and start it with a [join] table, or after\n\
     `kvctl member add`; see cluster.toml(5). A cluster of this member alone needs a backup of both directories.",
);

/// The program does not fit the cluster.
pub const VERSION: Notice = notice(
    "49bb031d09cd8cf205343716776b2237",
    "This program does not fit the cluster's version",
    "Members of neighbouring minor versions work together; the cluster uses what all of them know, and its version says what\n\
     that is. This program is older than that, or more than one minor version newer. Nothing was changed, and the service\n\
     is not started again. The line beside this one says what to do; on a member that runs:\n\n    \
     kvctl upgrade status\n\n\
     shows the cluster's version, that of each member, and whether it is safe to go on.",
);

/// The other members do not have this member's secret.
pub const STRANGER: Notice = notice(
    "83fb85d6b52cd30c82d341fede07c62c",
    "This member does not have the cluster's secret",
    "Members prove to each other that they belong together: by a secret that all of them have (cluster-secret-file, or\n\
     the credential kvd.cluster-secret in /etc/credstore), or by certificates of an authority that all of them trust\n\
     ([peer-transport-security]). The member that was asked has another secret, or another authority, and refuses this\n\
     one; its own log says so, too. The service ends and is not started again.\n\n\
     Copy the secret of a member of the cluster here, with mode 0600 and the owner kv if it is a file of its own, and\n\
     start again.",
);

/// A new configuration is in force.
pub const RELOADED: Notice = notice(
    "e72d503f160b4b48870ae9e8418019ac",
    "The configuration was read again",
    "What can change in a running member is in force; the lines beside this one name what takes a restart.",
);

/// A new configuration was refused.
pub const CONFIG_REFUSED: Notice = notice(
    "223eb47860e64902bd182a16f1a292bc",
    "The new configuration is refused",
    "It has errors, and kvd goes on with the one it has. `kvd check` prints what is wrong, with file, line and column.",
);

/// A certificate expires soon.
pub const CERTIFICATE: Notice = notice(
    "6569090e1eb84b9e8cc9845622cff160",
    "A certificate expires soon",
    "Afterwards nobody connects any more. Put a new one in its place: the next connection uses it, without a reload. Of a\n\
     file with several CAs the one that is valid longest is meant, of a chain the one that expires first.",
);

/// A backup is there.
pub const BACKUP_MADE: Notice = notice(
    "62c6431ac8021fc0acd1e2d4d7fc99ed",
    "A backup was taken and verified",
    "The file has its final name, is on the disk, and was read again as a restore reads it. Copy it to another machine:\n\
     a backup beside the data goes away with them. What is in it, and a new cluster of it:\n\n    \
     kvctl snapshot status FILE\n    kvctl snapshot restore FILE --name=NAME --data-dir=DIRECTORY ...\n\n\
     See [backup] in cluster.toml(5), and kvctl(1).",
);

/// A backup failed.
pub const BACKUP_FAILED: Notice = notice(
    "a32733c09302e79e5ad7236174c5d205",
    "No backup was taken",
    "A backup was due, or was asked for, and failed; nothing of it is left, and the earlier ones are still there. Another\n\
     member takes it if it can, otherwise this one tries again within some minutes. The line beside this one says what\n\
     failed: as a rule the directory has no room, or the service may not write to it. Once that is mended:\n\n    \
     kvctl backup now\n\n\
     A new backup that could not be read again is the exception: the disk of the directory, or this member's memory, is\n\
     not to be trusted.",
);

/// A first start that others reach.
pub const OPEN: Notice = notice(
    "f37a78ef888c48bcbf71ccd0e3e495a6",
    "Others reach this member without TLS or without users",
    "At its first start this member listens on an address that is not this machine's own, without TLS, without users, or\n\
     both. Ask for passwords:\n\n    kvctl user add root\n    kvctl auth enable\n\nand encrypt: put cert-file and key-file, or auto-tls = true, into\n\
     [client-transport-security] of /etc/kv/cluster.toml, https URLs into listen-client-urls, and\n\n    \
     kvd check && systemctl restart kvd\n\nOr let only this machine reach it: http://localhost:2379. See SECURITY.md in /usr/share/doc/kvd.",
);

/// All of them.
const ALL: [&Notice; 23] = [
    &PROMOTED,
    &QUORUM_LOST,
    &QUORUM_BACK,
    &SPACE,
    &NEARLY_FULL,
    &DISK_FULL,
    &DISK_ROOM,
    &CORRUPT,
    &DIVERGED,
    &DAMAGED,
    &ALARM_OVER,
    &REMOVED,
    &COPY,
    &OUTDATED,
    &HISTORY,
    &VERSION,
    &STRANGER,
    &RELOADED,
    &CONFIG_REFUSED,
    &CERTIFICATE,
    &BACKUP_MADE,
    &BACKUP_FAILED,
    &OPEN,
];

/// The catalog, in the format of journalctl(1).
pub fn catalog() -> String {
    let mut text =
        "# What kvd's messages mean: journalctl -x. Made from src/daemon/notices.rs; change it there.\n"
            .to_string();
    for notice in ALL {
        text.push_str(&format!(
            "\n-- {}\nSubject: {}\nDefined-By: kvd\nDocumentation: man:kvd(8)\n\n{}\n",
            notice.id, notice.subject, notice.text
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ids_and_differ() {
        let mut ids: Vec<&str> = ALL.iter().map(|notice| notice.id).collect();
        assert!(
            ids.iter().all(|id| id.len() == 32 && id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')))
        );
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ALL.len());
    }
}
