//! Random histories with random watchers, slow and fast, over random compactions, against the naive model. Every
//! watcher gets exactly what the model says: in order, whole revisions, no gap, no duplicate; or a notice that what it
//! wants next was compacted.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::model::{Change, Fake, Model};
use super::*;
use crate::model::{EventKind, RangeEnd};
use crate::watch::WatchKey;

/// The store under test, beside the model.
pub(super) trait Subject {
    fn apply(&mut self, transactions: &[Vec<Change>]);
    fn compact(&mut self, revision: i64);
}

struct Watched {
    key: WatchKey,
    spec: WatchSpec,
    /// Everything below has been received.
    next: i64,
    ended: Option<i64>,
}

struct Client {
    session: Session,
    watched: HashMap<i64, Watched>,
    /// The highest revision that the stream has shown.
    shown: i64,
    /// How often it reads, in percent.
    eagerness: u32,
}

struct Test<S> {
    seed: u64,
    rng: StdRng,
    model: Model,
    subject: S,
    hub: Arc<Hub>,
    clients: Vec<Client>,
    compacted: i64,
    next_tag: i64,
}

pub(super) fn seeds() -> Vec<u64> {
    match std::env::var("KVD_SEED") {
        Ok(seed) => vec![seed.parse().expect("KVD_SEED is a number")],
        Err(_) => (0..5).collect(),
    }
}

fn random_key(rng: &mut StdRng) -> Bytes {
    let length = rng.random_range(1..4);
    (0..length).map(|_| rng.random_range(b'a'..b'd')).collect::<Vec<u8>>().into()
}

fn random_range(rng: &mut StdRng) -> KeyRange {
    let start = random_key(rng);
    match rng.random_range(0..5) {
        0 => KeyRange::single(start),
        1 => KeyRange { start, end: RangeEnd::Open },
        2 => KeyRange { start, end: RangeEnd::Before(Bytes::from_static(b"cb")) },
        _ => KeyRange { end: crate::model::prefix_end(&start), start },
    }
}

fn random_changes(rng: &mut StdRng) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut touched: Vec<Bytes> = Vec::new();
    for _ in 0..if rng.random_bool(0.2) { rng.random_range(2..6) } else { 1 } {
        if rng.random_bool(0.25) && touched.is_empty() {
            changes.push(Change::Delete(random_range(rng)));
            break;
        }
        let key = random_key(rng);
        if !touched.contains(&key) {
            let size = if rng.random_bool(0.05) { 30_000 } else { rng.random_range(0..50) };
            changes.push(Change::Put(key.clone(), vec![rng.random::<u8>(); size].into()));
            touched.push(key);
        }
    }
    changes
}

impl Client {
    /// Revisions on a stream only go forward.
    fn show(&mut self, revision: i64, seed: u64) {
        assert!(revision >= self.shown, "seed {seed}: revision {revision} is shown after {}", self.shown);
        self.shown = revision;
    }
}

impl Watched {
    /// Progress means that everything up to its revision has been received.
    fn progress(&mut self, model: &Model, revision: i64, seed: u64) {
        assert!(self.spec.start_revision <= revision + 1, "seed {seed}: the future is not synced");
        let missing = expected(model, &self.spec, self.next, revision);
        assert!(missing.is_empty(), "seed {seed}: progress {revision} overtook {:?}", missing[0].kv.key);
    }
}

