//! # kvd: a strongly consistent key-value store that speaks etcd's protocols
//!
//! One process is a member of a cluster. Clients use etcd's gRPC API (port 2379/tcp). The members agree on one log of
//! commands by raft; every member applies the log to the same state and serves reads from it.
//!
//! ```text
//!                 clients                              systemd, operator
//!                    |                                         |
//!        +-----------v-----------+                     +-------v--------+
//!        | api                   |      +--------+     | daemon         |<-- config
//!        | gRPC, HTTP, the gate  |<-----| member |<----| start and stop |
//!        +--+-----+-----+-----+--+      +--------+     +----------------+
//!           |     |     |     |
//!      watch|     |reads|     |lease: proposes revocations
//!     events|     |     |     |
//!           |     |  +--v-----v--+        +---------+
//!           |     |  | raft      |<------>| peer    |<---> other members (QUIC, certificates of pki)
//!           |     |  +--+-----+--+        +---------+
//!           |     |     |     | committed entries
//!           |     |  +--v--+  |
//!           |     |  | log |  |      the raft log on disk: one flush for each group of entries
//!           |     |  +-----+  |
//!        +--+-----v-----------v--+
//!        | store                 |   the state: LMDB, and over it in memory the head with the latest changes
//!        +-----------------------+
//! ```
//!
//! ## The rooms, and who may use whom
//!
//! | room | content | may use |
//! |---|---|---|
//! | [`model`] | the types that all use: keys, ranges, revisions, commands, replies, refusals | nothing |
//! | [`files`] | directories and files that are durable under their names and closed to other users | nothing |
//! | [`bbolt`] | the file format of etcd's backend: pages, reading, writing; pure | nothing |
//! | [`auth`] | users and roles: who may do what; passwords and tokens | model |
//! | [`store`] | the replicated state: LMDB tables under an in-memory head; `store/apply` executes one command | auth, bbolt, files, model |
//! | [`log`] | the raft log on disk: append, group flush, recovery, purge | files, model |
//! | [`pki`] | a member's identity: CA, issuing, verification | files, model |
//! | [`peer`] | QUIC between members: connections, streams, admission | pki, model |
//! | [`raft`] | openraft and what connects it to the rest: propose, read index, membership | store, log, peer, model |
//! | [`watch`] | from applied events to watchers | store (reading), model |
//! | [`lease`] | the leader's count of lease time; it only proposes | model |
//! | [`api`] | gRPC and HTTP, and the one table from refusals to status codes | raft, watch, lease, auth, store (reading), pki, model |
//! | [`join`] | entry to a cluster | raft, client, peer, pki, files, model |
//! | [`client`] | connections to servers that speak etcd's protocol, with their TLS; services in DNS | api's messages, config, pki |
//! | [`config`] | file + environment + flags -> one checked `Config` | model |
//! | [`member`] | a member from its parts: store, log, raft, watch, lease and api, and the jobs that run on a leader | all above |
//! | [`offline`] | a member's data without a running member: restore a backup, read its status, move from etcd | all above but client, config, peer, pki, watch, lease, auth |
//! | [`backup`] | scheduled backups: whose turn it is, writing, verifying and keeping them | offline, api (metrics), raft, store, files, model |
//! | [`daemon`] | the process of a member: start and stop, sockets, signals, systemd, logging, reload | all above |
//! | [`ctl`] | the client: commands, printers, hints | api's messages, client, offline, backup, config, pki, model |
//!
//! `bin/kvd.rs` calls daemon, `bin/kvctl.rs` ctl. `tests/tidy.rs` checks the directions.
//!
//! ## Rules that are expressed by an absence
//!
//! - `model` does no io, is not async, and uses neither clock nor randomness.
//! - `store` and `log` do not use tokio; `store/apply` uses no clock, no randomness and no local state, so every member
//!   computes the same: the leader puts time and ids into the command.
//! - openraft's types stay in `raft`, heed's in `store`, quinn's in `peer`, rcgen's in `pki`, tonic's in `api` (its
//!   clients in `client` and `ctl`), systemd's in `daemon`. None of them is in a file format.
//! - Handlers (`api/rpc`) know neither bytes nor HTTP nor gRPC codes: they return an answer or a refusal, and
//!   `api/status.rs` has the code and the text of each. Requests read the state through `api/reads` alone, on behalf of
//!   a caller. Nothing but `daemon` ends the process.
//! - There is no read path that waits for a writer, and no await on a disk after the quorum.
//!
//! ## A tour
//!
//! Start here: seven paths through the code, each by file (below `src/`) and function. The page of each room (its
//! mod.rs) lists its files and rules; [`raft`] and [`store`] are the ones to read first.
//!
//! **One put.**
//! 1. `api/server/connection.rs` `serve()` reads the request and passes it to `api/grpc/mod.rs` `call()`, which finds
//!    the method in the table of `api/rules.rs`, reads the message and asks the gate: `api/gate/mod.rs` `admit()` returns
//!    the caller.
//! 2. `api/rpc/kv.rs` `put()` checks the request and makes a [`model::Command`]; `api/services.rs` `propose()` passes
//!    it to `raft/node.rs` `Node::propose()`, for which `raft/commands.rs` `queued()` queues it and waits.
//! 3. `raft/proposer.rs` `run()` takes all commands that were queued in the meantime: on the leader `submit()` makes
//!    one log entry of them; on a follower `forward()` sends them to the leader.
//! 4. openraft calls `raft/log_store.rs` `append()` here, and sends the entry to the others by `raft/network.rs`
//!    `stream_append()`, where `raft/service.rs` `append()` receives it. On each member `log/handle.rs` `append()`
//!    queues it, and `log/writer.rs` `write()` writes everything that was queued during the last flush with one write
//!    and one `fdatasync`.
//! 5. When a quorum has flushed it, openraft calls `raft/state_machine.rs` `apply()`, which calls
//!    [`store::Store::apply`]: `store/entry.rs` `apply_entry()` runs each command by `store/apply/mod.rs` `run()`, here
//!    `store/apply/keys.rs` `put()`, which writes the head, and `store/entry.rs` `publish()` makes it readable.
//! 6. The reply goes to the callback that `raft/proposer.rs` `submit()` has registered; it wakes the waiting request.
//! 7. Later the store's thread (`store/worker.rs` `run()`) makes a checkpoint: `store/checkpoint.rs` `checkpoint()`
//!    writes the head to LMDB in one durable transaction together with the position of the last entry in it.
//!
//! **One read.**
//! 1. As for a put up to `api/rpc/kv.rs` `range()`, which calls `api/reads/ranges.rs` `range()`: freshness, then
//!    permission, then the read itself.
//! 2. A linearizable read waits in `raft/reads.rs` `run()`, which asks for one read index for all waiting readers: the
//!    leader confirms by `own_round()` that a quorum still follows it, and the reader waits until that entry is applied
//!    here. A serializable read skips this step.
//! 3. A short range is read on the connection's own thread (`api/reads/ranges.rs` `read_here()`), a long one on
//!    another. `store/mvcc/range.rs` `run()` and `store/mvcc/read.rs` `scan()` combine the head and LMDB at one
//!    revision.
//!
//! **One watch event.**
//! 1. `api/rpc/watch.rs` `create()` opens a watcher; `watch/hub.rs` `open()` adds it to the group of all watchers with
//!    the same interest.
//! 2. `store/entry.rs` `publish()` calls the store's observers. `watch/hub.rs` `on_events()` finds the groups that want
//!    an event (`watch/groups.rs` `pick()`) and queues it once for each of their watchers: `watch/inbox.rs` `push()`.
//!    If they are very many, another thread goes on (`watch/delivering.rs` `go_on()`).
//! 3. The stream is woken, and `watch/inbox.rs` `next()` gives it the next item in order; `api/rpc/watch.rs`
//!    `poll_answer()` makes the message.
//! 4. A watcher that starts in the past, or falls behind, reads history instead: `watch/history.rs` `round()` reads one
//!    page for all watchers that are about equally far behind.
//!
//! **One failure of a leader.**
//! 1. A follower that receives nothing for long enough asks for votes (`raft/network.rs` `pre_vote()`, then `vote()`;
//!    the times are in `raft/settings.rs` `settings()`), earlier if the leader's process has ended
//!    (`raft/succession.rs` `run()`). `raft/service.rs` `vote()` answers, and `raft/checks.rs`
//!    `ballot()` refuses impossible requests.
//! 2. `raft/duties.rs` `watch_leader()` publishes every change. A leader counts only while it is confirmed:
//!    `raft/claim.rs` `leader()` decides that, so a leader that is cut off stops acting as one.
//! 3. Commands that were not appended go to the new leader (`raft/proposer.rs` `requeue()`). The outcome of one that
//!    was appended is unknown: its client gets a timeout, and it is never proposed again.
//! 4. `member/leases.rs` `follow()` makes the new leader the primary lessor: `lease/lessor.rs` `promote()`.
//!
//! **One snapshot.**
//! 1. A member that lags behind the leader's purged log (`raft/duties.rs` `bound_log()`) needs the whole state. The
//!    leader's snapshot is its last checkpoint: `store/snapshot.rs` `snapshot()`. `raft/network.rs` `full_snapshot()`
//!    sends it, over `peer/snapshot.rs` `send()`.
//! 2. `peer/snapshot.rs` `receive()` passes the pieces to `raft/service.rs` `install()` while they arrive:
//!    `store/restore.rs` `prepare()` loads them into a new LMDB environment next to the one in use.
//! 3. `raft/state_machine.rs` `install_snapshot()` switches to it: `store/restore.rs` `adopt()`. The log is truncated
//!    after that; if a crash comes between, `raft/installed.rs` `cut_log()` repairs it at the next start.
//!
//! **One restart.**
//! 1. `daemon/command.rs` `main()` reads the configuration; `daemon/mod.rs` `run()` starts the runtime, and
//!    `daemon/process.rs` `start()` opens files and sockets in order and starts the member.
//! 2. [`store::Store::open`] opens the last checkpoint, after `store/states.rs` `check()` has read its pages without
//!    LMDB, which trusts them; after an orderly end only the roots, and `member/scrub.rs` reads the rest at once.
//!    `log/handle.rs` `open()` reads the log back with `log/recover.rs` `recover()`: a write that a crash cut off is dropped, damage before it is refused.
//! 3. `member/entry.rs` `enter()` returns this member's identity; at a first start it founds or joins a cluster.
//!    `member/history.rs` `judge()` refuses data that do not belong together.
//! 4. `member/assembly.rs` `start()` connects the parts of the member and starts raft: `raft/node.rs` `start()` applies
//!    the committed entries after the checkpoint (`raft/replay.rs` `replay()`), then starts openraft.
//! 5. `member/jobs.rs` `all_jobs()` runs the jobs of the leader, and `member/readiness.rs` `reached()` decides when
//!    clients are admitted.
//!
//! **One stop.** `daemon/process.rs` `stop()`: leadership is transferred, clients are notified, raft ends, the store
//! makes a last checkpoint.
//!
//! ## The v2 API
//!
//! etcd's v2 store is a tree beside the key space, and the two know nothing of each other. `model/tree.rs` has its
//! commands and events, and one command of the log, [`model::Command::Tree`], carries them. `store/tree/` is the tree:
//! immutable maps in memory that share what did not change, so a reader takes the tree of one moment and waits for
//! nobody; its rows go to LMDB with all others. `watch/tree.rs` has those who wait, `member/tree.rs` ends nodes whose time
//! has come, and `api/v2/` is its HTTP: it has no messages, so it is beside the table of methods, behind the same gate.
//!
//! ## Threads
//!
//! | thread | runs |
//! |---|---|
//! | `kvd-peer` | a current-thread runtime: connections to and from other members, openraft's core, applying cheap commands |
//! | `tokio-rt-worker` | slow work: applying expensive commands, snapshots |
//! | `kvd-names` | one for each host name that is being resolved, limited in number |
//! | `kvd-log` | writes and flushes the raft log, unless raft's own thread does, in a member without others |
//! | `kvd-log-segments` | prepares the log's next segments |
//! | `kvd-watch` | delivers events to those of very many watchers that the applying thread leaves to it |
//! | `kvd-watch-history` | reads history for watchers that are behind |
//! | `kvd-store` | checkpoints, compaction |
//! | `kvd-api-N` | a current-thread runtime: client connections |
//! | `kvd-audit` | writes the records of the audit, if there is one |
//! | `kvd-backup` | takes a backup, with low priority |
//! | `kvd-passwords` | bcrypt, with low priority; they start with the first password |
//! | main | a current-thread runtime: signals, lease expiry, automatic compaction, systemd |
//!
//! ## Formats on disk
//!
//! The pages `log/format.rs` and `store/format.rs` describe every file. Each has a version, and a file of another
//! version is refused with a message that names both. Commands in the log are encoded strictly: a member that does not
//! know a command stops instead of diverging.
//!
//! ## Where measurement changed the first design
//!
//! - The log consists of preallocated segments that are reused, instead of the crate `raft-log`: a flush of a
//!   preallocated, zero-filled file needs one device flush, that of a growing file two, and a serial put waits for it.
//! - A key's newest value is in the table of current keys, not in the table of revisions: lists and gets are one
//!   scan, and a value is on disk once. A superseded version moves to a table ordered by key and revision.
//! - A checkpoint holds 2,000 operations at most, not 50,000: LMDB copies every page it changes, keeps the copies in
//!   memory until the commit, and can reuse pages that a commit frees only two commits later. With a million random
//!   keys that reduced the data file from 944 to about 600 MB, and anonymous memory with it.
//! - The log is bounded in bytes as well as in entries, because an entry holds a group of commands: 16 MB, or a
//!   thirty-second part of the state if that is more.
//! - Without a cluster secret and without certificates, members derive their keys from a text that everybody knows, not
//!   from `initial-cluster-token`: `member add` does not print the token, so whoever joins by etcd's documentation does
//!   not have it. Clusters are kept apart by their ids; strangers are not kept out, and a warning says so.
//! - Raft runs on the thread of the connections. With a thread of its own each message was passed between threads twice
//!   on both sides: on two cores, a serial put in a cluster of three took 1.3 times as long and as much CPU as with
//!   etcd; on the same thread it takes less.
//! - Transparent huge pages are off: with them an empty member held 60 MB of anonymous memory, without them half.
//! - openraft's histograms are replaced (`src/raft/base2histogram`): 26 of an empty member's 35 MB were their tables. Raft's
//!   clock stands still in a leader without other members, and what waited by looking ten times a second is woken: a
//!   member at rest was woken 106 times a second, now 15 times. In a cluster it runs only in a member that does not hear
//!   its leader (`raft/clock.rs`), and QUIC wakes the thread for datagrams, not for room to send them nor for timers that
//!   were put off (`peer/datagrams.rs`, `peer/driver.rs`).
//! - A member without others writes small entries on raft's thread: to hand them to the log's thread and back costs more
//!   than it gains as long as nobody waits for that thread. Written by one call with RWF_DSYNC, or past the page cache, a
//!   flush takes as long as by `fdatasync`.

pub mod api;
pub mod auth;
pub mod backup;
pub mod bbolt;
pub mod client;
pub mod config;
pub mod ctl;
pub mod daemon;
pub mod files;
pub mod join;
pub mod lease;
pub mod log;
pub mod member;
pub mod model;
pub mod offline;
pub mod peer;
pub mod pki;
pub mod raft;
pub mod store;
pub mod watch;
