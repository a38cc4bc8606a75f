//! The tour in `src/lib.rs` names files and functions for readers who are new: a name that no longer exists would lead
//! them astray.

use std::path::Path;

use super::{Finding, judge, root};

const PAGE: &str = "src/lib.rs";

/// The lines of the tour with their numbers: from its heading to the next one.
fn tour(page: &str) -> Vec<(usize, &str)> {
    let lines = page.lines().enumerate().map(|(index, line)| (index + 1, line));
    let tour = lines.skip_while(|(_, line)| !line.starts_with("//! ## A tour"));
    let is_next = |line: &str| line.starts_with("//! ## ");
    tour.skip(1).take_while(|(_, line)| line.starts_with("//!") && !is_next(line)).collect()
}

/// Names in the tour that do not exist, with their lines. `read` gives a file below `src/`. A name with `()` is a
/// function of the file that was named last.
fn wrong<'p>(page: &'p str, read: impl Fn(&str) -> Option<String>) -> (usize, Vec<(usize, String)>) {
    let (mut count, mut wrong) = (0, Vec::new());
    let mut file: Option<(&'p str, String)> = None;
    for (line, text) in tour(page) {
        for name in text.split('`').skip(1).step_by(2) {
            if name.ends_with(".rs") {
                count += 1;
                file = read(name).map(|text| (name, text));
                if file.is_none() {
                    wrong.push((line, format!("there is no file src/{name}")));
                }
            } else if let Some(path) = name.strip_suffix("()") {
                count += 1;
                let function = path.rsplit("::").next().unwrap_or(path);
                match &file {
                    Some((file, text)) if !has_function(text, function) => {
                        wrong.push((line, format!("src/{file} has no function {function}")));
                    }
                    Some(_) => {}
                    None => wrong.push((line, format!("name the file before its function {function}"))),
                }
            }
        }
    }
    (count, wrong)
}

fn has_function(text: &str, name: &str) -> bool {
    let start = format!("fn {name}");
    let follows = |rest: &str| rest.starts_with(['(', '<']);
    text.match_indices(&start).any(|(at, _)| follows(&text[at + start.len()..]))
}

#[test]
fn the_tour_names_files_and_functions_that_exist() {
    let page = std::fs::read_to_string(root().join(PAGE)).expect("the page of the crate");
    let read = |name: &str| std::fs::read_to_string(root().join(Path::new("src").join(name))).ok();
    let (count, wrong) = wrong(&page, read);
    assert!(count > 50, "only {count} names were found in the tour");
    let finding = |(line, text)| Finding { path: PAGE.to_owned(), line, text };
    judge("tour", wrong.into_iter().map(finding).collect());
}

#[test]
fn a_wrong_name_in_the_tour_is_found() {
    let page = "//! ## A tour\n//! `first()` in `a.rs`: `Node::go()`, `gone()`\n//! `b.rs`, and `Node`\n//! ## End\n//! `c.rs`\n";
    let read = |name: &str| (name == "a.rs").then(|| "pub fn go<T>() {}\nfn gone_by() {}".to_owned());
    let (count, wrong) = wrong(page, read);
    assert_eq!(count, 5);
    let found: Vec<&str> = wrong.iter().map(|(_, text)| text.as_str()).collect();
    let expected = [
        "name the file before its function first",
        "src/a.rs has no function gone",
        "there is no file src/b.rs",
    ];
    assert_eq!(found, expected);
}
