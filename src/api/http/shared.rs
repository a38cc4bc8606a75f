//! A page that is not rendered more often than somebody can use it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

/// How many requests in a row get a page of their own.
const BURST: u32 = 20;

/// How old a page may be that others have got before, once more requests come than that.
const AGE: Duration = Duration::from_millis(100);

/// Renders a page for each request; beyond a burst of them at most once in [`AGE`], so that a flood of requests costs
/// neither time nor memory that writers need.
#[derive(Default)]
pub(super) struct SharedPage(Mutex<State>);

#[derive(Default)]
struct State {
    page: Bytes,
    /// How many were rendered since there was last a pause.
    rendered: u32,
    /// When what was rendered was last reduced by one.
    reduced: Option<Instant>,
}

impl SharedPage {
    /// The page at the time `now`.
    pub fn get(&self, now: Instant, render: impl FnOnce() -> String) -> Bytes {
        // The lock is held while the page is rendered: whoever waits for it would render the same one.
        let mut state = self.0.lock();
        let reduced = *state.reduced.get_or_insert(now);
        let passed = now.saturating_duration_since(reduced).as_millis() / AGE.as_millis();
        if let Ok(passed @ 1..) = u32::try_from(passed) {
            state.rendered = state.rendered.saturating_sub(passed);
            state.reduced = Some(now);
        }
        if state.rendered < BURST {
            state.rendered += 1;
            state.page = render().into();
        }
        state.page.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_shares_pages_and_a_single_request_gets_its_own() {
        let (page, begun) = (SharedPage::default(), Instant::now());
        let mut rendered = 0;
        let mut get = |after_ms: u64| {
            let render = || {
                rendered += 1;
                rendered.to_string()
            };
            page.get(begun + Duration::from_millis(after_ms), render)
        };
        let first: Vec<Bytes> = (0..1000).map(|_| get(0)).collect();
        assert_eq!(first[..3], ["1", "2", "3"].map(Bytes::from));
        assert!(first[20..].iter().all(|page| page == "20"), "the rest shares the last one");
        assert_eq!([get(99), get(100), get(101), get(150), get(201)], ["20", "21", "21", "21", "22"]);
        assert_eq!([get(10_000), get(10_000)], ["23", "24"], "after a pause each has its own again");
    }
}
