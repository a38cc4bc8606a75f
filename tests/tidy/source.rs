//! Rust source for the tidy rules: comments and strings blanked, test code marked, modules followed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One file. `code` has the bytes of `text` at the same offsets, with the insides of comments, strings and
/// character literals replaced by spaces.
pub struct Source {
    /// Relative to the repository, with `/`.
    pub path: String,
    pub text: String,
    pub code: Vec<u8>,
    /// Byte ranges that only exist in test builds.
    tests: Vec<Range<usize>>,
}

impl Source {
    pub fn read(root: &Path, path: &str) -> Source {
        let text = std::fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        Source::new(path, text)
    }

    pub fn new(path: &str, text: String) -> Source {
        let code = blank(text.as_bytes());
        let tests = test_ranges(&code);
        Source { path: path.to_owned(), text, code, tests }
    }

    /// Makes the whole file test code: its `mod` line is behind `#[cfg(test)]`.
    pub fn mark_test(&mut self) {
        self.tests.push(0..self.code.len());
    }

    pub fn is_test(&self, at: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&at))
    }

    /// The first component below `src/`, without `.rs`.
    pub fn room(&self) -> &str {
        let rest = self.path.strip_prefix("src/").unwrap_or(&self.path);
        rest.split(['/', '.']).next().unwrap_or(rest)
    }

    /// 1-based.
    pub fn line(&self, at: usize) -> usize {
        1 + self.code[..at.min(self.code.len())].iter().filter(|&&b| b == b'\n').count()
    }

    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// Offsets of `needle` in the code, unless it is part of a longer identifier.
    pub fn find(&self, needle: &str) -> Vec<usize> {
        let first_is_word = needle.bytes().next().is_some_and(is_word);
        let last_is_word = needle.bytes().last().is_some_and(is_word);
        let needle = needle.as_bytes();
        let hits = self.code.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle);
        hits.map(|(at, _)| at)
            .filter(|&at| !first_is_word || at == 0 || !is_word(self.code[at - 1]))
            .filter(|&at| !last_is_word || !self.code.get(at + needle.len()).is_some_and(|&b| is_word(b)))
            .collect()
    }

    /// Name, start and number of lines of every function with a body.
    pub fn functions(&self) -> Vec<(String, usize, usize)> {
        let mut found = Vec::new();
        for at in self.find("fn") {
            let name = word_at(&self.code, skip_space(&self.code, at + 2));
            if let (false, Some(body)) = (name.is_empty(), body_after(&self.code, at)) {
                let lines = self.line(body.end.saturating_sub(1)) + 1 - self.line(at);
                found.push((name, at, lines));
            }
        }
        found
    }

    /// Every path that starts at the crate's root, as offset and its first one or two segments. `root` is `crate`,
    /// or the crate's name in a binary.
    pub fn crate_paths(&self, root: &str) -> Vec<(usize, Vec<String>)> {
        let mut found = Vec::new();
        for at in self.find(&format!("{root}::")) {
            if at > 0 && self.code[at - 1] == b':' {
                continue;
            }
            let mut paths = Vec::new();
            use_tree(&self.code, at + root.len() + 2, &[], &mut paths);
            found.extend(paths.into_iter().map(|path| (at, path)));
        }
        found
    }

    /// Every chain of `super::`, as offset, number of steps up and the name that follows.
    pub fn super_paths(&self) -> Vec<(usize, usize, String)> {
        let mut found = Vec::new();
        let mut covered = 0;
        for start in self.find("super::") {
            if start < covered {
                continue;
            }
            let (mut at, mut steps) = (start, 0);
            while self.code[at..].starts_with(b"super::") {
                at += b"super::".len();
                steps += 1;
            }
            covered = at;
            found.push((start, steps, word_at(&self.code, at)));
        }
        found
    }

    /// Every path that starts with `super::` or `self::`, as offset, number of steps up and the first one or two names
    /// that follow.
    pub fn relative_paths(&self) -> Vec<(usize, usize, Vec<String>)> {
        let mut found = Vec::new();
        let own = self.find("self::").into_iter().map(|at| (at, 0, at + b"self::".len()));
        let mut starts: Vec<(usize, usize, usize)> = own.collect();
        for (start, steps, _) in self.super_paths() {
            starts.push((start, steps, start + steps * b"super::".len()));
        }
        for (start, steps, after) in starts {
            let mut paths = Vec::new();
            use_tree(&self.code, after, &[], &mut paths);
            found.extend(paths.into_iter().map(|path| (start, steps, path)));
        }
        found
    }

    /// What `pub use` lines hand out: the offset of each path, and its first one or two names.
    pub fn handed_out(&self) -> Vec<(usize, Vec<String>)> {
        let mut found = Vec::new();
        for at in self.find("use") {
            let before = String::from_utf8_lossy(&self.code[at.saturating_sub(12)..at]).into_owned();
            let is_public = before.trim_end().ends_with("pub") || before.trim_end().ends_with(')');
            if is_public {
                let start = skip_space(&self.code, at + 3);
                let mut paths = Vec::new();
                use_tree(&self.code, start, &[], &mut paths);
                found.extend(paths.into_iter().map(|path| (start, path)));
            }
        }
        found
    }

    /// The names of the modules that the `mod name;` lines of this file load, test code left out.
    pub fn children(&self) -> Vec<String> {
        let declared = self.find("mod").into_iter().filter(|at| !self.is_test(*at)).filter_map(|at| {
            let name_at = skip_space(&self.code, at + 3);
            let name = word_at(&self.code, name_at);
            let ends = self.code.get(skip_space(&self.code, name_at + name.len())) == Some(&b';');
            (!name.is_empty() && ends).then_some(name)
        });
        declared.collect()
    }

    /// Files that the `mod name;` lines of this file load, each with whether it is test code. The modules of a crate's
    /// root and of a `mod.rs` are next to it, those of another file in a folder of its name.
    pub fn modules(&self, is_root: bool) -> Vec<(PathBuf, bool)> {
        let path = Path::new(&self.path);
        let parent = path.parent().unwrap_or(Path::new(""));
        let stem = path.file_stem().unwrap_or_default();
        let base = if is_root || stem == "mod" { parent.to_path_buf() } else { parent.join(stem) };
        let inline = self.inline_modules();
        let mut found = Vec::new();
        for at in self.find("mod") {
            let name_at = skip_space(&self.code, at + 3);
            let name = word_at(&self.code, name_at);
            if name.is_empty() || self.code.get(skip_space(&self.code, name_at + name.len())) != Some(&b';') {
                continue;
            }
            if let Some(named) = self.path_attribute(at) {
                found.push((parent.join(named), self.is_test(at)));
                continue;
            }
            let around = inline.iter().filter(|(_, range)| range.contains(&at));
            let dir = around.fold(base.clone(), |dir, (name, _)| dir.join(name));
            found.push((dir.join(format!("{name}.rs")), self.is_test(at)));
            found.push((dir.join(&name).join("mod.rs"), self.is_test(at)));
        }
        found
    }

    fn inline_modules(&self) -> Vec<(String, Range<usize>)> {
        let mut found = Vec::new();
        for at in self.find("mod") {
            let name_at = skip_space(&self.code, at + 3);
            let name = word_at(&self.code, name_at);
            let open = skip_space(&self.code, name_at + name.len());
            if !name.is_empty() && self.code.get(open) == Some(&b'{') {
                found.push((name, open..closing(&self.code, open)));
            }
        }
        found
    }

    /// The value of a `#[path = "…"]` on the line of the `mod` or the one before it.
    fn path_attribute(&self, at: usize) -> Option<String> {
        let before = &self.text[..at];
        let start = before.rmatch_indices('\n').nth(1).map_or(0, |(i, _)| i);
        let (_, rest) = before[start..].rsplit_once("#[path = \"")?;
        let (value, after) = rest.split_once('"')?;
        (!after.contains(';')).then(|| value.to_owned())
    }
}

