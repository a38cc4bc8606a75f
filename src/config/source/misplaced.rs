//! Hints about keys of the file that stand in the wrong place. They read the text by its lines, as its author does.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::super::options;

/// The right table for a key that its own table does not have. A key added at the end of a file belongs to the file's
/// last table, which surprises users who meant a key without a table.
pub(super) fn belongs(text: &str, table: &str, key: &str) -> Option<String> {
    let spec = options::find_key(key).or_else(|| options::find(key)).filter(|spec| !spec.key.is_empty())?;
    let to = match spec.key.rsplit_once('.') {
        Some((its, _)) if its == table => return None,
        Some((its, key)) => format!("`{key}` belongs to [{its}]"),
        None => {
            let (at, first) = headings(text).next()?;
            format!("move it above the first table, {first} in line {}", line_of(text, at))
        }
    };
    Some(format!("it stands in the table [{table}]; {to}"))
}

/// The line of the place that a second one repeats: of the same key in the same table, or of the same heading.
pub(super) fn first_line_of(text: &str, root: &DeTable<'_>, second: &Range<usize>) -> Option<usize> {
    let heading_of = |at: usize| headings(text).take_while(|(start, _)| *start <= at).last();
    let own = heading_of(second.start);
    let is_heading = own.is_some_and(|(start, line)| second.start < start + line.len());
    if let (true, Some((start, line))) = (is_heading, own) {
        let first = headings(text).find(|(other, its)| *other < start && *its == line)?;
        return Some(line_of(text, first.0));
    }
    let key = text.get(second.clone())?.trim_matches(['"', '\'']);
    let mut same = Vec::new();
    places_of(root, key, &mut same);
    let table_of = |at: usize| heading_of(at).map(|(_, heading)| heading);
    same.retain(|at| *at < second.start && table_of(*at) == table_of(second.start));
    same.iter().max().map(|at| line_of(text, *at))
}

/// The positions of all keys of that name, in all tables.
fn places_of(table: &DeTable<'_>, key: &str, found: &mut Vec<usize>) {
    for (name, value) in table {
        if *name.get_ref() == *key {
            found.push(name.span().start);
        }
        if let DeValue::Table(inner) = value.get_ref() {
            places_of(inner, key, found);
        }
    }
}

/// The lines that begin tables: the position and the text of each.
fn headings(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line))
    });
    lines.map(|(start, line)| (start, line.split('#').next().unwrap_or(line).trim_end())).filter_map(
        |(start, line)| {
            let heading = line.trim_start();
            heading.starts_with('[').then_some((start + line.len() - heading.len(), heading))
        },
    )
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
