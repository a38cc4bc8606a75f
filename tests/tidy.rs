//! Rules of this repository that no compiler checks. The test reads the source files.
//!
//! Every finding names file and line and says what to do. An exception is in `EXCEPTIONS` with its reason; an exception
//! that no finding needs any more fails as well.

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/faults.rs"]
mod faults;
#[path = "tidy/limits.rs"]
mod limits;
#[path = "tidy/scripts.rs"]
mod scripts;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tables.rs"]
mod tables;
#[path = "tidy/tour.rs"]
mod tour;
#[path = "tidy/words.rs"]
mod words;

use source::{Source, is_word, reachable, skip_space, word_at};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tables::{ABSENT, CIRCLES, CRATES, EXCEPTIONS, MAY_USE, ROOMS, ROOT_FILES, ROOT_FOLDERS, UNSAFE_FILES};

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 80;

/// The repository: cargo's variable at run time, so that a built test can check another checkout.
fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    let named = || std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    ROOT.get_or_init(|| named().unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR"))))
}

/// Files under version control; without git (in a release archive) every file except build products.
fn tracked() -> Vec<String> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    if let Ok(output) = listed
        && output.status.success()
        && !output.stdout.is_empty()
    {
        let names = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = names.split('\0').filter(|name| root().join(name).is_file());
        return names.map(str::to_owned).collect();
    }
    let is_product = |name: &std::ffi::OsStr| name == "target" || name == ".git";
    let walk = walkdir::WalkDir::new(root()).sort_by_file_name().into_iter();
    walk.filter_entry(|entry| !is_product(entry.file_name()))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| Some(entry.path().strip_prefix(root()).ok()?.to_string_lossy().into_owned()))
        .collect()
}

/// The Rust files of the package's library and binaries.
fn product() -> BTreeMap<String, Source> {
    let roots = ["src/lib.rs", "src/bin/kvd.rs", "src/bin/kvctl.rs"];
    reachable(root(), &roots.map(str::to_owned))
}

/// The Rust files of all tests, benches and fuzz targets.
fn tests() -> BTreeMap<String, Source> {
    let manifests = tracked().into_iter().filter(|path| path.ends_with("Cargo.toml"));
    let named: BTreeSet<String> = manifests.flat_map(|path| named_roots(&path)).collect();
    let roots: Vec<String> =
        tracked().into_iter().filter(|path| named.contains(path) || is_test_root(path)).collect();
    reachable(root(), &roots)
}

/// The crate roots below tests/ that a manifest names.
fn named_roots(manifest: &str) -> Vec<String> {
    let folder = Path::new(manifest).parent().unwrap_or(Path::new("")).to_path_buf();
    let text = std::fs::read_to_string(root().join(manifest)).unwrap_or_default();
    let paths = text.lines().filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
    let paths = paths.map(|path| folder.join(path).to_string_lossy().into_owned());
    paths.filter(|path| path.starts_with("tests/")).collect()
}

/// The crate roots that cargo finds by itself: of this package and of those below tests/.
fn is_test_root(path: &str) -> bool {
    let Some(inner) = path.strip_prefix("tests/").and_then(|path| path.strip_suffix(".rs")) else {
        return false;
    };
    let depth = inner.matches('/').count();
    let (folder, name) = inner.rsplit_once('/').unwrap_or(("", inner));
    let of_package = depth == 0 || depth == 1 && name == "main";
    let of_another =
        folder.ends_with("/tests") || folder.ends_with("/src") && (name == "main" || name == "lib");
    of_package || of_another || folder.ends_with("/src/bin")
}

/// A finding of a rule: file, line (0 if there is none), and what is wrong and how to mend it.
struct Finding {
    path: String,
    line: usize,
    text: String,
}

fn finding(source: &Source, at: usize, text: impl Into<String>) -> Finding {
    Finding { path: source.path.clone(), line: source.line(at), text: text.into() }
}

