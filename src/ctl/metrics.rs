//! Reading the page of a member's metrics.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;

use super::survey::Seen;
use super::target::Target;
use crate::client::fetch;

/// A member's metrics, and what its answer shows of its clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Page {
    /// Empty if it does not answer or does not show them.
    pub(super) text: String,
    pub(super) clock: Option<Clock>,
}

/// By how many seconds a clock is ahead of this machine's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clock {
    pub(super) ahead: f64,
    /// By how much that may be wrong.
    pub(super) unsure: f64,
}

impl Clock {
    /// A member's clock from its answer to a scrape. One that does not send its clock has HTTP's date, which is in whole
    /// seconds and may be one second old.
    fn of(head: &str, asked: SystemTime, took: Duration) -> Option<Self> {
        let header = |wanted: &str| {
            let mut headers = head.lines().filter_map(|line| line.split_once(':'));
            headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
        };
        let clock = header("kvd-clock").and_then(|clock| clock.parse().ok());
        let (told, unsure) = match clock.filter(|clock: &f64| clock.is_finite()) {
            Some(clock) => (clock, 0.001),
            None => {
                let date = chrono::DateTime::parse_from_rfc2822(header("date")?).ok()?;
                (date.timestamp() as f64 + 0.5, 1.0)
            }
        };
        let asked = asked.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        let half = took.as_secs_f64() / 2.0;
        Some(Self { ahead: told - (asked + half), unsure: unsure + half })
    }

    /// By how many seconds the clocks differ at least.
    pub(super) fn surely_from(&self, other: &Clock) -> f64 {
        ((self.ahead - other.ahead).abs() - self.unsure - other.unsure).max(0.0)
    }
}

/// The clocks that surely differ from those of the others by more than a second, as texts: name, difference.
pub(super) fn wrong_clocks(seen: &[Seen], pages: &[Page]) -> Vec<(String, String)> {
    const MUCH: f64 = 1.0;
    let clocks = seen.iter().zip(pages).filter_map(|(seen, page)| Some((seen.name(), page.clock?)));
    let mut clocks: Vec<(String, Clock)> = clocks.collect();
    clocks.sort_by(|a, b| a.1.ahead.total_cmp(&b.1.ahead));
    // The one in the middle is right if a majority is.
    let Some((middle, right)) = clocks.get(clocks.len() / 2).cloned() else { return Vec::new() };
    let wrong = clocks.iter().filter(|(_, clock)| clock.surely_from(&right) > MUCH);
    wrong
        .map(|(name, clock)| {
            let difference = clock.ahead - right.ahead;
            let side = if difference > 0.0 { "ahead of" } else { "behind" };
            let digits = if clock.unsure + right.unsure < 1.0 { 1 } else { 0 };
            (name.clone(), format!("is about {:.digits$} s {side} that of {middle}", difference.abs()))
        })
        .collect()
}

/// By how many seconds any two of these clocks differ at most.
pub(super) fn most_apart(clocks: &[Clock]) -> f64 {
    let latest = clocks.iter().map(|clock| clock.ahead + clock.unsure).fold(f64::NEG_INFINITY, f64::max);
    let earliest = clocks.iter().map(|clock| clock.ahead - clock.unsure).fold(f64::INFINITY, f64::min);
    latest - earliest
}

/// The metrics of all members.
pub(super) async fn pages(target: &Target, seen: &[Seen]) -> Vec<Page> {
    let one = async |seen: &Seen| {
        let Some(url) = seen.member.client_ur_ls.first().filter(|_| seen.status.is_ok()) else {
            return Page::default();
        };
        let (asked, begun) = (SystemTime::now(), Instant::now());
        match fetch(&target.reach, url, "/metrics", target.command_timeout).await {
            Ok((head, text)) => Page { clock: Clock::of(&head, asked, begun.elapsed()), text },
            Err(_) => Page::default(),
        }
    };
    join_all(seen.iter().map(one)).await
}

/// The samples of a metric: labels and value.
pub(super) fn samples<'p>(page: &'p str, name: &'static str) -> impl Iterator<Item = (&'p str, f64)> {
    page.lines().filter_map(move |line| {
        let (sample, value) = line.rsplit_once(' ')?;
        let labels = sample.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('{'))?;
        Some((labels, value.parse().ok()?))
    })
}

/// The value of a metric without labels.
pub(super) fn single(page: &str, name: &'static str) -> Option<f64> {
    samples(page, name).find(|(labels, _)| labels.is_empty()).map(|(_, value)| value)
}

/// A label's value.
pub(super) fn label<'l>(labels: &'l str, name: &str) -> Option<&'l str> {
    let (_, rest) = labels.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

