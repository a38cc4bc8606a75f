//! Stories in `tests/golden/config/*.txt`, one per file: comment lines, `file PATH` with its text until a line `end`,
//! `env NAME=value`, then any number of `$ kvd ARGUMENTS`, each followed by its output and its exit status.

use std::path::{Path, PathBuf};

use crate::world::World;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config")
}

#[test]
fn stories_end_as_told() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut stories: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the folder of stories")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    stories.sort();
    assert!(stories.len() >= 20, "stories are missing");
    let mut wrong = Vec::new();
    for path in stories {
        let told = std::fs::read_to_string(&path).expect("a story");
        let happened = tell(&told);
        if told == happened {
            continue;
        }
        if update {
            std::fs::write(&path, &happened).expect("a story can be written");
        } else {
            wrong.push(format!("{}:\n{}", path.display(), difference(&told, &happened)));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nif this is right: UPDATE_GOLDEN=1 cargo test --test config",
        wrong.join("\n")
    );
}

/// The story with the actual output.
fn tell(story: &str) -> String {
    let mut world = World::default();
    let mut told = String::new();
    let mut lines = story.lines();
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix("$ kvd") {
            let mut now = world.clone();
            now.arguments = words(command);
            let answer = now.invoke();
            told.push_str(&format!("{line}\n"));
            for text in [&answer.out, &answer.err] {
                told.push_str(text.trim_end_matches('\n'));
                told.push_str(if text.is_empty() { "" } else { "\n" });
            }
            told.push_str(&format!("exit {}\n\n", answer.code));
            skip_old_answer(&mut lines);
            continue;
        }
        told.push_str(&format!("{line}\n"));
        if let Some(path) = line.strip_prefix("file ") {
            let mut text = String::new();
            for line in lines.by_ref() {
                told.push_str(&format!("{line}\n"));
                if line == "end" {
                    break;
                }
                text.push_str(&format!("{line}\n"));
            }
            world = world.file(path, &text);
        } else if let Some((name, value)) = line.strip_prefix("env ").and_then(|pair| pair.split_once('=')) {
            world = world.env(name, value);
        }
    }
    format!("{}\n", told.trim_end())
}

/// Skips the old output, up to and including the next `exit`, unless another command comes first.
fn skip_old_answer(lines: &mut std::str::Lines<'_>) {
    let mut ahead = lines.clone();
    while let Some(line) = ahead.next() {
        if line.starts_with("$ kvd") {
            return;
        }
        if line.starts_with("exit ") {
            if ahead.clone().next().is_some_and(str::is_empty) {
                ahead.next();
            }
            *lines = ahead;
            return;
        }
    }
}

/// Splits a command line at spaces; single quotes keep words together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn difference(told: &str, happened: &str) -> String {
    let (mut text, mut happened_lines) = (String::new(), happened.lines());
    for (number, line) in told.lines().enumerate() {
        let now = happened_lines.next();
        if now != Some(line) {
            text.push_str(&format!(
                "  line {}\n  - {line}\n  + {}\n",
                number + 1,
                now.unwrap_or("(nothing)")
            ));
            break;
        }
    }
    text
}
