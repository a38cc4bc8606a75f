//! Clusters of real processes on hosts that the test makes: network namespaces on a switch.
//!
//! | module | content |
//! |---|---|
//! | `net` | hosts with given addresses, one subnet, links that can be cut or made bad (by `relay.py`) |
//! | `links` | checks that bad links are bad |
//! | `server` | one server process on a host |
//! | `disk` | a disk of its own: it becomes full, its power is cut |
//! | `preload` | its clock is set, its writes and flushes fail or stand still (by `preload.c`) |
//! | `story` | the sessions of the documentation, command by command, with the real etcdctl of three versions |
//! | `names` | members and clients that find a cluster in DNS |
//! | `load` | clusters under load with faults, and what must hold afterwards |
//!
//! ```text
//! cargo test --test cluster                                                              some minutes
//! KVD_CLUSTER_SECONDS=3600 cargo test --test cluster three_members_under -- --nocapture  longer; prints its seed
//! tests/cluster/run --minutes 60                                                         new seeds for an hour
//! ```
//!
//! The tests need root, iproute2 and Python 3, and for disks and clocks of their own loop devices, `mkfs.ext4` and a C
//! compiler. If one is missing, they print that and pass, unless
//! `KVD_TESTS_REQUIRE=1` (as `tests/run` sets it); versions of etcd in `KVD_TESTS_WITHOUT` are left out all
//! the same. `KVD_SUITE_SUBJECT=3.5.1` runs everything against that etcd, which
//! verifies the tests.

#![allow(clippy::print_stderr)]

#[path = "../suite/harness/api.rs"]
mod api;
#[path = "../suite/harness/dice.rs"]
mod dice;
mod disk;
#[path = "../linearizability/mod.rs"]
mod linearizability;
mod links;
mod load;
mod names;
mod net;
mod preload;
#[path = "../suite/harness/program.rs"]
mod program;
mod server;
mod story;

const VERSIONS: [&str; 3] = ["3.7.3", "3.5.1", "3.4.23"];

/// True if hosts can be made here; otherwise prints what is missing.
fn hosts_can_be_made(test: &str) -> bool {
    match net::missing() {
        None => true,
        Some(what) => {
            program::skip(test, &what);
            false
        }
    }
}

/// Runs a story with etcdctl of each version.
fn tell(name: &str, text: &str) {
    if !hosts_can_be_made(name) {
        return;
    }
    for version in VERSIONS {
        let Some(client) = program::tool(name, version, "etcdctl") else { continue };
        let cast = story::Cast { subject: program::subject(), client, version: version.to_owned() };
        println!("{name}: etcdctl {version} with {:?}", cast.subject);
        story::tell(text, &cast);
    }
}

#[test]
fn servers_are_added_and_removed() {
    tell("servers_are_added_and_removed", include_str!("stories/adding_and_removing.txt"));
}

#[test]
fn three_members_by_hand() {
    tell("three_members_by_hand", include_str!("stories/three_by_hand.txt"));
}

/// By the v2 API, which the etcd of the tests serves only if it is asked to.
#[test]
fn the_document_of_2016() {
    let name = "the_document_of_2016";
    let (subject, version) = (program::subject(), "3.4.23");
    if !hosts_can_be_made(name) || !subject.is_kvd() {
        return;
    }
    let Some(client) = program::tool(name, version, "etcdctl") else { return };
    let cast = story::Cast { subject, client, version: version.to_owned() };
    story::tell(include_str!("stories/document_of_2016.txt"), &cast);
}

#[test]
fn mistakes_are_answered_as_documented() {
    tell("mistakes_are_answered_as_documented", include_str!("stories/mistakes.txt"));
}

#[test]
fn members_are_found_in_dns() {
    if hosts_can_be_made("members_are_found_in_dns") {
        names::members_are_found("members_are_found_in_dns");
    }
}

#[test]
fn mistakes_in_dns_have_etcds_texts() {
    if hosts_can_be_made("mistakes_in_dns_have_etcds_texts") {
        names::mistakes("mistakes_in_dns_have_etcds_texts");
    }
}

#[test]
fn bad_links_are_bad_until_they_are_good_again() {
    if hosts_can_be_made("bad_links_are_bad_until_they_are_good_again") {
        links::bad_and_good();
    }
}

#[test]
fn three_members_under_load_and_faults() {
    if hosts_can_be_made("three_members_under_load_and_faults") {
        load::under_faults(
            "three_members_under_load_and_faults",
            3,
            &[load::FAULTS, load::OF_MACHINES].concat(),
        );
    }
}

#[test]
fn five_members_under_load_and_faults() {
    if hosts_can_be_made("five_members_under_load_and_faults") {
        load::under_faults("five_members_under_load_and_faults", 5, load::FAULTS);
    }
}

#[test]
fn a_cluster_grows_and_shrinks_under_load() {
    if hosts_can_be_made("a_cluster_grows_and_shrinks_under_load") {
        load::growing_and_shrinking("a_cluster_grows_and_shrinks_under_load");
    }
}