/// Fails with every finding of `rule` that no exception covers, and with every exception that covers none.
fn judge(rule: &str, findings: Vec<Finding>) {
    let exceptions: Vec<_> = EXCEPTIONS.iter().filter(|exception| exception.rule == rule).collect();
    let mut used = BTreeSet::new();
    let mut report = Vec::new();
    for found in findings {
        let covers = |e: &tables::Exception| found.path.starts_with(e.path) && found.text.contains(e.what);
        match exceptions.iter().position(|exception| covers(exception)) {
            Some(index) => drop(used.insert(index)),
            None => report.push(format!("{}:{}: {}", found.path, found.line, found.text)),
        }
    }
    for (index, exception) in exceptions.iter().enumerate() {
        if !used.contains(&index) {
            let (path, what) = (exception.path, exception.what);
            report.push(format!(
                "tests/tidy/tables.rs: the exception {rule} {path} '{what}' is not needed: remove it"
            ));
        }
    }
    assert!(report.is_empty(), "{rule}: {} findings\n{}\n", report.len(), report.join("\n"));
}

/// Findings for every place of `needle` in the non-test code of `sources`.
fn places(sources: &BTreeMap<String, Source>, needle: &str, advice: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for source in sources.values() {
        let hits = source.find(needle).into_iter().filter(|&at| !source.is_test(at));
        found.extend(hits.map(|at| finding(source, at, advice)));
    }
    found
}

#[test]
fn rooms_import_only_in_the_agreed_directions() {
    let sources = product();
    let mut findings = Vec::new();
    for source in sources.values().filter(|source| source.path != "src/lib.rs") {
        let room = source.room();
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == room) else {
            findings.push(finding(
                source,
                0,
                format!("no room `{room}` is agreed: see MAY_USE in tests/tidy/tables.rs"),
            ));
            continue;
        };
        let crate_name = if room == "bin" { "kvd" } else { "crate" };
        let mut used = source.crate_paths(crate_name);
        used.extend(escapes(source));
        for (at, path) in used {
            let target = path[0].as_str();
            let whole = path.join("::");
            let fits = |entry: &str| entry == target || entry == whole || entry == "*";
            if target == room
                || !ROOMS.contains(&target)
                || allowed.iter().any(|e| fits(e))
                || source.is_test(at)
            {
                continue;
            }
            let text = format!(
                "{room} may not use {whole}: turn the dependency round, or put the shared word into model"
            );
            findings.push(finding(source, at, text));
        }
    }
    judge("imports", findings);
}

/// `super::` chains that leave the room, as paths from the crate's root.
fn escapes(source: &Source) -> Vec<(usize, Vec<String>)> {
    let below = source.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let depth = below.split('/').count();
    let chains = source.super_paths().into_iter().filter(|(_, steps, _)| *steps >= depth);
    chains.map(|(at, _, name)| (at, vec![name])).collect()
}

/// A handle stands on top of what it shares with others; what they share stands below and knows none of them.
#[test]
fn no_files_of_a_room_use_each_other_in_a_circle() {
    let sources = product();
    let found = circles::circles(&circles::uses(&sources));
    let mut findings = Vec::new();
    let mut covered: BTreeSet<&str> = BTreeSet::new();
    for group in &found {
        let is_allowed =
            |(files, _): &&(&[&str], &str)| group.iter().all(|file| files.contains(&file.as_str()));
        match CIRCLES.iter().find(is_allowed) {
            Some(_) => covered.extend(group.iter().map(String::as_str)),
            None => findings.push(Finding {
                path: group[0].clone(),
                line: 0,
                text: format!("a circle: {}: put what they share below all of them", group.join(", ")),
            }),
        }
    }
    for file in CIRCLES.iter().flat_map(|(files, _)| *files).filter(|file| !covered.contains(**file)) {
        let text = format!("{file} is in no circle any more: take it out of CIRCLES");
        findings.push(Finding { path: "tests/tidy/tables.rs".to_owned(), line: 0, text });
    }
    judge("circles", findings);
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    let sources = product();
    let mut findings = Vec::new();
    for source in sources.values() {
        for (name, rooms, advice) in CRATES {
            if rooms.contains(&source.room()) {
                continue;
            }
            for at in uses_of_crate(source, name) {
                findings.push(finding(
                    source,
                    at,
                    format!("`{name}` belongs to {}: {advice}", rooms.join(", ")),
                ));
            }
        }
    }
    judge("crates", findings);
}

