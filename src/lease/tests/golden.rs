//! Stories of leases in time. A line is a command; the indented lines below it are its results. `KVD_BLESS=1` writes
//! the actual results into the files.

use super::*;

const STORIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/lessor");

struct Story {
    world: Arc<World>,
    lessor: Arc<Lessor>,
    task: tokio::task::JoinHandle<()>,
}

impl Story {
    fn new() -> Self {
        let world = World::new();
        let (lessor, task) = world.start();
        Self { world, lessor, task }
    }

    async fn run(&mut self, command: &str) -> Vec<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let number = |index: usize| words[index].parse::<i64>().expect("a number");
        let mut said = Vec::new();
        match words[0] {
            "grant" => self.world.grant(number(1), number(2)),
            "lead" => self.lessor.promote(number(1) as u64, self.world.claim()),
            "follow" => self.lessor.demote(),
            "restart" => {
                self.task.abort();
                (self.lessor, self.task) = self.world.start();
            }
            "renew" => self.renew(number(1)),
            "ttl" => said.push(match self.lessor.time_to_live(number(1)) {
                Ok(Some(time)) => format!("{}s of {}s", time.remaining, time.granted),
                Ok(None) => "no such lease".to_string(),
                Err(refusal) => refusal.to_string(),
            }),
            "leases" => said.push(format!("{:?}", self.lessor.by_expiry())),
            "pass" => tokio::time::sleep(Duration::from_secs_f64(words[1].parse().expect("seconds"))).await,
            // Like a process that was stopped: time passes, but no task runs.
            "freeze" => tokio::time::advance(Duration::from_secs(number(1) as u64)).await,
            "clock" => *self.world.clock_step_ms.lock() += number(1) * 1000,
            "consensus" => {
                *self.world.consensus.lock() = match words[1] {
                    "works" => Consensus::Works,
                    "fails" => Consensus::Fails,
                    _ => Consensus::Stalls,
                }
            }
            "leadership" => *self.world.leads.lock() = words[1] == "holds",
            other => panic!("no command {other}"),
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        said.append(&mut self.world.log.lock());
        said
    }

    /// The answer is printed when it comes.
    fn renew(&self, id: LeaseId) {
        let (lessor, world) = (self.lessor.clone(), self.world.clone());
        tokio::spawn(async move {
            let outcome = renewed(&lessor, id).await;
            world.note(&format!("renewal of {id}: {outcome}"));
        });
    }
}

async fn play(script: &str) -> String {
    let mut story = Story::new();
    let mut played = String::new();
    for line in script.lines().filter(|line| !line.starts_with("    ")) {
        played.push_str(line);
        played.push('\n');
        if !line.is_empty() && !line.starts_with('#') {
            for said in story.run(line).await {
                played.push_str(&format!("    {said}\n"));
            }
        }
    }
    played
}

#[test]
fn stories() {
    let mut paths: Vec<_> = std::fs::read_dir(STORIES).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let script = std::fs::read_to_string(&path).unwrap();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let played = runtime.block_on(play(&script));
        if std::env::var_os("KVD_BLESS").is_some() {
            std::fs::write(&path, played).unwrap();
        } else {
            assert_eq!(played, script, "{}", path.display());
        }
    }
}