impl<S: Subject> Test<S> {
    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..50 => self.write(),
            50..54 if !self.clients.is_empty() => self.open(),
            54..56 => self.close(),
            56..57 => self.compact(),
            57..58 => self.connect(),
            58..64 if !self.clients.is_empty() => self.ask(),
            _ => self.read(),
        }
    }

    /// Asks for progress, for all watchers of a stream or for some, or for an answer outside the order.
    fn ask(&mut self) {
        let chosen = self.rng.random_range(0..self.clients.len());
        let client = &mut self.clients[chosen];
        match self.rng.random_range(0..5) {
            0 => {
                let revision = client.session.show_revision();
                client.show(revision, self.seed);
            }
            1 => client.session.notify(client.watched.values().map(|watched| watched.key)),
            _ => client.session.request_progress(),
        }
    }

    fn write(&mut self) {
        let count = match self.rng.random_range(0..20) {
            0 => 300,
            1..4 => 20,
            _ => 1,
        };
        let transactions: Vec<Vec<Change>> = (0..count).map(|_| random_changes(&mut self.rng)).collect();
        for changes in &transactions {
            self.model.change(changes);
        }
        self.subject.apply(&transactions);
    }

    fn compact(&mut self) {
        let low = self.compacted.max(1);
        if low < self.model.revision {
            let revision = self.rng.random_range(low + 1..=self.model.revision);
            self.compacted = revision;
            self.subject.compact(revision);
        }
    }

    fn connect(&mut self) {
        if self.clients.len() < 12 {
            let eagerness = [1, 10, 90][self.rng.random_range(0..3)];
            let session = self.hub.session();
            self.clients.push(Client { session, watched: HashMap::new(), shown: 0, eagerness });
        } else {
            let gone = self.rng.random_range(0..self.clients.len());
            self.clients.swap_remove(gone);
        }
    }

    fn open(&mut self) {
        let start_revision = match self.rng.random_range(0..4) {
            0 => 0,
            1 => self.model.revision + self.rng.random_range(1..50),
            _ => self.rng.random_range(1..=self.model.revision),
        };
        let spec = WatchSpec {
            tag: self.next_tag,
            range: random_range(&mut self.rng),
            start_revision,
            want: Want {
                prev_kv: self.rng.random(),
                no_put: self.rng.random_bool(0.1),
                no_delete: self.rng.random_bool(0.1),
            },
        };
        self.next_tag += 1;
        let chosen = self.rng.random_range(0..self.clients.len());
        let client = &mut self.clients[chosen];
        let (key, revision) = client.session.open(spec.clone());
        assert_eq!(revision, self.model.revision, "seed {}", self.seed);
        client.show(revision, self.seed);
        let next = if start_revision == 0 { revision + 1 } else { start_revision };
        client.watched.insert(spec.tag, Watched { key, spec, next, ended: None });
    }

    fn close(&mut self) {
        if let Some(client) = self.clients.first_mut()
            && let Some(tag) = client.watched.keys().min().copied()
            && let Some(watched) = client.watched.remove(&tag)
        {
            client.session.close(watched.key);
        }
    }

    fn read(&mut self) {
        for index in 0..self.clients.len() {
            if self.rng.random_range(0..100) < self.clients[index].eagerness
                && let Some(item) = poll(&self.clients[index].session)
            {
                self.check(index, item);
            }
        }
    }

    /// Checks an item against the model.
    fn check(&mut self, index: usize, item: Item) {
        let (model, seed) = (&self.model, self.seed);
        let client = &mut self.clients[index];
        match &item {
            Item::Events { header_revision: revision, .. }
            | Item::Compacted { header_revision: revision, .. }
            | Item::Progress { revision }
            | Item::Notify { revision, .. } => client.show(*revision, seed),
            Item::Denied { .. } | Item::Failed(_) => {}
        }
        match item {
            Item::Events { tag, header_revision, runs } => {
                let watched = client.watched.get_mut(&tag).expect("no events of closed watchers");
                let last = runs.last().expect("not empty").last();
                let expected = expected(model, &watched.spec, watched.next, last);
                let got = events(&runs);
                let about = || format!("seed {seed}, {:?} from {} to {last}", watched.spec, watched.next);
                assert_eq!(got.len(), expected.len(), "{}", about());
                for (got, expected) in got.iter().zip(&expected) {
                    let mut expected = expected.clone();
                    if got.prev_kv.is_none()
                        && expected.prev_kv.as_ref().is_some_and(|kv| kv.mod_revision < self.compacted)
                    {
                        // Read from history after it was compacted.
                        expected.prev_kv = None;
                    }
                    assert_eq!(*got, expected, "{}", about());
                }
                assert!(header_revision >= last && header_revision <= model.revision, "{}", about());
                watched.next = last + 1;
            }
            Item::Compacted { tag, revision, .. } => {
                let watched = client.watched.get_mut(&tag).expect("known");
                assert!(revision <= self.compacted && watched.next < revision, "seed {seed}");
                watched.ended = Some(revision);
                client.session.close(watched.key);
                client.watched.remove(&tag);
            }
            Item::Denied { .. } => panic!("seed {seed}: nobody denies anything"),
            Item::Progress { revision } => {
                client.watched.values_mut().for_each(|watched| watched.progress(model, revision, seed));
            }
            Item::Notify { tag, revision } => {
                let watched = client.watched.get_mut(&tag).expect("no progress of closed watchers");
                watched.progress(model, revision, seed);
            }
            Item::Failed(refusal) => panic!("seed {seed}: {refusal}"),
        }
    }

    /// All clients read to the end.
    fn finish(&mut self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut missing = 0;
            for index in 0..self.clients.len() {
                while let Some(item) = poll(&self.clients[index].session) {
                    self.check(index, item);
                }
                let unread = |watched: &&Watched| {
                    !expected(&self.model, &watched.spec, watched.next, self.model.revision).is_empty()
                };
                missing += self.clients[index].watched.values().filter(unread).count();
            }
            if missing == 0 {
                break;
            }
            assert!(Instant::now() < end, "seed {}: {missing} watchers miss events", self.seed);
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

/// The events a watcher must get for the revisions from `next` to `last`.
fn expected(model: &Model, spec: &WatchSpec, next: i64, last: i64) -> Vec<Event> {
    let wanted = |event: &&Event| {
        spec.range.contains(&event.kv.key)
            && match event.kind {
                EventKind::Put => !spec.want.no_put,
                EventKind::Delete => !spec.want.no_delete,
            }
    };
    let from = model.log.partition_point(|events| events.revision < next);
    let to = model.log.partition_point(|events| events.revision <= last);
    model.log[from..to.max(from)]
        .iter()
        .flat_map(|events| events.events.iter().filter(wanted))
        .map(|event| Event { prev_kv: event.prev_kv.clone().filter(|_| spec.want.prev_kv), ..event.clone() })
        .collect()
}

/// Runs a random history. Replay: `KVD_SEED=<seed> cargo test --lib watch::tests::random`.
pub(super) fn run<S: Subject>(seed: u64, hub: Arc<Hub>, subject: S) {
    println!("seed {seed}; replay: KVD_SEED={seed} cargo test --lib watch::tests::random");
    let rng = StdRng::seed_from_u64(seed);
    let model = Model::default();
    let mut test =
        Test { seed, rng, model, subject, hub: hub.clone(), clients: Vec::new(), compacted: -1, next_tag: 0 };
    test.connect();
    for _ in 0..3000 {
        test.step();
    }
    test.finish();
    drop(test);
    let stats = hub.stats();
    assert_eq!((stats.sessions, stats.watchers, stats.groups), (0, 0, 0), "seed {seed}");
}

impl Subject for Arc<Fake> {
    fn apply(&mut self, transactions: &[Vec<Change>]) {
        Fake::apply(self, transactions);
    }

    fn compact(&mut self, revision: i64) {
        Fake::compact(self, revision);
    }
}

#[test]
fn over_a_store_in_memory() {
    for seed in seeds() {
        let store = Fake::new();
        let memory = if seed % 2 == 0 { 4 << 20 } else { 1 << 30 };
        let options = Options { memory, page_bytes: 200_000, at_once: if seed % 3 == 0 { 1024 } else { 1 } };
        let hub = Hub::new(store.clone(), options);
        store.observe(hub.clone());
        run(seed, hub, store);
    }
}