/// Every file that `roots` reach through `mod` lines, by path.
pub fn reachable(root: &Path, roots: &[String]) -> BTreeMap<String, Source> {
    let mut found = BTreeMap::new();
    let mut open: Vec<(String, bool)> = roots.iter().map(|path| (path.clone(), false)).collect();
    while let Some((path, test)) = open.pop() {
        if found.contains_key(&path) {
            continue;
        }
        let mut source = Source::read(root, &path);
        if test {
            source.mark_test();
        }
        for (module, test_module) in source.modules(roots.contains(&path)) {
            let module = without_parents(&module);
            if root.join(&module).is_file() {
                open.push((module.to_string_lossy().into_owned(), test || test_module));
            }
        }
        found.insert(path, source);
    }
    found
}

/// A path without the `..` that a `#[path]` may contain.
fn without_parents(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

pub fn skip_space(code: &[u8], mut at: usize) -> usize {
    while code.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

pub fn word_at(code: &[u8], at: usize) -> String {
    let rest = code.get(at..).unwrap_or_default();
    let end = rest.iter().position(|&b| !is_word(b)).unwrap_or(rest.len());
    String::from_utf8_lossy(&rest[..end]).into_owned()
}

/// The offset after the bracket that closes the one at `open`.
fn closing(code: &[u8], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.iter().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// The braces of the item that starts at `at`; `None` if it ends with `;` first.
fn body_after(code: &[u8], mut at: usize) -> Option<Range<usize>> {
    loop {
        match code.get(at)? {
            b'{' => return Some(at..closing(code, at)),
            b'(' | b'[' => at = closing(code, at),
            b';' | b'}' | b')' => return None,
            _ => at += 1,
        }
    }
}

fn use_tree(code: &[u8], at: usize, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let at = skip_space(code, at);
    if code.get(at) == Some(&b'{') {
        let end = closing(code, at) - 1;
        let mut item = at + 1;
        while item < end {
            use_tree(code, item, prefix, found);
            while item < end && code[item] != b',' {
                item = if code[item] == b'{' { closing(code, item) } else { item + 1 };
            }
            item += 1;
        }
        return;
    }
    let name = word_at(code, at);
    if name.is_empty() {
        return;
    }
    let mut path = prefix.to_vec();
    let after = at + name.len();
    path.push(name);
    if path.len() < 2 && code.get(after..).is_some_and(|rest| rest.starts_with(b"::")) {
        let before = found.len();
        use_tree(code, after + 2, &path, found);
        if found.len() > before {
            return;
        }
    }
    found.push(path);
}

const ITEM_WORDS: &[&str] = &[
    "pub",
    "fn",
    "impl",
    "mod",
    "struct",
    "enum",
    "trait",
    "const",
    "static",
    "use",
    "unsafe",
    "async",
    "type",
    "extern",
    "macro_rules",
    "let",
    "union",
];

/// The ranges behind `#[cfg(test)]` and similar attributes.
fn test_ranges(code: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for start in 0..code.len() {
        let inner = code[start..].starts_with(b"#![cfg(");
        if !inner && !code[start..].starts_with(b"#[cfg(") {
            continue;
        }
        let open = start + if inner { 2 } else { 1 };
        let end = closing(code, open);
        let condition = String::from_utf8_lossy(&code[open..end]).into_owned();
        let names_test = condition.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "test");
        if names_test && !condition.contains("not(") {
            found.push(if inner { 0..code.len() } else { start..item_end(code, end) });
        }
    }
    found
}

/// Where the item, statement or field that starts at `at` ends.
fn item_end(code: &[u8], at: usize) -> usize {
    let mut at = skip_space(code, at);
    while code.get(at) == Some(&b'#') {
        at = skip_space(code, closing(code, at + 1));
    }
    let ends_at_comma = !ITEM_WORDS.contains(&word_at(code, at).as_str());
    while let Some(byte) = code.get(at) {
        match byte {
            b'{' => return closing(code, at),
            b'(' | b'[' => at = closing(code, at),
            b';' | b'}' | b')' => return at + 1,
            b',' if ends_at_comma => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Replaces the insides of comments and literals by spaces and keeps every line break.
fn blank(text: &[u8]) -> Vec<u8> {
    let mut code = text.to_vec();
    let mut at = 0;
    while at < text.len() {
        let end = literal_end(text, at);
        if end == at {
            at += 1;
            continue;
        }
        let is_string = text[at] == b'"' || text[at] == b'r' || text[at] == b'b';
        for byte in &mut code[at..end] {
            if *byte != b'\n' && !(is_string && *byte == b'"') {
                *byte = b' ';
            }
        }
        at = end;
    }
    code
}

/// The end of the comment or literal that starts at `at`; `at` itself if none does.
fn literal_end(text: &[u8], at: usize) -> usize {
    let rest = &text[at..];
    let in_word = at > 0 && is_word(text[at - 1]);
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return at + block_comment(rest);
    }
    if rest[0] == b'"' {
        return at + quoted(rest, 1);
    }
    if !in_word && (rest[0] == b'r' || rest.starts_with(b"br")) {
        let skip = if rest[0] == b'r' { 1 } else { 2 };
        let hashes = rest[skip..].iter().take_while(|&&b| b == b'#').count();
        if rest.get(skip + hashes) == Some(&b'"') {
            let close = [&b"\""[..], &b"#".repeat(hashes)].concat();
            let body = skip + hashes + 1;
            let found = rest[body..].windows(close.len()).position(|window| window == close);
            return at + found.map_or(rest.len(), |i| body + i + close.len());
        }
    }
    if rest[0] == b'\'' {
        return at + character(rest);
    }
    at
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if rest[at..].starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn quoted(rest: &[u8], mut at: usize) -> usize {
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a character literal; 0 for a lifetime.
fn character(rest: &[u8]) -> usize {
    let close = |from: usize| rest.iter().skip(from).take(12).position(|&b| b == b'\'').map(|i| from + i + 1);
    if rest.get(1) == Some(&b'\\') {
        return close(3).unwrap_or(0);
    }
    let width = std::str::from_utf8(&rest[1..rest.len().min(5)])
        .map_or_else(|e| std::str::from_utf8(&rest[1..1 + e.valid_up_to()]), Ok)
        .ok()
        .and_then(|s| s.chars().next())
        .map_or(1, char::len_utf8);
    if rest.get(1 + width) == Some(&b'\'') { 2 + width } else { 0 }
}
