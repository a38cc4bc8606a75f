//! Members that apply the same entries have the same digest, by whatever way they come there; after different changes
//! they have different ones for ever.

use super::tests::{Bench, manual};
use crate::model::{
    Alarm, AlarmKind, AuthChange, Command, Delete, KeyRange, Member, MemberChange, MemberId, Put,
    TreeCommand, Ttl, Version,
};

fn put(key: &'static str, value: &'static str, lease: i64) -> Command {
    Command::Put(Put { key: key.into(), value: value.into(), lease, ..Put::default() })
}

/// Commands of each kind that changes anything, in twos that change different things.
fn commands() -> Vec<[Vec<Command>; 2]> {
    let delete = |key: &'static str| Delete { range: KeyRange::single(key), prev_kv: false };
    let alarm = |id| Command::AlarmRaise(Alarm { member: MemberId(id), kind: AlarmKind::NoSpace });
    let no_alarm = |id| Command::AlarmClear(Alarm { member: MemberId(id), kind: AlarmKind::NoSpace });
    let member = |url: &str| Member::founder(MemberId(5), vec![url.into()]);
    let user = |name: &str| Command::Auth(AuthChange::UserAdd { name: name.into(), hash: None });
    let set = |value: &str| {
        let (path, value) = ("/a".into(), value.into());
        Command::Tree(TreeCommand::Set { path, dir: false, value, ttl: Ttl::default() })
    };
    let single = [
        [put("k", "one", 0), put("k", "two", 0)],
        [put("k", "v", 0), put("j", "v", 0)],
        [put("k", "v", 7), put("k", "v", 8)],
        [Command::Delete(delete("a")), Command::Delete(delete("b"))],
        [Command::LeaseGrant { id: 9, ttl: 10 }, Command::LeaseGrant { id: 9, ttl: 11 }],
        [Command::LeaseRevoke { id: 7 }, Command::LeaseRevoke { id: 8 }],
        [
            Command::LeaseCheckpoint { remaining: vec![(7, Some(1))] },
            Command::LeaseCheckpoint { remaining: vec![(7, Some(2))] },
        ],
        [Command::Compact { revision: 2 }, Command::Compact { revision: 3 }],
        [alarm(5), alarm(6)],
        [
            Command::Member(MemberChange::Add(member("http://a:1"))),
            Command::Member(MemberChange::Add(member("http://b:1"))),
        ],
        [Command::ClusterVersion("3.6.0".into()), Command::ClusterVersion("3.7.0".into())],
        [user("ann"), user("bob")],
        [set("one"), set("two")],
    ];
    let mut all: Vec<_> = single.into_iter().map(|two| two.map(|command| vec![command])).collect();
    all.push([vec![alarm(5), no_alarm(5)], vec![alarm(5), no_alarm(6)]]);
    let (cluster, target) = (Version::OWN.of_cluster(), Version::OWN.before());
    let version = Command::ClusterVersion(cluster);
    all.push([vec![version.clone(), Command::Downgrade(target)], vec![version]]);
    all
}

fn filled() -> Bench {
    let mut bench = Bench::new(manual());
    bench.run(Command::LeaseGrant { id: 7, ttl: 10 });
    bench.run(Command::LeaseGrant { id: 8, ttl: 10 });
    bench.run(put("a", "first", 0));
    bench.run(put("b", "first", 0));
    bench.run(put("c", "first", 0));
    bench
}

#[test]
fn members_that_change_different_things_have_different_digests_for_ever() {
    for two in commands() {
        let what = format!("{two:?}");
        let digests = two.map(|commands| {
            let mut bench = filled();
            let before = bench.store.digest().map(|digest| digest.value);
            commands.into_iter().for_each(|command| _ = bench.run(command));
            let after = bench.store.digest().expect("it is known");
            assert_ne!(before, Some(after.value), "{what}");
            // Whatever comes then is the same, and takes back what was different.
            bench.run(Command::Delete(Delete { range: KeyRange::all(), prev_kv: false }));
            [after, bench.store.digest().expect("it is known")]
        });
        assert!(digests[0][0] != digests[1][0] && digests[0][1] != digests[1][1], "{what}");
    }
}

#[test]
fn what_a_member_does_for_itself_leaves_the_digest_alone() {
    let (mut one, mut two) = (filled(), filled());
    for (round, [commands, _]) in commands().into_iter().enumerate() {
        for command in commands {
            one.run(command.clone());
            two.run(command);
        }
        match round % 3 {
            0 => two.store.checkpoint().unwrap(),
            1 => {
                two.store.checkpoint().unwrap();
                two = two.crash(manual());
            }
            _ => {
                one.store.checkpoint().unwrap();
                let mut other = Bench::new(manual());
                other.store.restore(one.store.snapshot().unwrap()).unwrap();
                other.index = one.index;
                two = other;
            }
        }
        two.store.prune().unwrap();
        two.store.defragment().unwrap();
        let digest = one.store.digest();
        assert!(digest.is_some() && digest == two.store.digest(), "round {round}");
    }
}

#[test]
fn a_crash_goes_back_to_the_digest_of_the_last_checkpoint() {
    let mut bench = filled();
    bench.store.checkpoint().unwrap();
    let saved = bench.store.digest();
    bench.run(put("k", "v", 0));
    let after = bench.store.digest();
    let mut bench = bench.crash(manual());
    assert_eq!(bench.store.digest(), saved);
    bench.run(put("k", "v", 0));
    assert_eq!(bench.store.digest(), after);
}
