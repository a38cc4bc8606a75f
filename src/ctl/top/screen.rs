//! The screen: members, curves, prefixes. It is readable with 80 columns and 24 lines.

use std::collections::VecDeque;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Flex, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{self, RenderDirection, Sparkline, Table};

use super::figures::{Row, View};
use crate::config::format_duration;

/// Titles and widths of the columns: 79 characters with a space between them.
const COLUMNS: [(&str, u16); 10] = [
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

/// Draws what there is room for: what does not fit is left out from the end, but for the last line.
pub(super) fn draw(view: &View, frame: &mut Frame<'_>) {
    let mut rest = frame.area();
    let last = Rect { y: rest.bottom().saturating_sub(1), height: rest.height.min(1), ..rest };
    rest.height -= last.height;
    let trouble = view.trouble.as_ref().map(|why| format!("no answer: {why}")).unwrap_or_default();
    frame.render_widget(heading(view).bold(), below(&mut rest, 1));
    frame.render_widget(trouble.red(), below(&mut rest, 1));
    frame.render_widget(members(&view.rows), below(&mut rest, 1 + view.rows.len()));
    below(&mut rest, 1);
    let (titles, lines) = (below(&mut rest, 1), below(&mut rest, CURVES));
    let curves = [("writes/s", &view.writes), ("reads/s", &view.reads)];
    for ((title, line), (name, values)) in halves(titles).into_iter().zip(halves(lines)).zip(curves) {
        frame.render_widget(curve_title(name, values).bold(), title);
        frame.render_widget(curve(values), line);
    }
    if let Some(hot) = &view.hot {
        below(&mut rest, 1);
        frame.render_widget("changes/s by prefix".bold(), below(&mut rest, 1));
        let shown = hot.iter().map(|(prefix, rate)| Line::from(format!("{:>8}  {prefix}", short(*rate))));
        frame.render_widget(Text::from_iter(shown), rest);
    }
    let hint = format!("every {}   q: quit", format_duration(view.interval));
    frame.render_widget(hint.dim(), last);
}

/// Takes so many lines from the top of what is left, or what is left.
fn below(rest: &mut Rect, lines: usize) -> Rect {
    let height = rest.height.min(u16::try_from(lines).unwrap_or(u16::MAX));
    let taken = Rect { height, ..*rest };
    (rest.y, rest.height) = (rest.y + height, rest.height - height);
    taken
}

/// Two parts beside each other with two columns between them.
fn halves(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Fill(1); 2]).spacing(2).areas(area)
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
fn members(rows: &[Row]) -> Table<'static> {
    let cells = |cells: Vec<String>| {
        let cells = cells.into_iter().enumerate().map(|(at, cell)| {
            let alignment = if at < 2 { Alignment::Left } else { Alignment::Right };
            Text::from(cell).alignment(alignment)
        });
        widgets::Row::new(cells)
    };
    let titles = COLUMNS.map(|(title, _)| title.to_string()).to_vec();
    let widths = COLUMNS.map(|(_, width)| Constraint::Length(width));
    let rows = rows.iter().map(|row| cells(texts(row)).style(look(row)));
    Table::new(rows, widths).header(cells(titles).reversed()).flex(Flex::Start)
}

fn look(row: &Row) -> Style {
    match row {
        row if row.role.is_empty() => Style::new().red(),
        row if row.behind > BEHIND => Style::new().yellow(),
        _ => Style::new(),
    }
}

fn texts(row: &Row) -> Vec<String> {
    let unknown = || "-".to_string();
    let number = |value: Option<f64>| value.map_or_else(unknown, short);
    let time = |value: Option<f64>| value.map_or_else(unknown, seconds);
    let whole = |value: Option<u64>| value.map_or_else(unknown, |value| short(value as f64));
    if row.role.is_empty() {
        return vec![row.name.clone(), "silent".to_string()];
    }
    vec![
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
    ]
}

fn curve_title(name: &str, values: &VecDeque<u64>) -> String {
    let last = values.back().copied().unwrap_or_default();
    let most = values.iter().copied().max().unwrap_or_default();
    format!("{name}: {} now, {} at most", short(last as f64), short(most as f64))
}

/// The newest value is on the right.
fn curve(values: &VecDeque<u64>) -> Sparkline<'static> {
    let most = values.iter().copied().max().unwrap_or_default().max(1);
    // Something that is not nothing is at least seen.
    let least = most.div_ceil(CURVES as u64 * 8);
    let seen = values.iter().rev().map(move |value| if *value == 0 { 0 } else { least.max(*value) });
    Sparkline::default().data(seen).max(most).direction(RenderDirection::RightToLeft)
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

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::buffer::Buffer;
    use ratatui::style::{Color, Modifier};
    use ratatui::widgets::Widget;

    use super::super::figures::tests::look;
    use super::*;

    fn view(hot: bool) -> View {
        let (mut view, begun) = (View::new(Duration::from_secs(2), hot), Instant::now());
        view.add(look(begun, 0, 1000, 500));
        view.add(look(begun, 2, 1200, 500));
        view
    }

    /// The lines of a screen of this size, and the style of each line's first character.
    fn styled(view: &View, (wide, high): (u16, u16)) -> Vec<(String, Style)> {
        let mut terminal = Terminal::new(TestBackend::new(wide, high)).expect("a terminal");
        terminal.draw(|frame| draw(view, frame)).expect("drawn");
        let buffer = terminal.backend().buffer();
        let line = |y| {
            let text: String = (0..wide).map(|x| buffer[(x, y)].symbol()).collect();
            (text.trim_end().to_string(), buffer[(0, y)].style())
        };
        (0..high).map(line).collect()
    }

    fn texts(view: &View, size: (u16, u16)) -> Vec<String> {
        styled(view, size).into_iter().map(|(text, _)| text).collect()
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
            assert!(!texts(&view, (wide, high))[0].is_empty(), "{wide} x {high}");
        }
        let lines = styled(&view, (80, 24));
        assert_eq!((lines[1].1.fg, lines[4].1.fg), (Some(Color::Red), Some(Color::Red)));
        assert!(lines[2].1.add_modifier.contains(Modifier::REVERSED), "{:?}", lines[2]);
        view.rows[0].behind = BEHIND + 1;
        assert_eq!(styled(&view, (80, 24))[3].1.fg, Some(Color::Yellow));
    }

    #[test]
    fn curves_end_with_the_newest_value() {
        let draw = |values: &[u64], wide: u16| {
            let area = Rect::new(0, 0, wide, CURVES as u16);
            let mut buffer = Buffer::empty(area);
            curve(&values.iter().copied().collect()).render(area, &mut buffer);
            let row = |y| (0..wide).map(|x| buffer[(x, y)].symbol()).collect::<String>();
            (row(0), row(CURVES as u16 - 1))
        };
        assert_eq!(draw(&[0, 1, 480], 5), ("    █".to_string(), "   ▁█".to_string()));
        assert_eq!(draw(&[1, 2, 3], 2).1, "██", "older ones go out on the left");
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.5, 9.94, 10.4, 999.0, 999.6, 1234.0, 50e6].map(short);
        assert_eq!(numbers, ["0", "0.5", "9.9", "10", "999", "1.0k", "1.2k", "50M"]);
        let times = [0.0005, 0.032, 1.5, f64::INFINITY].map(seconds);
        assert_eq!(times, ["500us", "32ms", "1.5s", "long"]);
    }
}
