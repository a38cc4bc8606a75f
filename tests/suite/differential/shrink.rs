//! Shortens a failing run: removes ever smaller pieces as long as it still fails.

use super::op::Op;
use super::run::{Difference, Pair};
use std::time::{Duration, Instant};

/// Fresh servers cost about a second, so the search is bounded by time.
const BUDGET: Duration = Duration::from_secs(120);

/// The difference in the shortest failing run that was found; `steps` fails at its last step.
pub async fn shrink(pair: &Pair, steps: &[Op]) -> String {
    let start = Instant::now();
    let mut shortest = steps.to_vec();
    let mut shown: Option<Difference> = None;
    let mut piece = shortest.len() / 2;
    while piece > 0 && start.elapsed() < BUDGET {
        let mut from = 0;
        // The last step is the one that shows the difference.
        while from + piece < shortest.len() && start.elapsed() < BUDGET {
            let mut tried = shortest.clone();
            tried.drain(from..from + piece);
            match pair.run(&tried).await {
                Err(difference) => {
                    tried.truncate(difference.step + 1);
                    shortest = tried;
                    shown = Some(difference);
                }
                Ok(()) => from += piece,
            }
        }
        piece /= 2;
    }
    match shown {
        Some(difference) => format!("shortest run found, {} steps:\n{difference}", shortest.len()),
        None => "no shorter run fails".to_owned(),
    }
}
