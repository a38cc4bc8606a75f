//! Words that must not come back into comments and texts: readers whose first language is not English had to read the
//! sentences with them twice, and each has a plain replacement.

use super::source::Source;
use super::{Finding, judge, product, tests, texts};

/// What was written, in lower case, and what to write instead. Only phrases that are never right are listed.
const WORDS: &[(&str, &str)] = &[
    ("true where", "true if"),
    ("false where", "false if"),
    ("none where", "none if"),
    ("where it is none", "if it is not one"),
    ("where there is none", "if there is none"),
    ("are listened to", "listens on"),
    ("is listened to", "listens on"),
    ("as etcd has it", "as in etcd"),
    ("as of the moment", "now"),
    ("be let in", "be admitted"),
    ("is let in", "is admitted"),
    ("was let in", "was admitted"),
    ("for so long", "for this long"),
    ("for want of", "for lack of"),
    ("desk", "handler, or the name of what it is"),
    ("hands back", "returns"),
    ("housekeeping", "maintenance"),
    ("lane", "channel, stream or queue"),
    ("reception", "admission"),
    ("hears of", "receives, learns of or is notified of"),
    ("is known of", "is known about"),
    ("is looked at", "is checked or is read"),
    ("is no error", "is not an error"),
    ("is passed over", "is skipped or is ignored"),
    ("tells of", "reports"),
    ("told of", "notified of or sent"),
    ("the one who", "the caller, the sender or the member"),
    ("what became of", "the result of"),
    ("what becomes of", "the result of"),
    ("what came of", "the result of"),
    ("what comes of", "the result of"),
    ("to whom it concerns", "to whoever wants it"),
];

/// The words of a text with their line numbers. Of Rust source only comments and literals count.
fn words(text: &str, code: Option<&[u8]>) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let prose: Vec<u8> = match code {
            None => line.bytes().collect(),
            Some(code) => {
                let pairs = line.bytes().zip(&code[start..]);
                pairs.map(|(byte, &code)| if code == b' ' { byte } else { b' ' }).collect()
            }
        };
        let prose = String::from_utf8_lossy(&prose).to_lowercase();
        let is_word = |word: &&str| word.contains(char::is_alphanumeric);
        found.extend(prose.split_whitespace().filter(is_word).map(|word| (word.to_owned(), index + 1)));
        start += line.len();
    }
    found
}

/// Every listed phrase in these words: its line and its entry. A phrase may go over a line's end, not over a comma or a
/// full stop.
fn listed(words: &[(String, usize)]) -> Vec<(usize, &'static (&'static str, &'static str))> {
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
    let bares: Vec<String> = words.iter().map(|(word, _)| bare(word)).collect();
    let mut found = Vec::new();
    for entry in WORDS {
        let phrase: Vec<&str> = entry.0.split(' ').collect();
        for (at, window) in bares.windows(phrase.len()).enumerate() {
            let inner = &words[at..at + phrase.len() - 1];
            let is_cut = inner.iter().any(|(word, _)| word.ends_with(['.', ',', ';', ':', '?', '!', ')']));
            if window == phrase.as_slice() && !is_cut {
                found.push((words[at].1, entry));
            }
        }
    }
    found
}

fn findings(path: &str, words: &[(String, usize)]) -> Vec<Finding> {
    let finding = |(line, entry): (usize, &(&str, &str))| Finding {
        path: path.to_owned(),
        line,
        text: format!("\"{}\": write \"{}\"", entry.0, entry.1),
    };
    listed(words).into_iter().map(finding).collect()
}

#[test]
fn phrases_that_had_to_be_read_twice_do_not_come_back() {
    let mut found = Vec::new();
    for source in product().values().chain(tests().values()) {
        if source.path != "tests/tidy/words.rs" {
            found.extend(findings(&source.path, &words(&source.text, Some(&source.code))));
        }
    }
    // Golden files hold other programs' output, and the messages' descriptions are etcd's.
    let others = texts().into_iter().filter(|(path, _)| {
        !path.ends_with(".rs") && !path.ends_with(".proto") && !path.starts_with("tests/golden/")
    });
    for (path, text) in others {
        found.extend(findings(&path, &words(&text, None)));
    }
    judge("words", found);
}

#[test]
fn a_listed_phrase_is_found_in_comments_and_literals_only() {
    let text = "/// True where it holds, `None` where\n/// it does not. This is true, where needed.\n\
                fn hands_back() { say(\"what became\n    of it\"); tells . of; } // hands\n// back\n";
    let source = Source::new("src/api/sample.rs", text.to_owned());
    let found = listed(&words(&source.text, Some(&source.code)));
    let found: Vec<(usize, &str)> = found.into_iter().map(|(line, entry)| (line, entry.0)).collect();
    assert_eq!(found, [(1, "true where"), (1, "none where"), (4, "hands back"), (3, "what became of")]);
    assert_eq!(listed(&words("A reader\nhears of it: who, tells; of", None)).len(), 1);
}