/// The buckets of a histogram over the labels that are wanted: bounds, and observations up to each, ascending.
pub(super) fn buckets(page: &str, name: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<(f64, f64)> {
    let mut below: Vec<(f64, f64)> = Vec::new();
    for line in page.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("_bucket{")) {
        let Some((labels, value)) = line.rsplit_once(' ').filter(|(labels, _)| is_wanted(labels)) else {
            continue;
        };
        let (Some(bound), Ok(value)) =
            (label(labels, "le").and_then(|le| le.parse().ok()), value.parse::<f64>())
        else {
            continue;
        };
        match below.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, sum)) => *sum += value,
            None => below.push((bound, value)),
        }
    }
    below.sort_by(|a, b| a.0.total_cmp(&b.0));
    below
}

/// The bound below which so large a part of at least `least` observations are.
pub(super) fn quantile(below: &[(f64, f64)], part: f64, least: f64) -> Option<f64> {
    let (_, all) = *below.last().filter(|(_, all)| *all >= least)?;
    below.iter().find(|(_, sum)| *sum >= all * part).map(|(bound, _)| *bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::proto::etcdserverpb::{Member, StatusResponse};

    #[test]
    fn a_clock_that_differs_is_found_and_one_that_may_not_is_left_alone() {
        let asked = UNIX_EPOCH + Duration::from_secs(1_796_000_000);
        let clock = |ahead: i64| {
            let date = chrono::DateTime::from_timestamp(1_796_000_000 + ahead, 0).expect("a time");
            let head = format!("HTTP/1.1 200 OK\r\nDate: {}\r\nx: y", date.format("%a, %d %b %Y %T GMT"));
            Clock::of(&head, asked, Duration::from_millis(100))
        };
        let seven = clock(7).expect("a clock");
        assert!((seven.ahead - 7.45).abs() < 1e-3 && (seven.unsure - 1.05).abs() < 1e-3, "{seven:?}");
        assert_eq!(Clock::of("HTTP/1.1 200 OK", asked, Duration::ZERO), None);
        let told = |clock: &str| {
            let head =
                format!("HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nkvd-clock: {clock}");
            Clock::of(&head, asked, Duration::from_millis(20)).expect("a clock")
        };
        let (right, late) = (told("1796000000.010"), told("1795999998.410"));
        assert!(right.ahead.abs() < 1e-3 && (right.unsure - 0.011).abs() < 1e-6, "{right:?}");
        assert!((most_apart(&[right, late]) - 1.622).abs() < 1e-3);
        let by_date = told("no clock");
        assert!(["NaN", "inf", "1e999"].iter().all(|absurd| told(absurd) == by_date), "{by_date:?}");
        let seen = |id: u64| Seen {
            member: Member { id, name: format!("m{id}"), ..Member::default() },
            status: Ok(StatusResponse::default()),
        };
        let seen = [seen(1), seen(2), seen(3)];
        let of = |clock: Option<Clock>| Page { text: String::new(), clock };
        let found = |ahead: [i64; 3]| wrong_clocks(&seen, &ahead.map(|ahead| of(clock(ahead))));
        assert_eq!(
            wrong_clocks(&seen, &[right, late, right].map(|clock| of(Some(clock)))),
            [("m2".to_string(), "is about 1.6 s behind that of m1".to_string())]
        );
        assert!(found([0, 1, 2]).is_empty(), "the date has no better resolution");
        assert_eq!(found([0, 60, 0]), [("m2".to_string(), "is about 60 s ahead of that of m3".to_string())]);
        assert_eq!(
            found([100, 100, 40]),
            [("m3".to_string(), "is about 60 s behind that of m1".to_string())]
        );
    }

    #[test]
    fn few_observations_say_nothing() {
        let of = |page: &str, part| quantile(&buckets(page, "x", |_| true), part, 100.0);
        let page = "x_bucket{le=\"1\"} 99\nx_bucket{le=\"+Inf\"} 99\n";
        assert_eq!(of(page, 0.5), None);
        let two = "x_bucket{To=\"a\",le=\"1\"} 60\nx_bucket{To=\"b\",le=\"1\"} 0\nx_bucket{To=\"a\",le=\"2\"} 60\n\
                   x_bucket{To=\"b\",le=\"2\"} 60\n";
        assert_eq!((of(two, 0.5), of(two, 0.99)), (Some(1.0), Some(2.0)));
        assert_eq!(buckets(two, "x", |labels| labels.contains("\"b\"")), [(1.0, 0.0), (2.0, 60.0)]);
        assert_eq!(single("a{b=\"c\"} 1\na 2\nab 3\n", "a"), Some(2.0));
    }
}
