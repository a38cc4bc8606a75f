//! Which file of a room uses which, and the circles among them.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// The files that each file uses within its room, test code left out.
pub fn uses(sources: &BTreeMap<String, Source>) -> BTreeMap<&str, BTreeSet<String>> {
    let modules: BTreeMap<Vec<&str>, &Source> =
        sources.values().map(|source| (module_of(&source.path), source)).collect();
    let resolve = |from: &[&str], names: &[String]| target(&modules, from, names);
    let mut found = BTreeMap::new();
    for source in sources.values() {
        let module = module_of(&source.path);
        let mut used = BTreeSet::new();
        for (at, steps, names) in source.relative_paths() {
            if let (false, Some(above)) = (source.is_test(at), module.len().checked_sub(steps)) {
                used.extend(resolve(&module[..above], &names));
            }
        }
        for (at, names) in source.crate_paths("crate") {
            if let (false, Some((room, names))) = (source.is_test(at), names.split_first())
                && room == source.room()
            {
                used.extend(resolve(&[source.room()], names));
            }
        }
        used.extend(children_used(source).into_iter().filter_map(|name| resolve(&module, &[name])));
        used.remove(&source.path);
        used.retain(|path| sources[path].room() == source.room());
        found.insert(source.path.as_str(), used);
    }
    found
}

/// The path of a module from the crate's root.
fn module_of(path: &str) -> Vec<&str> {
    let below = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    below.split('/').filter(|name| !matches!(*name, "mod" | "lib")).collect()
}

/// The file in which the item `names`, as the module `from` has it, stands: a module below, whatever `from` hands out of
/// one, or `from` itself.
fn target(modules: &BTreeMap<Vec<&str>, &Source>, from: &[&str], names: &[String]) -> Option<String> {
    let own = modules.get(from)?;
    let first = names.first()?;
    let child = |name: &str| modules.get(&[from, &[name]].concat()).map(|source| source.path.clone());
    let below = child(first).map(|path| {
        let deeper = names.get(1).and_then(|name| modules.get(&[from, &[first.as_str(), name]].concat()));
        deeper.map_or(path, |source| source.path.clone())
    });
    let handed_out = || {
        let exports = exports(own);
        let (module, _) = exports.iter().find(|(_, item)| item == first)?;
        child(module)
    };
    below.or_else(handed_out).or_else(|| (!from.is_empty()).then(|| own.path.clone()))
}

/// What a file's `pub use` lines hand out: module and item.
fn exports(source: &Source) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (_, path) in source.handed_out() {
        if let [module, item] = path.as_slice() {
            found.push((module.clone(), item.clone()));
        }
    }
    found
}

/// The modules below a file that it uses itself, by their bare names.
fn children_used(source: &Source) -> Vec<String> {
    let exported: Vec<usize> = source.handed_out().into_iter().map(|(at, _)| at).collect();
    let mut found = Vec::new();
    for name in source.children() {
        let used = source.find(&format!("{name}::")).into_iter().any(|at| {
            let is_bare = at < 2 || source.code[at - 2..at] != *b"::";
            is_bare && !source.is_test(at) && !exported.contains(&at)
        });
        if used {
            found.push(name);
        }
    }
    found
}

/// The groups of files that use each other in a circle, each sorted.
pub fn circles(uses: &BTreeMap<&str, BTreeSet<String>>) -> Vec<Vec<String>> {
    let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for start in uses.keys() {
        let mut seen = BTreeSet::new();
        let mut open = vec![*start];
        while let Some(path) = open.pop() {
            for next in uses.get(path).into_iter().flatten() {
                if seen.insert(next.as_str()) {
                    open.push(next);
                }
            }
        }
        reached.insert(start, seen);
    }
    let mut groups = BTreeSet::new();
    for (path, seen) in &reached {
        let back = seen.iter().filter(|other| reached.get(*other).is_some_and(|of| of.contains(path)));
        let group: Vec<String> = back.map(|path| (*path).to_owned()).collect();
        if group.len() > 1 {
            groups.insert(group);
        }
    }
    groups.into_iter().collect()
}
