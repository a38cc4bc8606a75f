use super::*;

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_leases_expire_at_once_in_bounded_steps() {
    let world = World::new();
    let (lessor, _task) = world.start();
    lessor.promote(1, world.claim());
    for id in 1..=100_000 {
        world.grant(id, 10);
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let started = Instant::now();
    while !world.leases.lock().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(world.revokes.lock().1 <= 130, "{} in flight", world.revokes.lock().1);
    assert_eq!(lessor.by_expiry(), Some(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn renewed_leases_outlive_many_times_their_time() {
    let world = World::new();
    let (lessor, _task) = world.start();
    lessor.promote(1, world.claim());
    for id in 1..=1000 {
        world.grant(id, 5);
    }
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        for id in 1..=500 {
            assert_eq!(renewed(&lessor, id).await, "renewed for 5s");
        }
    }
    let alive: Vec<LeaseId> = world.leases.lock().keys().copied().collect();
    assert_eq!(alive, (1..=500).collect::<Vec<_>>());
    let cleared = world.log.lock().iter().filter(|line| line.contains("cleared")).count();
    assert_eq!(cleared, 0, "of short leases nothing is recorded");
}

#[tokio::test(start_paused = true)]
async fn granting_and_revoking_leaves_nothing_behind() {
    let world = World::new();
    let (lessor, _task) = world.start();
    lessor.promote(1, world.claim());
    for id in 1..=100_000 {
        world.grant(id, super::super::MAX_TTL);
        world.apply(Command::LeaseRevoke { id }).unwrap();
        world.log.lock().clear();
    }
    let state = lessor.state.lock();
    assert!(state.book.places() < 5000, "{}", state.book.places());
}

#[tokio::test(start_paused = true)]
async fn leases_granted_and_revoked_while_they_are_read() {
    let world = World::new();
    world.grant(1, 10);
    world.grant(2, 10);
    let inner = world.clone();
    // While the store answers, one more lease is granted and one is revoked.
    let source = move || {
        let leases = inner.leases.lock().values().cloned().collect();
        inner.grant(3, 10);
        inner.apply(Command::LeaseRevoke { id: 1 }).unwrap();
        Ok(leases)
    };
    let options = Options { election_timeout: Duration::from_secs(1), heartbeat: Duration::from_millis(100) };
    let lessor = Lessor::new(Arc::new(source), Arc::new(world.clocks()), MemberId(1), options);
    *world.lessor.lock() = Some(lessor.clone());
    lessor.promote(1, world.claim());
    assert_eq!(lessor.by_expiry(), Some(vec![3, 2]));
}

#[test]
fn the_smallest_time_to_live() {
    let min =
        |ms| Options { election_timeout: Duration::from_millis(ms), heartbeat: Duration::ZERO }.min_ttl();
    assert_eq!((min(1000), min(2000), min(3000), min(100)), (2, 3, 5, 1));
}
