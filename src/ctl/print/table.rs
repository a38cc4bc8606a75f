//! Tables: light lines, headings in capitals and centred, cells to the right, as etcdctl 3.7 draws them.

/// Draws a table with these columns.
pub(super) fn draw(columns: &[&str], rows: &[Vec<String>]) -> String {
    let headings: Vec<String> = columns.iter().map(|column| column.to_uppercase()).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| width(cell));
            cells.chain([width(&headings[at])]).max().unwrap_or_default()
        })
        .collect();
    let mut text = rule(&widths, ['┌', '┬', '┐']);
    text.push_str(&line(headings.iter().zip(&widths).map(|(heading, wide)| centred(heading, *wide))));
    if !rows.is_empty() {
        text.push_str(&rule(&widths, ['├', '┼', '┤']));
    }
    for row in rows {
        text.push_str(&line(row.iter().zip(&widths).map(|(cell, wide)| {
            let gap = " ".repeat(wide - width(cell));
            format!("{gap}{cell}")
        })));
    }
    text.push_str(&rule(&widths, ['└', '┴', '┘']));
    text
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn rule(widths: &[usize], [left, middle, right]: [char; 3]) -> String {
    let parts: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
    format!("{left}{}{right}\n", parts.join(&middle.to_string()))
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.map(|cell| format!(" {cell} ")).collect();
    format!("│{}│\n", cells.join("│"))
}

/// If the gap is odd, the extra space is on the right.
fn centred(text: &str, wide: usize) -> String {
    let gap = wide - width(text);
    format!("{}{text}{}", " ".repeat(gap / 2), " ".repeat(gap - gap / 2))
}
