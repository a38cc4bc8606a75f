//! Tests of whole processes: kvd as its users meet it, next to a real etcd.
//!
//! | module | what it proves |
//! |---|---|
//! | `harness` | starts and ends servers; nothing else in here spawns one |
//! | `differential` | random requests to kvd and to etcd get equal answers |
//! | `stories` | etcdctl of three versions prints the same against kvd and etcd |
//! | `crash` | what was acknowledged survives `kill -9`; a damaged log is repaired or refused |
//! | `process` | command line, environment, sockets, signals, the files of one daemon |
//!
//! Real programs are looked for below `target/reference` (see `tests/provide`). A test whose program is
//! missing says so and passes, unless `KVD_TESTS_REQUIRE=1` (as `tests/run` sets it): then it fails.
//! `KVD_SUITE_SUBJECT=3.7.3` runs everything against that etcd instead of kvd, which proves the suite itself.

mod crash;
mod differential;
mod harness;
mod process;
mod stories;
