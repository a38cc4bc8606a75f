//! Reads `tests/FAULTS.md`: which test covers which scenario, and which scenarios are open.

use std::path::Path;

/// The proof that a line of the table names, or what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub enum Proof<'t> {
    /// A test function of a file.
    Test { file: &'t str, name: &'t str },
    /// A script that some test runs.
    Script(&'t str),
    /// Neither: a name that cannot be parsed.
    Unreadable(&'t str),
}

/// The proofs in the last cell of a row; empty if the scenario is open, `None` if it is not a row of a scenario.
pub fn proofs(line: &str) -> Option<Vec<Proof<'_>>> {
    let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    let last = *cells.last()?;
    if cells.len() != 3 || last == "test" || last.starts_with("---") {
        return None;
    }
    let named = last.split('`').skip(1).step_by(2);
    Some(named.map(proof).collect())
}

/// True for a row that says why there is no test.
pub fn is_open(line: &str) -> bool {
    line.rsplit('|').nth(1).is_some_and(|cell| cell.trim().starts_with("open: "))
}

fn proof(text: &str) -> Proof<'_> {
    match text.split_once("::") {
        Some((file, name)) if file.ends_with(".rs") && !name.is_empty() => Proof::Test { file, name },
        None if [".txt", ".sh"].iter().any(|end| text.ends_with(end)) => Proof::Script(text),
        _ => Proof::Unreadable(text),
    }
}

/// What is wrong with a row: a test or a script that does not exist.
pub fn fault(root: &Path, proof: &Proof<'_>) -> Option<String> {
    match proof {
        Proof::Test { file, name } => {
            let Ok(text) = std::fs::read_to_string(root.join(file)) else {
                return Some(format!("there is no file {file}"));
            };
            let is_test = is_test(&text, name);
            (!is_test).then(|| format!("{file} has no test {name}"))
        }
        Proof::Script(path) => (!root.join(path).is_file()).then(|| format!("there is no script {path}")),
        Proof::Unreadable(text) => {
            Some(format!("`{text}` is neither file::test nor a script: write the path from the root"))
        }
    }
}

/// True if a function of that name is a few lines below a test's attribute, or is made by a macro of tests.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let declared = format!("fn {name}(");
    lines.iter().enumerate().any(|(at, line)| {
        line.contains(&declared)
            && lines[at.saturating_sub(4)..at].iter().any(|before| {
                let before = before.trim_start();
                before.starts_with("#[test]") || before.starts_with("#[tokio::test")
            })
    })
}
