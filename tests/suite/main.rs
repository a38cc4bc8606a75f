//! Tests of whole processes: kvd as its users meet it, next to a real etcd.
//!
//! | module | what it proves |
//! |---|---|
//! | `harness` | starts and ends servers; nothing else in here spawns one |
//! | `differential` | random requests to kvd and to etcd get equal answers |
//! | `stories` | etcdctl of three versions prints the same against kvd and etcd |
//! | `backup` | a real etcd serves what kvd has saved, and kvd what an etcd has |
//! | `crash` | acknowledged writes survive `kill -9`; a damaged log is repaired or refused |
//! | `process` | command line, environment, sockets, signals, the files of one daemon |
//!
//! Real programs are expected in `target/reference` (see `tests/provide`). If a test's program is missing, the test
//! prints that and passes, unless `KVD_TESTS_REQUIRE=1` (as `tests/run` sets it): then it fails.
//! What `KVD_TESTS_WITHOUT` lists, versions of etcd that the distribution does not have, is left out by name all the same.
//! `KVD_SUITE_SUBJECT=3.7.3` runs everything against that etcd instead of kvd, which verifies the suite itself;
//! `KVD_SUITE_PROGRAM=FILE` against another build of kvd, for figures.

mod backup;
mod crash;
mod differential;
mod harness;
mod process;
mod stories;
