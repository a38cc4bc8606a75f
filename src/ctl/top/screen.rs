//! The screen: members, curves, prefixes. It is readable with 80 columns and 24 lines.

use std::collections::VecDeque;

use super::figures::{Row, View};
use super::terminal::{Line, Look};
use crate::config::format_duration;

/// Titles and widths of the columns: 79 characters with a space between them.
const COLUMNS: [(&str, usize); 10] = [
    ("NAME", 10),
    ("ROLE", 8),
    ("WRITES/S", 8),
    ("P99", 6),
    ("READS/S", 8),
    ("P99", 6),
    ("FLUSH", 6),
    ("BEHIND", 6),
    ("WATCH", 6),
    ("MEMORY", 6),
];

/// A member that is further behind is shown in another colour.
const BEHIND: u64 = 1000;

/// Lines of the curves without their titles.
const CURVES: usize = 6;

/// The lines of a screen of this size; what does not fit is left out from the end, but for the last line.
pub(super) fn lines(view: &View, (wide, high): (usize, usize)) -> Vec<Line> {
    let line = |text: String, look| Line { text, look };
    let trouble = view.trouble.as_ref().map(|why| format!("no answer: {why}")).unwrap_or_default();
    let titles = COLUMNS.map(|(title, _)| title.to_string());
    let mut lines = vec![
        line(heading(view), Look::Bold),
        line(trouble, Look::Bad),
        line(format!("{:wide$}", columns(&titles)), Look::Reversed),
    ];
    lines.extend(view.rows.iter().map(member));
    lines.push(Line::default());
    lines.extend(curves(view, wide));
    if let Some(hot) = &view.hot {
        lines.push(Line::default());
        lines.push(line("changes/s by prefix".to_string(), Look::Bold));
        let shown = hot.iter().map(|(prefix, rate)| format!("{:>8}  {prefix}", short(*rate)));
        lines.extend(shown.map(|text| line(text, Look::Plain)));
    }
    lines.resize(high.saturating_sub(1), Line::default());
    lines.push(line(format!("every {}   q: quit", format_duration(view.interval)), Look::Dim));
    lines
}

fn heading(view: &View) -> String {
    let leader = view.rows.iter().find(|row| row.role == "leader");
    let leader = leader.map_or("no leader".to_string(), |row| format!("leader {}", row.name));
    let count = view.rows.len();
    let members = if count == 1 { "member" } else { "members" };
    let mut line = format!(
        "{count} {members}, {leader}, term {}, version {}, revision {}",
        view.term, view.version, view.revision
    );
    let mut add = |count: Option<u64>, what: &str| {
        line.extend(count.map(|count| format!(", {} {what}", short(count as f64))));
    };
    add(view.keys, "keys");
    add(view.leases, "leases");
    line
}

/// Names to the left, numbers to the right.
fn columns(cells: &[String]) -> String {
    let cells = cells.iter().zip(COLUMNS).enumerate().map(|(at, (cell, (_, width)))| {
        let cell: String = cell.chars().take(width).collect();
        if at < 2 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
    });
    cells.collect::<Vec<_>>().join(" ")
}

fn member(row: &Row) -> Line {
    let unknown = || "-".to_string();
    let number = |value: Option<f64>| value.map_or_else(unknown, short);
    let time = |value: Option<f64>| value.map_or_else(unknown, seconds);
    let whole = |value: Option<u64>| value.map_or_else(unknown, |value| short(value as f64));
    if row.role.is_empty() {
        let text = columns(&[row.name.clone(), "silent".to_string()]);
        return Line { text, look: Look::Bad };
    }
    let text = columns(&[
        row.name.clone(),
        row.role.to_string(),
        number(row.writes),
        time(row.write_time),
        number(row.reads),
        time(row.read_time),
        time(row.flush_time),
        short(row.behind as f64),
        whole(row.watchers),
        whole(row.memory),
    ]);
    let look = if row.behind > BEHIND { Look::Doubtful } else { Look::Plain };
    Line { text, look }
}

/// Two curves beside each other, with their titles.
fn curves(view: &View, wide: usize) -> Vec<Line> {
    let each = (wide.saturating_sub(2) / 2).max(1);
    let title = |name: &str, values: &VecDeque<u64>| {
        let last = values.back().copied().unwrap_or_default();
        let most = values.iter().copied().max().unwrap_or_default();
        format!("{name}: {} now, {} at most", short(last as f64), short(most as f64))
    };
    let titles = format!("{:each$}  {}", title("writes/s", &view.writes), title("reads/s", &view.reads));
    let (left, right) = (curve(&view.writes, each), curve(&view.reads, each));
    let rows = left.into_iter().zip(right).map(|(left, right)| format!("{left}  {right}"));
    let rows = rows.map(|text| Line { text, look: Look::Plain });
    std::iter::once(Line { text: titles, look: Look::Bold }).chain(rows).collect()
}