fn uses_of_crate(source: &Source, name: &str) -> Vec<usize> {
    let code = &source.code;
    let is_path = |at: usize| {
        let after = skip_space(code, at + name.len());
        let rest = &code[after..];
        let own = at >= 2 && code[at - 2..at] == *b"::" && at >= 3 && is_word(code[at - 3]);
        !own && (rest.starts_with(b"::") || rest.starts_with(b"as "))
    };
    source.find(name).into_iter().filter(|&at| is_path(at) && !source.is_test(at)).collect()
}

#[test]
fn rules_expressed_by_an_absence_hold() {
    let sources = product();
    let mut findings = Vec::new();
    for source in sources.values() {
        let inner = source.path.trim_start_matches("src/").trim_end_matches(".rs");
        let is_in = |place: &&&str| {
            inner.strip_prefix(**place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        for (places, words, advice) in ABSENT {
            let Some(place) = places.iter().find(is_in) else { continue };
            for word in *words {
                let hits = source.find(word).into_iter().filter(|&at| !source.is_test(at));
                findings.extend(hits.map(|at| finding(source, at, format!("`{word}` in {place}: {advice}"))));
            }
        }
    }
    judge("absent", findings);
}

#[test]
fn files_and_functions_stay_short() {
    let mut findings = Vec::new();
    for source in product().values().chain(tests().values()) {
        if source.lines() > FILE_LINES {
            let text = format!(
                "{} lines, at most {FILE_LINES}: split it by what its parts are about",
                source.lines()
            );
            findings.push(finding(source, 0, text));
        }
        if !source.path.starts_with("src/") {
            continue;
        }
        for (name, at, lines) in source.functions() {
            if lines > FUNCTION_LINES && !source.is_test(at) {
                let text = format!("fn {name} has {lines} lines, at most {FUNCTION_LINES}: name its steps");
                findings.push(finding(source, at, text));
            }
        }
    }
    judge("length", findings);
}

#[test]
fn nothing_is_unwrapped() {
    let sources = product();
    let advice =
        "`.unwrap()` outside tests: handle it, or `.expect(\"why it cannot fail\")` for an invariant";
    let mut findings = places(&sources, ".unwrap()", advice);
    findings.extend(places(&sources, ".unwrap_err()", advice));
    findings.extend(places(&sources, "unreachable!()", "say why it cannot be reached"));
    for source in sources.values() {
        for at in source.find(".expect(").into_iter().filter(|&at| !source.is_test(at)) {
            let after_self = source.code[..at].ends_with(b"self");
            if !after_self && !is_reason(&source.text[at + ".expect(".len()..]) {
                let text = "`.expect` wants a literal of at least three words that says why it cannot fail";
                findings.push(finding(source, at, text));
            }
        }
    }
    judge("unwrap", findings);
}

fn is_reason(argument: &str) -> bool {
    let literal = argument.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
    literal.is_some_and(|text| text.split_whitespace().count() >= 3)
}

#[test]
fn nothing_is_left_unfinished() {
    let mut findings = Vec::new();
    let marks = ["todo!", "unimplemented!", "dbg!", "#[ignore]"];
    for source in product().values().chain(tests().values()) {
        for mark in marks {
            let hits = source.find(mark).into_iter();
            findings.extend(hits.map(|at| finding(source, at, format!("`{mark}`: finish it or remove it"))));
        }
        if source.path.starts_with("src/") {
            for attribute in ["allow(dead_code", "allow(unused"] {
                let hits = source.find(attribute).into_iter();
                findings.extend(
                    hits.map(|at| finding(source, at, format!("`{attribute})`: remove what nobody uses"))),
                );
            }
        }
    }
    for (path, text) in texts() {
        let is_code = [".rs", ".toml", ".sh", ".proto", ".service"].iter().any(|end| path.ends_with(end));
        for (index, line) in text.lines().enumerate().filter(|_| is_code) {
            for mark in [concat!("FIX", "ME"), concat!("XX", "X:"), concat!("TO", "DO:")] {
                if line.contains(mark) {
                    let text = format!("`{mark}`: do it, or say as a fact what is missing");
                    findings.push(Finding { path: path.clone(), line: index + 1, text });
                }
            }
        }
    }
    judge("unfinished", findings);
}

/// The roots of the crates that stand in for others, from `[patch.crates-io]`.
fn replaced_crates() -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    let manifest: toml::Table = manifest.parse().expect("a manifest");
    let crates = manifest["patch"]["crates-io"].as_table().expect("a table").values();
    crates.map(|place| format!("{}/lib.rs", place["path"].as_str().expect("a path"))).collect()
}

#[test]
fn every_file_is_part_of_something() {
    let mut alive: BTreeSet<String> = product().into_keys().collect();
    alive.extend(tests().into_keys());
    alive.insert("build.rs".to_owned());
    alive.extend(replaced_crates());
    let mut findings = Vec::new();
    for path in tracked().into_iter().filter(|path| path.ends_with(".rs") && !alive.contains(path)) {
        let text = "no `mod` line reaches this file: add one or remove it".to_owned();
        findings.push(Finding { path, line: 0, text });
    }
    judge("dead file", findings);
}

#[test]
fn rooms_open_with_a_table_of_contents() {
    let mut findings = Vec::new();
    for room in ROOMS {
        let path = format!("src/{room}/mod.rs");
        let text = std::fs::read_to_string(root().join(&path)).unwrap_or_default();
        if !text.starts_with("//!") {
            let text = "begin with `//!`: what stands in this room and its rules".to_owned();
            findings.push(Finding { path, line: 1, text });
        }
    }
    for path in tracked().into_iter().filter(|path| path.starts_with("src/")) {
        let mut names = path.split(['/', '.']);
        if let Some(name) =
            names.find(|name| ["util", "utils", "common", "helpers", "manager", "misc"].contains(name))
        {
            let text = format!("`{name}` says nothing: name it by the noun it is about");
            findings.push(Finding { path: path.clone(), line: 0, text });
        }
    }
    judge("rooms", findings);
}

#[test]
fn unsafe_code_is_argued_for() {
    let mut findings = Vec::new();
    for source in product().values() {
        for at in source.find("unsafe") {
            if !UNSAFE_FILES.iter().any(|(path, _)| *path == source.path) {
                let text = "unsafe in a file that is not in UNSAFE_FILES: find a safe way, or add it with its reason";
                findings.push(finding(source, at, text));
            }
            let line = source.line(at);
            let before: Vec<&str> = source.text.lines().take(line).collect();
            let argued =
                before.iter().rev().take(8).any(|line| line.contains("SAFETY:") || line.contains("# Safety"));
            if !argued {
                findings.push(finding(source, at, "unsafe without `// SAFETY:` and its argument above it"));
            }
        }
    }
    judge("unsafe", findings);
}

#[test]
fn the_top_level_is_as_agreed() {
    let mut findings = Vec::new();
    for path in tracked() {
        let (top, is_folder) = match path.split_once('/') {
            Some((top, _)) => (top, true),
            None => (path.as_str(), false),
        };
        let agreed = if is_folder { ROOT_FOLDERS } else { ROOT_FILES };
        if !agreed.contains(&top) {
            let text = "not part of the agreed top level: move it into src, packaging, config, man or tests"
                .to_owned();
            findings.push(Finding { path, line: 0, text });
        }
    }
    judge("layout", findings);
}

/// Tracked files that are text.
fn texts() -> Vec<(String, String)> {
    let read =
        |path: String| Some((path.clone(), String::from_utf8(std::fs::read(root().join(path)).ok()?).ok()?));
    tracked().into_iter().filter_map(read).collect()
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let mut needles: Vec<String> = private_hosts();
    let folders = [concat!("/wo", "rk/"), concat!("/fa", "rm/"), concat!("/tmp/bash", "_jobs")];
    needles.extend(folders.map(str::to_owned));
    needles.push(root().to_string_lossy().into_owned() + "/");
    let mut findings = Vec::new();
    for (path, text) in texts() {
        for needle in &needles {
            for (at, _) in text.match_indices(needle.as_str()) {
                let before = text[..at].chars().next_back();
                let continues = before.is_some_and(|c| c.is_alphanumeric() || "._-~})".contains(c));
                if !continues {
                    let line = 1 + text[..at].matches('\n').count();
                    let text =
                        format!("`{needle}` exists only on one machine: use a relative path or a variable");
                    findings.push(Finding { path: path.clone(), line, text });
                }
            }
        }
    }
    judge("machine", findings);
}

/// Package mirrors and proxies that this machine is set up to use.
fn private_hosts() -> Vec<String> {
    let known = ["crates.io", "github.com", "pypi.org", "golang.org", "localhost", "127.0.0.1"];
    let ends = ["_PROXY", "_INDEX_URL", "_INDEX", "GOPROXY"];
    let vars = std::env::vars().filter(|(name, _)| ends.iter().any(|end| name.to_uppercase().ends_with(end)));
    let mut text: String = vars.map(|(_, value)| value + "\n").collect();
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"));
    for name in ["config.toml", "config"] {
        let path = Path::new(home.as_deref().unwrap_or_default()).join(name);
        text += &std::fs::read_to_string(path).unwrap_or_default();
    }
    let hosts = text.split("://").skip(1).map(|rest| {
        let authority = rest.split(['/', '"', ' ', '\n', ',', '|']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        host.split(':').next().unwrap_or_default().to_owned()
    });
    hosts.filter(|host| host.len() > 5 && !known.iter().any(|known| host.ends_with(known))).collect()
}

#[test]
fn every_fault_has_a_test_that_exists_or_says_why_it_has_none() {
    for (table, least) in [("tests/FAULTS.md", 40), ("tests/PROOF.md", 15)] {
        let text = std::fs::read_to_string(root().join(table)).expect("the table is in the repository");
        let (mut findings, mut rows) = (Vec::new(), 0);
        for (index, line) in text.lines().enumerate() {
            let Some(proofs) = faults::proofs(line) else { continue };
            rows += 1;
            let mut wrong: Vec<String> =
                proofs.iter().filter_map(|proof| faults::fault(root(), proof)).collect();
            if proofs.is_empty() && !faults::is_open(line) {
                wrong.push("neither a test nor `open: ` with a reason".to_owned());
            }
            let path = table.to_owned();
            findings.extend(wrong.into_iter().map(|text| Finding {
                path: path.clone(),
                line: index + 1,
                text,
            }));
        }
        assert!(rows > least, "only {rows} rows of {table} were read");
        judge("faults", findings);
    }
}

#[test]
fn every_limit_is_as_the_page_says_and_has_a_test() {
    const TABLE: &str = "src/config/render/limits.rs";
    let mut findings = Vec::new();
    for limit in kvd::config::render::LIMITS {
        let wrong = limits::wrong(root(), limit).into_iter();
        let wrong = wrong.map(|text| format!("{}: {text}", limit.what));
        findings.extend(wrong.map(|text| Finding { path: TABLE.to_owned(), line: 0, text }));
    }
    assert!(kvd::config::render::LIMITS.len() > 20, "the table is there");
    judge("limits", findings);
}

#[test]
fn every_dependency_comes_from_crates_io() {
    let text = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is in the repository");
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("source = ")) {
        if line != "source = \"registry+https://github.com/rust-lang/crates.io-index\"" {
            let text = format!("{line}: only crates.io is a source that every builder has");
            findings.push(Finding { path: "Cargo.lock".to_owned(), line: index + 1, text });
        }
    }
    judge("sources", findings);
}

/// Their package is built by `tests/fuzz/run` only, so nothing else would notice.
#[test]
fn fuzz_targets_depend_on_the_crates_they_use() {
    let read = |name: &str| std::fs::read_to_string(root().join("tests/fuzz").join(name)).expect("a file");
    let (manifest, entries) = (read("Cargo.toml"), read("entries.rs"));
    let used = entries.lines().filter_map(|line| line.strip_prefix("use ")?.split([':', ';']).next());
    let missing = used.filter(|name| *name != "std" && !manifest.contains(&format!("\n{name} = ")));
    let finding = |name| Finding {
        path: "tests/fuzz/Cargo.toml".to_owned(),
        line: 0,
        text: format!("{name} is used by entries.rs and is not a dependency"),
    };
    judge("fuzz", missing.map(finding).collect());
}

#[test]
fn circles_are_found() {
    let file = |path: &str, text: &str| (path.to_owned(), Source::new(path, text.to_owned()));
    let sources = BTreeMap::from([
        file("src/peer/mod.rs", "mod a; mod b; mod c; mod d; pub use a::A; pub use c::{C, D};"),
        file("src/peer/a.rs", "use super::{b, C}; fn f() { b::g() }"),
        file("src/peer/b.rs", "use crate::peer::c::D; #[cfg(test)] mod tests { use super::super::a::A; }"),
        file("src/peer/c.rs", "fn f(x: super::a::A) {} use crate::raft::a;"),
        file("src/peer/d.rs", "use super::A;"),
        file("src/raft/mod.rs", "mod a; fn f() { a::g() }"),
        file("src/raft/a.rs", "use super::f; use super::super::peer::d;"),
    ]);
    let uses = circles::uses(&sources);
    let used = |path: &str| uses[path].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(used("src/peer/mod.rs"), [""; 0]);
    assert_eq!(used("src/peer/a.rs"), ["src/peer/b.rs", "src/peer/c.rs"]);
    assert_eq!(used("src/peer/b.rs"), ["src/peer/c.rs"]);
    assert_eq!(used("src/peer/d.rs"), ["src/peer/a.rs"]);
    let peer = ["src/peer/a.rs", "src/peer/b.rs", "src/peer/c.rs"].map(str::to_owned).to_vec();
    let raft = ["src/raft/a.rs", "src/raft/mod.rs"].map(str::to_owned).to_vec();
    assert_eq!(circles::circles(&uses), [peer, raft]);
}

#[test]
fn the_reader_of_source_reads_source() {
    let text = r##"
use crate::{api::{proto::x, status}, model::Key as K, store};
fn short() { let _ = ("}", '}', '"', b'"', r#"{"{"#, 'a'); /* { /* nested */ */ }
fn lives<'a, 'b>(x: &'a [u8; 4]) -> &'a u8 where 'a: 'b { crate::watch::Hub::new(); super::super::lease::x() }
#[cfg(test)]
mod tests {
    fn t() { None::<u8>.unwrap(); }
}
#[cfg(not(test))]
fn real() { a.unwrap(); }
"##;
    let source = Source::new("src/api/sample.rs", text.to_owned());
    let paths: Vec<String> =
        source.crate_paths("crate").into_iter().map(|(_, path)| path.join("::")).collect();
    assert_eq!(paths, ["api::proto", "api::status", "model::Key", "store", "watch::Hub"]);
    let functions: Vec<_> = source.functions().into_iter().map(|(name, _, lines)| (name, lines)).collect();
    let expected = [("short", 1), ("lives", 1), ("t", 1), ("real", 1)];
    assert_eq!(functions, expected.map(|(name, lines)| (name.to_owned(), lines)));
    let unwraps: Vec<bool> = source.find(".unwrap()").into_iter().map(|at| source.is_test(at)).collect();
    assert_eq!(unwraps, [true, false]);
    assert_eq!(escapes(&source), [(source.find("super::super").remove(0), vec!["lease".to_owned()])]);
    assert_eq!(word_at(&source.code, source.find("lease").remove(0)), "lease");
}
