//! The requests, one a line of `steps.txt`: method and path, headers divided by semicolons, body. `POST:2` is left after two
//! lines of the answer, which does not end by itself. `$token` and `$learner`
//! stand for the last token and the last added member that this server has answered.

/// A request.
pub struct Step<'t> {
    pub method: &'t str,
    /// How many lines of the answer are read; `None`: all.
    pub lines: Option<usize>,
    pub path: &'t str,
    /// Lines with their ends.
    pub headers: String,
    pub body: &'t str,
}

/// All requests, in order.
pub fn steps() -> Vec<Step<'static>> {
    let lines = include_str!("steps.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(step).collect()
}

fn step(line: &str) -> Step<'_> {
    let mut parts = line.splitn(3, '|');
    let mut part = || parts.next().unwrap_or_default().trim();
    let (request, headers) = (part(), part());
    let (method, path) = request.split_once(' ').unwrap_or_else(|| panic!("no request: {line}"));
    let (method, lines) = match method.split_once(':') {
        Some((method, lines)) => (method, Some(lines.parse().expect("a number of lines"))),
        None => (method, None),
    };
    let headers = headers.split(';').filter(|header| !header.is_empty());
    Step {
        method,
        lines,
        path,
        headers: headers.map(|header| format!("{header}\r\n")).collect(),
        body: part(),
    }
}
