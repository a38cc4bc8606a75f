//! The expected output of a command.
//!
//! A line is literal except for patterns in angle brackets: `<id>` is a member's id and `<id:NAME>` keeps it as a
//! variable, `<n>` is a number, `<any>` is anything, `<set:a,b>` the same parts between commas in any order. A line
//! `...` stands for any number of lines. Consecutive blanks, or characters of table lines, count as one: the width of a
//! table depends on its content.

use std::collections::BTreeMap;

pub type Variables = BTreeMap<String, String>;

/// One expected line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub text: String,
    /// Consecutive lines with this flag may come in any order.
    pub any_order: bool,
}

/// Compares output with what is expected, and keeps the named values.
///
/// # Errors
/// The first line that does not match.
pub fn compare(expected: &[Expected], printed: &str, variables: &mut Variables) -> Result<(), String> {
    let printed: Vec<String> = printed.lines().map(squeezed).collect();
    match fits(expected, &printed, variables) {
        Some(found) => {
            *variables = found;
            Ok(())
        }
        None => {
            let wanted: Vec<&str> = expected.iter().map(|line| line.text.as_str()).collect();
            Err(format!("--- expected\n{}\n--- printed\n{}\n---", wanted.join("\n"), printed.join("\n")))
        }
    }
}

fn fits(expected: &[Expected], printed: &[String], variables: &Variables) -> Option<Variables> {
    let Some((first, rest)) = expected.split_first() else {
        return printed.iter().all(String::is_empty).then(|| variables.clone());
    };
    if first.text == "..." {
        return (0..=printed.len()).find_map(|skipped| fits(rest, &printed[skipped..], variables));
    }
    if first.any_order {
        let group = expected.iter().take_while(|line| line.any_order).count();
        // Each line of the group may be the next line of the output.
        return (0..group).find_map(|pick| {
            let mut left = expected.to_vec();
            let picked = left.remove(pick);
            let found = line_fits(&picked.text, printed.first()?, variables)?;
            fits(&left, &printed[1..], &found)
        });
    }
    let found = line_fits(&first.text, printed.first()?, variables)?;
    fits(rest, &printed[1..], &found)
}

/// The variables after a line that matches.
fn line_fits(pattern: &str, line: &str, variables: &Variables) -> Option<Variables> {
    let mut found = variables.clone();
    rest_fits(&squeezed(substituted(pattern, variables)), line, &mut found).then_some(found)
}

fn substituted(pattern: &str, variables: &Variables) -> String {
    let mut text = pattern.to_string();
    for (name, value) in variables {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    text
}

fn rest_fits(pattern: &str, line: &str, found: &mut Variables) -> bool {
    let Some((literal, (token, after))) = next_token(pattern) else { return pattern == line };
    let Some(line) = line.strip_prefix(literal) else { return false };
    let (kind, name) = token.split_once(':').unwrap_or((token, ""));
    // Longest first: a number or an id is never split.
    for end in (0..=line.len()).rev().filter(|end| line.is_char_boundary(*end)) {
        let part = &line[..end];
        let fits = match kind {
            "id" => !part.is_empty() && part.len() <= 16 && part.bytes().all(|b| b.is_ascii_hexdigit()),
            "n" => !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()),
            "set" => same_parts(part, name),
            _ => true,
        };
        if fits && rest_fits(after, &line[end..], found) {
            if kind == "id" && !name.is_empty() {
                found.insert(name.to_string(), part.to_string());
            }
            return true;
        }
    }
    false
}

fn next_token(pattern: &str) -> Option<(&str, (&str, &str))> {
    let start = ["<id", "<n>", "<any>", "<set:"].iter().filter_map(|token| pattern.find(token)).min()?;
    let end = start + pattern[start..].find('>')?;
    Some((&pattern[..start], (&pattern[start + 1..end], &pattern[end + 1..])))
}

fn same_parts(one: &str, other: &str) -> bool {
    let sorted = |text: &str| {
        let mut parts: Vec<String> = text.split(',').map(str::to_owned).collect();
        parts.sort();
        parts
    };
    sorted(one) == sorted(other)
}

/// Consecutive blanks or characters of table lines count as one; blanks at the end do not count.
fn squeezed(line: impl AsRef<str>) -> String {
    let mut out = String::new();
    for c in line.as_ref().trim_end().chars() {
        if !(matches!(c, ' ' | '─' | '-') && out.ends_with(c)) {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &[&str], printed: &str) -> Option<Variables> {
        let line = |text: &&str| Expected {
            text: text.trim_start_matches('~').to_string(),
            any_order: text.starts_with('~'),
        };
        let expected: Vec<Expected> = expected.iter().map(line).collect();
        let mut variables = Variables::from([("CLUSTER".to_string(), "35d99f7f50aa4509".to_string())]);
        compare(&expected, printed, &mut variables).ok().map(|()| variables)
    }

    #[test]
    fn ids_are_kept_and_known_ones_compared() {
        let pattern = ["Member <id:NODE02> added to cluster ${CLUSTER}", "", "NAME=\"<set:b=2,a=1>\""];
        let printed = "Member 4c0878749a891a5f added to cluster 35d99f7f50aa4509\n\nNAME=\"a=1,b=2\"\n";
        assert_eq!(check(&pattern, printed).unwrap()["NODE02"], "4c0878749a891a5f");
        assert_eq!(check(&pattern, &printed.replace("a=1", "a=3")), None);
        assert_eq!(check(&pattern, &printed.replace("35d9", "35d8")), None);
        assert_eq!(check(&pattern, &printed.replace("4c08", "not-an-id")), None);
    }

    #[test]
    fn tables_and_orders() {
        let pattern = ["+-+", "...", "~| b | <n> |", "~| a | <n> |", "+-+"];
        assert!(check(&pattern, "+----+\n| x |\n|  a  | 1 |\n|  b |  22 |\n+-----+\n").is_some());
        assert!(check(&pattern, "+----+\n|  b |  22 |\n|  a  | 1 |\n+-----+").is_some());
        assert!(check(&pattern, "+----+\n|  b |  22 |\n|  b  | 1 |\n+-----+").is_none());
        assert!(check(&pattern, "+----+\n|  b |  22 |\n|  a  | x |\n+-----+").is_none());
        assert!(check(&["a"], "a\nb").is_none());
        assert!(check(&["a", "b"], "a").is_none());
    }
}
