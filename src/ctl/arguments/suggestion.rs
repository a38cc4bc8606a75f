//! "Did you mean": commands that are close to a mistyped one. clap suggests words with the same letters at nearly the same
//! places; this also finds two that are exchanged.

use std::ffi::OsString;

use clap::Command;

/// The most letters that differ.
const NEAR: usize = 2;

/// The commands beside each other at which `arguments` name `unknown`, that are close to it; the closest come first.
pub(super) fn close_to(unknown: &str, root: &Command, arguments: &[OsString]) -> Vec<String> {
    let mut group = root;
    for word in arguments.iter().skip(1).filter_map(|word| word.to_str()).take_while(|word| *word != unknown)
    {
        group = group.find_subcommand(word).unwrap_or(group);
    }
    let shown = group.get_subcommands().filter(|command| !command.is_hide_set());
    let mut close: Vec<(usize, String)> = shown
        .map(|command| (distance(unknown, command.get_name()), command.get_name().to_string()))
        .filter(|(distance, name)| *distance <= NEAR && *distance < name.len().min(unknown.len()))
        .collect();
    close.sort();
    close.into_iter().map(|(_, name)| name).collect()
}

/// How many letters have to be inserted, deleted or replaced (Levenshtein's distance).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (place, letter) in from.chars().enumerate() {
        let mut corner = place;
        let mut left = place + 1;
        row[0] = left;
        for (above, other) in row[1..].iter_mut().zip(&to) {
            let changed = corner + usize::from(letter != *other);
            corner = *above;
            left = changed.min(corner + 1).min(left + 1);
            *above = left;
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_letters() {
        for (from, to, expected) in [
            ("put", "put", 0),
            ("ptu", "put", 2),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("lst", "list", 1),
        ] {
            assert_eq!((distance(from, to), distance(to, from)), (expected, expected), "{from} {to}");
        }
    }

    #[test]
    fn close_commands_are_found_in_their_group() {
        let close = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
            let unknown = line.split(' ').next_back().expect("a word");
            close_to(unknown, &super::super::command(), &words)
        };
        assert_eq!(close("kvctl ptu").first().map(String::as_str), Some("put"));
        assert_eq!(close("kvctl member lst"), ["list"]);
        assert_eq!(close("kvctl nonsense"), [""; 0]);
    }
}
