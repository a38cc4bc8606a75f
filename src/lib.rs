//! # kvd: a strongly consistent key-value store that speaks etcd's protocols
//!
//! One process is a member of a cluster. Clients talk etcd's gRPC API to it (port 2379/tcp); members agree on one
//! log of commands by raft; every member applies the log to the same state and serves reads from it.
//!
//! ```text
//!            clients                                     systemd, operator
//!               |                                               |
//!      api (gRPC, HTTP, gate)                           daemon <- config
//!        |        |        |                                    |
//!      watch    lease    raft  ----- peer, pki ----- other members
//!        |        |     /    \
//!        |       model log    store (LMDB + head)
//!        +---------------------^
//! ```
//!
//! ## The rooms, and who may use whom
//!
//! | room | what stands there | may use |
//! |---|---|---|
//! | [`model`] | the words: keys, ranges, revisions, commands, replies, refusals | nothing |
//! | [`files`] | directories and files that outlive a power failure under their names and are closed to others | nothing |
//! | [`store`] | the replicated state: LMDB tables under an in-memory head; `store/apply` executes one command | files, model |
//! | [`log`] | the raft log on disk: append, group flush, recovery, purge | files, model |
//! | [`pki`] | who a member is: CA, issuing, verification | files, model |
//! | [`peer`] | QUIC between members: connections, streams, who is let in | pki, model |
//! | [`raft`] | openraft's glue: propose, read index, membership | store, log, peer, model |
//! | [`watch`] | from applied events to watchers | store (reading), model |
//! | [`lease`] | the leader's expiry wheel; it only proposes | model |
//! | [`api`] | the faces: gRPC, HTTP, and the one map from refusals to status codes | raft, watch, lease, store (reading), model |
//! | [`join`] | entry to a cluster | raft, peer, pki, files, model |
//! | [`config`] | file + environment + flags -> one checked `Config` | model |
//! | [`daemon`] | order of start and stop, systemd, logging | everything |
//! | [`ctl`] | the client: commands, printers, hints | api's messages, config, pki, model |
//!
//! `bin/kvd.rs` calls daemon, `bin/kvctl.rs` ctl. `tests/tidy.rs` keeps the directions. One room has its place and its rules there,
//! but nothing in it yet: `auth` (users, roles, tokens).
//!
//! ## Rules that are expressed by an absence
//!
//! - `model` does no io, is not async, and knows neither clock nor randomness.
//! - `store` and `log` know nothing of tokio; `store/apply` sees no clock, no randomness and no local state, so every
//!   member computes the same: time and ids are stamped into the command by the leader.
//! - openraft's types stay in `raft`, heed's in `store`, quinn's in `peer`, rcgen's in `pki`, tonic's in `api`,
//!   systemd's in `daemon`. None of them is in a file format.
//! - Handlers (`api/rpc`) know neither bytes nor HTTP nor gRPC codes: they give an answer or a refusal, and `api/status.rs`
//!   has the code and the text of each. Requests read the state through `api/reads` alone, on behalf of a caller. Nothing
//!   but `daemon` ends the process.
//! - There is no read path that waits for a writer, and no await on a disk after the quorum.
//!
//! ## The way of one put
//!
//! `api/grpc` decodes the request, the gate says who calls, `api/rpc/kv` (limits) makes a [`model::Command`] -> `raft::Node::propose` queues it; everything that queued
//! meanwhile becomes one log entry -> openraft -> `log` writes the entries that queued during the last flush with one
//! write and one `fdatasync` -> committed -> `store` applies the entry to its in-memory head -> the replies wake the
//! waiting requests, the events go to `watch`. A checkpoint later folds the head into LMDB in one durable commit that
//! carries the applied position; after a crash the log is replayed from there.
//!
//! ## Threads
//!
//! | thread | runs |
//! |---|---|
//! | `kvd-peer` | a current-thread runtime: connections to and from other members, openraft's core, cheap commands' applying |
//! | `tokio-rt-worker` | what may take long: costly commands' applying, snapshots |
//! | `kvd-names` | one for each host name that is being resolved, limited in number |
//! | `kvd-log` | writes and flushes the raft log |
//! | `kvd-log-segments` | makes the log's next segments ready |
//! | `kvd-watch-history` | reads history for watchers that are behind |
//! | `kvd-store` | checkpoints, compaction |
//! | `kvd-api-N` | a current-thread runtime: client connections |
//! | main | a current-thread runtime: signals, lease expiry, automatic compaction, systemd |
//!
//! ## Formats on disk
//!
//! The pages `log/format.rs` and `store/format.rs` draw every file; each carries a version and refuses another one
//! by name. Commands in the log are encoded strictly: a member that does not know a command stops rather than
//! diverge.
//!
//! ## Where measurement changed the first design
//!
//! - The log is an own preallocated, recycled segment log from the start instead of the crate `raft-log`: a flush of
//!   a preallocated, zero-filled file needs one device flush, a growing one two, and the serial put waits for it.
//! - A key's newest value stands in the table of current keys, not in the table of revisions: lists and gets are one
//!   scan, and a value is on disk once. A superseded version moves to a table ordered by key and revision.
//! - A checkpoint holds 2,000 operations at most, not 50,000: LMDB copies every page it changes, keeps the copies in
//!   memory until the commit, and can use what one commit frees only in the next but one. With a million random keys
//!   that took the data file from 944 to about 600 MB, and anonymous memory with it.
//! - The log is bounded in bytes as well as in entries, since an entry carries a group of commands: 16 MB, or a
//!   thirty-second part of the state where that is more.
//! - Without a cluster secret and without certificates, members take their keys from a text that everybody knows, not
//!   from `initial-cluster-token`: `member add` does not print the token, so that who joins as etcd's documents show
//!   does not have it. Clusters are kept apart by their ids; strangers are not kept out, and a warning says so.
//! - Raft runs on the thread of the connections. With a thread of its own each message was handed from thread to thread
//!   twice on both sides: on two cores, a serial put in a cluster of three took 1.3 times as long and as much CPU as
//!   with etcd; without, less.
//! - Transparent huge pages are off: with them an empty member held 60 MB of anonymous memory, without them half.

pub mod api;
pub mod config;
pub mod ctl;
pub mod daemon;
pub mod files;
pub mod join;
pub mod lease;
pub mod log;
pub mod model;
pub mod peer;
pub mod pki;
pub mod raft;
pub mod store;
pub mod watch;
