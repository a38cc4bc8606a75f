//! What every tracked file, and every script, is checked for line by line.

use super::{Finding, judge, texts};

/// A rebase that was continued too early leaves them behind.
#[test]
fn no_file_has_marks_of_a_conflict() {
    let is_mark = |line: &str| {
        ["<<<<<<<", ">>>>>>>", "|||||||"]
            .iter()
            .any(|mark| line.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
    };
    let mut findings = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| is_mark(line)) {
            findings.push(Finding {
                path: path.clone(),
                line: number + 1,
                text: format!("a mark of a conflict: {line}"),
            });
        }
    }
    judge("conflicts", findings);
}

/// With `pipefail` a program whose reader is gone fails, if it still had something to write: that depends on who is faster.
#[test]
fn no_pipe_of_a_script_ends_before_its_writer() {
    let early = ["| head ", "| head\n", "| grep -q", "| grep -Eq", "| grep -Fq"];
    let mut findings = Vec::new();
    for (path, text) in
        texts().into_iter().filter(|(_, text)| text.starts_with("#!") || text.contains("\nholds "))
    {
        if path.ends_with(".rs") || path.ends_with(".py") {
            continue;
        }
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'))
        {
            if early.iter().any(|early| format!("{line}\n").contains(early)) {
                let text = format!("its reader leaves early, use `sed -n 1p` or `grep … >/dev/null`: {line}");
                findings.push(Finding { path: path.clone(), line: number + 1, text });
            }
        }
    }
    judge("pipes", findings);
}
