//! Removes from a story's output what differs between any two servers.

use crate::harness::Server;
use std::collections::HashMap;

/// Names that replace a server's own values.
pub struct Normal {
    words: HashMap<String, String>,
    replaced: Vec<(String, &'static str)>,
    seen: usize,
}

impl Normal {
    /// For the server's addresses and directory.
    pub fn new(server: &Server) -> Normal {
        let replaced = vec![
            (server.endpoint(), "CLIENT"),
            (server.peer_url().trim_start_matches("http://").to_owned(), "PEER"),
            (server.dir().display().to_string(), "DIR"),
        ];
        Normal { words: HashMap::new(), replaced, seen: 0 }
    }

    /// An id, in all forms in which it is printed.
    pub fn name(&mut self, id: u64, name: &str) {
        self.words.insert(format!("{id:x}"), name.to_owned());
        self.words.insert(id.to_string(), name.to_owned());
    }

    /// The text without values that vary.
    pub fn text(&mut self, text: &str) -> String {
        let mut lines = Vec::new();
        for line in text.lines() {
            let mut line = logged(line);
            for (what, name) in &self.replaced {
                line = line.replace(what, name);
            }
            lines.push(squeezed(&self.line(&line)) + "\n");
        }
        // Threads of a client log at the same time: the order of lines that follow each other is left to chance.
        let is_logged = |line: &String| line.starts_with("log: ");
        let runs = lines.chunk_by_mut(|one, next| is_logged(one) && is_logged(next));
        runs.for_each(|run| run.sort_unstable());
        lines.concat()
    }

    fn line(&mut self, line: &str) -> String {
        let mut out = String::new();
        let mut word = String::new();
        let mut previous = String::new();
        for c in line.chars().chain(std::iter::once('\n')) {
            if c.is_alphanumeric() || c == '_' || (c == '.' && word.starts_with(|d: char| d.is_ascii_digit()))
            {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                out.push_str(&self.word(&word, &previous));
                previous = std::mem::take(&mut word);
            }
            out.push(c);
        }
        out.pop();
        out
    }

    fn word(&mut self, word: &str, previous: &str) -> String {
        if matches!(previous, "raft_term" | "RaftTerm" | "RaftIndex" | "RaftAppliedIndex") {
            return "N".to_owned();
        }
        if let Some(name) = self.words.get(word) {
            return name.clone();
        }
        // A lease's rest in whole seconds, which go by while a busy machine asks.
        if previous == "remaining" && word.strip_suffix('s').is_some_and(|n| n.parse::<u64>().is_ok()) {
            return "TIME".to_owned();
        }
        let hex = (13..=16).contains(&word.len())
            && word.bytes().all(|b| b.is_ascii_hexdigit())
            && word.contains(|c: char| c.is_ascii_digit());
        let long = word.len() >= 15 && word.bytes().all(|b| b.is_ascii_digit());
        if hex || long {
            self.seen += 1;
            let name = format!("ID{}", self.seen);
            self.words.insert(word.to_owned(), name.clone());
            return name;
        }
        if duration(word) { "TIME".to_owned() } else { word.to_owned() }
    }
}

/// The length of padding and table lines depends on the removed values: each is replaced by one character.
fn squeezed(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars() {
        if !(matches!(c, ' ' | '─' | '-') && out.ends_with(c)) {
            out.push(c);
        }
    }
    out
}

/// True for a measured Go duration: it has a fraction or a unit below the second.
fn duration(word: &str) -> bool {
    let digits = word.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = &word[digits.len()..];
    !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && (matches!(unit, "ns" | "µs" | "ms") || (unit == "s" && digits.contains('.')))
}

/// Reduces a client's log line to its message: the rest is time and source.
fn logged(line: &str) -> String {
    if !line.trim_start_matches("! ").starts_with("{\"level\"") {
        return line.to_owned();
    }
    let message = line.split("\"msg\":\"").nth(1).and_then(|rest| rest.split('"').next());
    format!("log: {}", message.unwrap_or(line))
}
