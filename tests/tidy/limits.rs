//! The table of limits (`src/config/render/limits.rs`) says what the source says.

use std::path::Path;

use kvd::config::options;
use kvd::config::render::Limit;

use super::faults::{Proof, fault};

/// What is wrong with a row.
pub fn wrong(root: &Path, limit: &Limit) -> Vec<String> {
    let mut wrong = Vec::new();
    let (file, declaration) = limit.source;
    if file.is_empty() {
        if limit.option.is_empty() {
            wrong.push("neither an option nor a constant".to_owned());
        }
    } else {
        let text = std::fs::read_to_string(root.join("src").join(file)).unwrap_or_default();
        if !text.contains(declaration) {
            wrong.push(format!("src/{file} does not declare `{declaration}`: the page says something else"));
        }
    }
    if !limit.option.is_empty() && !options::all().any(|spec| spec.name == limit.option) {
        wrong.push(format!("there is no option {}", limit.option));
    }
    match limit.test.split_once("::") {
        Some((file, name)) => wrong.extend(fault(root, &Proof::Test { file, name })),
        None => wrong.push("no test".to_owned()),
    }
    wrong
}
