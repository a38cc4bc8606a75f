//! The results, as a table for people and as JSON for programs.

use crate::cases::{CASES, PARTS, TARGETS};
use serde_json::{Value, json};

/// A kind of figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Operations per second.
    Throughput,
    /// Half of the operations took no longer (seconds).
    Median,
    /// 99 of 100 operations took no longer (seconds).
    P99,
    /// The slowest operation (seconds).
    Slowest,
    /// User and system time of the server per operation, or, at rest, per minute (seconds).
    ServerCpu,
    /// The load generator's own (seconds).
    LoadCpu,
    /// Resident memory (bytes).
    Resident,
    /// Resident memory that no file backs (bytes).
    Anonymous,
    /// The most resident memory so far (bytes).
    Peak,
    /// The most anonymous memory that was seen (bytes).
    MostAnonymous,
    /// Allocated blocks of the data directory (bytes).
    Disk,
    /// `Disk` per byte of keys and values.
    DiskPerByte,
    /// How long it took (seconds).
    Time,
    /// From `kill -9` and a new start to the first answer (seconds).
    Return,
    /// The longest time without an acknowledged write (seconds).
    Gap,
    /// The same while the member that failed comes back.
    ReturnGap,
    /// Requests that a server refused or did not answer in time.
    Failed,
    /// Requests for which a server had no room, and that were repeated.
    Refused,
    /// The number of new terms.
    Elections,
}

/// The limit of a target.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// This fraction of etcd's figure.
    OfEtcd(f64),
    /// This value, in the metric's unit.
    Absolute(f64),
}

/// One figure of one run.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Name of the row: a case, or a part of one.
    pub row: &'static str,
    /// What the figure is.
    pub metric: Metric,
    /// In the metric's unit.
    pub value: f64,
}

impl Metric {
    fn title(self) -> &'static str {
        match self {
            Metric::Throughput => "throughput",
            Metric::Median => "p50",
            Metric::P99 => "p99",
            Metric::Slowest => "slowest",
            Metric::ServerCpu => "server CPU",
            Metric::LoadCpu => "(load's CPU)",
            Metric::Resident => "RSS",
            Metric::Anonymous => "anonymous RSS",
            Metric::Peak => "peak RSS",
            Metric::MostAnonymous => "peak anonymous RSS",
            Metric::Disk => "disk",
            Metric::DiskPerByte => "disk a byte",
            Metric::Time => "time",
            Metric::Gap => "write gap",
            Metric::Return => "restart",
            Metric::ReturnGap => "gap at its return",
            Metric::Failed => "failed requests",
            Metric::Refused => "refused and repeated",
            Metric::Elections => "elections",
        }
    }

    /// The value with a unit that fits its size.
    pub fn format(self, value: f64) -> String {
        match self {
            Metric::Throughput if value >= 10_000.0 => format!("{:.1}k/s", value / 1e3),
            Metric::Throughput => format!("{value:.0}/s"),
            Metric::Resident | Metric::Anonymous | Metric::Peak | Metric::MostAnonymous | Metric::Disk => {
                format!("{:.1} MB", value / 1e6)
            }
            Metric::DiskPerByte => format!("{value:.2}"),
            Metric::Failed | Metric::Refused | Metric::Elections => format!("{value:.0}"),
            _ if value >= 1.0 => format!("{value:.2} s"),
            _ if value >= 1e-3 => format!("{:.2} ms", value * 1e3),
            _ => format!("{:.1} us", value * 1e6),
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Metric::Throughput => "1/s",
            Metric::Resident | Metric::Anonymous | Metric::Peak | Metric::MostAnonymous | Metric::Disk => "B",
            Metric::DiskPerByte | Metric::Failed | Metric::Refused | Metric::Elections => "1",
            _ => "s",
        }
    }
}

/// One line of the report: the figures of all rounds, of etcd and of kvd.
struct Line {
    row: &'static str,
    metric: Metric,
    values: [Vec<f64>; 2],
}

/// All results. Programs are numbered: 0 is etcd, 1 is kvd.
pub struct Report {
    heading: Vec<String>,
    lines: Vec<Line>,
    failures: Vec<String>,
}

impl Report {
    /// An empty report; `heading` describes the comparison.
    pub fn new(heading: Vec<String>) -> Report {
        Report { heading, lines: Vec::new(), failures: Vec::new() }
    }

    /// Adds the figures of a run.
    pub fn add(&mut self, program: usize, samples: &[Sample]) {
        for sample in samples {
            let same = |line: &&mut Line| line.row == sample.row && line.metric == sample.metric;
            if let Some(line) = self.lines.iter_mut().find(same) {
                line.values[program].push(sample.value);
                continue;
            }
            let mut line = Line { row: sample.row, metric: sample.metric, values: Default::default() };
            line.values[program].push(sample.value);
            self.lines.push(line);
        }
    }