/// Columns of blocks, each up to eight for a line; the newest value is on the right.
fn curve(values: &VecDeque<u64>, wide: usize) -> Vec<String> {
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown: Vec<u64> = values.iter().copied().skip(values.len().saturating_sub(wide)).collect();
    let most = shown.iter().copied().max().unwrap_or_default().max(1);
    let full = (CURVES * 8) as u64;
    let row = |row: usize| {
        let below = ((CURVES - 1 - row) * 8) as u64;
        // Something that is not nothing is at least seen.
        let level = |value: u64| (value * full).div_ceil(most).saturating_sub(below).min(8) as usize;
        let blocks: String = shown.iter().map(|value| BLOCKS[level(*value)]).collect();
        format!("{blocks:>wide$}")
    };
    (0..CURVES).map(row).collect()
}

/// A number with at most three digits before its unit.
fn short(value: f64) -> String {
    const UNITS: [&str; 5] = ["", "k", "M", "G", "T"];
    let (mut value, mut unit) = (value, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        _ if value >= 9.95 || (unit == 0 && value.fract() == 0.0) => format!("{value:.0}{}", UNITS[unit]),
        _ => format!("{value:.1}{}", UNITS[unit]),
    }
}

/// The bound of a time.
fn seconds(value: f64) -> String {
    match value {
        value if value.is_infinite() => "long".to_string(),
        value if value < 0.001 => format!("{:.0}us", value * 1e6),
        value if value < 1.0 => format!("{:.0}ms", value * 1e3),
        value => format!("{value:.1}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::figures::tests::look;
    use super::*;

    fn view(hot: bool) -> View {
        let (mut view, begun) = (View::new(Duration::from_secs(2), hot), Instant::now());
        view.add(look(begun, 0, 1000, 500));
        view.add(look(begun, 2, 1200, 500));
        view
    }

    fn texts(view: &View, size: (usize, usize)) -> Vec<String> {
        lines(view, size).into_iter().map(|line| line.text.trim_end().to_string()).collect()
    }

    #[test]
    fn a_cluster_fits_on_the_smallest_usual_terminal() {
        let shown = texts(&view(false), (80, 24));
        assert_eq!(
            shown[..5],
            [
                "2 members, leader m1, term 4, version 3.7.3, revision 77, 1.2k keys, 3 leases",
                "",
                "NAME       ROLE     WRITES/S    P99  READS/S    P99  FLUSH BEHIND  WATCH MEMORY",
                "m1         leader        100    1ms      300      -      -     10     12    50M",
                "m2         silent"
            ]
        );
        assert_eq!(shown[6], "writes/s: 100 now, 100 at most           reads/s: 300 now, 300 at most");
        assert!(shown[12].ends_with('█') && shown[12].chars().nth(38) == Some('█'), "curves: {shown:?}");
        assert_eq!((shown.len(), shown[23].as_str()), (24, "every 2s   q: quit"));
        assert!(shown.iter().all(|line| line.chars().count() <= 80), "{shown:?}");
    }

    #[test]
    fn troubles_and_prefixes_are_shown_and_no_size_is_too_small() {
        let mut view = view(true);
        view.trouble("Error: connection refused");
        view.hot = Some(vec![("/registry/pods/".to_string(), 12.25)]);
        let shown = texts(&view, (80, 24));
        assert_eq!(shown[1], "no answer: connection refused");
        assert_eq!(shown[14..16], ["changes/s by prefix", "      12  /registry/pods/"]);
        for (wide, high) in [(1, 1), (10, 3), (40, 8), (300, 100)] {
            assert_eq!(texts(&view, (wide, high)).len(), high);
        }
    }

    #[test]
    fn curves_end_with_the_newest_value() {
        let values = VecDeque::from([0, 1, 480]);
        let rows = curve(&values, 5);
        assert_eq!((rows[0].as_str(), rows[CURVES - 1].as_str()), ("    █", "   ▁█"));
        assert_eq!(curve(&VecDeque::from([1, 2, 3]), 2)[CURVES - 1], "██", "older ones go out on the left");
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.5, 9.94, 10.4, 999.0, 999.6, 1234.0, 50e6].map(short);
        assert_eq!(numbers, ["0", "0.5", "9.9", "10", "999", "1.0k", "1.2k", "50M"]);
        let times = [0.0005, 0.032, 1.5, f64::INFINITY].map(seconds);
        assert_eq!(times, ["500us", "32ms", "1.5s", "long"]);
    }
}