    /// Records a run that failed.
    pub fn fail(&mut self, what: String) {
        self.failures.push(what);
    }

    /// Whether nothing failed and every target was reached.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && self.lines.iter().all(|line| line.is_met() != Some(false))
    }

    /// The report as a Markdown table, which is also readable on a terminal.
    pub fn markdown(&self) -> String {
        let header =
            ["case", "figure", "etcd", "kvd", "kvd/etcd", "of the rounds", "target", ""].map(str::to_owned);
        let mut rows = vec![header];
        let mut last = "";
        for line in &self.lines {
            let mut cells = line.cells();
            if line.row == last {
                cells[0].clear();
            }
            last = line.row;
            rows.push(cells);
        }
        let width = |column: usize| rows.iter().map(|cells| cells[column].len()).max().unwrap_or(0);
        let widths: [usize; 8] = std::array::from_fn(width);
        let mut text: String = self.heading.iter().map(|line| format!("{line}\n")).collect();
        for (index, cells) in rows.iter().enumerate() {
            let cell = |(column, cell): (usize, &String)| match column {
                0 | 1 | 7 => format!("| {cell:<width$} ", width = widths[column]),
                _ => format!("| {cell:>width$} ", width = widths[column]),
            };
            text += "\n";
            text += &cells.iter().enumerate().map(cell).collect::<String>();
            text += "|";
            if index == 0 {
                text += "\n";
                text += &widths.map(|width| format!("|{}", "-".repeat(width + 2))).concat();
                text += "|";
            }
        }
        text += "\n";
        for failure in &self.failures {
            text += &format!("\nFAILED: {failure}\n");
        }
        text
    }

    /// The report with the figures of every round.
    pub fn json(&self) -> Value {
        let lines: Vec<Value> = self.lines.iter().map(Line::json).collect();
        json!({ "heading": self.heading, "rows": lines, "failures": self.failures })
    }
}

impl Line {
    fn ratio(&self) -> Option<f64> {
        let [etcd, kvd] = [median(&self.values[0])?, median(&self.values[1])?];
        (etcd > 0.0).then_some(kvd / etcd)
    }

    fn target(&self) -> Option<Limit> {
        let fits = |(row, metric, _): &&(&str, Metric, Limit)| *row == self.row && *metric == self.metric;
        TARGETS.iter().find(fits).map(|(_, _, limit)| *limit)
    }

    fn is_met(&self) -> Option<bool> {
        match self.target()? {
            Limit::OfEtcd(ratio) => Some(self.ratio()? <= ratio),
            Limit::Absolute(most) => Some(median(&self.values[1])? <= most),
        }
    }

    /// The ratio in each round, lowest and highest.
    fn spread(&self) -> Option<(f64, f64)> {
        let pairs = self.values[0].iter().zip(&self.values[1]).filter(|(etcd, _)| **etcd > 0.0);
        let mut ratios: Vec<f64> = pairs.map(|(etcd, kvd)| kvd / etcd).collect();
        ratios.sort_by(f64::total_cmp);
        Some((*ratios.first()?, *ratios.last()?))
    }

    fn cells(&self) -> [String; 8] {
        let value = |values: &[f64]| median(values).map_or("-".to_owned(), |value| self.metric.format(value));
        let verdict = match self.is_met() {
            Some(true) => "ok",
            Some(false) => "MISSED",
            None => "",
        };
        [
            title(self.row).to_owned(),
            self.metric.title().to_owned(),
            value(&self.values[0]),
            value(&self.values[1]),
            self.ratio().map_or("-".to_owned(), |ratio| format!("{ratio:.2}x")),
            self.spread().map_or(String::new(), |(low, high)| format!("{low:.2}-{high:.2}")),
            match self.target() {
                Some(Limit::OfEtcd(ratio)) => format!("<= {ratio:.2}x"),
                Some(Limit::Absolute(most)) => format!("<= {}", self.metric.format(most)),
                None => String::new(),
            },
            verdict.to_owned(),
        ]
    }

    fn json(&self) -> Value {
        let (ratio, most) = match self.target() {
            Some(Limit::OfEtcd(ratio)) => (Some(ratio), None),
            Some(Limit::Absolute(most)) => (None, Some(most)),
            None => (None, None),
        };
        json!({
            "row": self.row,
            "metric": self.metric.title(),
            "unit": self.metric.unit(),
            "etcd": { "median": median(&self.values[0]), "rounds": self.values[0] },
            "kvd": { "median": median(&self.values[1]), "rounds": self.values[1] },
            "ratio": self.ratio(),
            "target": ratio,
            "most": most,
            "met": self.is_met(),
        })
    }
}

fn title(row: &'static str) -> &'static str {
    let case = CASES.iter().find(|case| case.id == row).map(|case| case.title);
    let part = || PARTS.iter().find(|(id, _)| *id == row).map(|(_, title)| *title);
    case.or_else(part).unwrap_or(row)
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}
