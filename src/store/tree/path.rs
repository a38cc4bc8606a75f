//! The order of paths: a directory comes right before everything below it.

use std::cmp::Ordering;
use std::sync::Arc;

/// A path; ordered name by name, so that what is below a directory is together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(pub Arc<str>);

impl Path {
    /// A path for looking it up.
    pub fn new(path: &str) -> Self {
        Self(path.into())
    }
}

impl Ord for Path {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn compare(one: &str, other: &str) -> Ordering {
    // The slash sorts before every other byte.
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
    one.as_bytes().iter().map(rank).cmp(other.as_bytes().iter().map(rank))
}

/// True if `path` is below the directory `dir`.
pub fn is_below(path: &str, dir: &str) -> bool {
    match path.strip_prefix(dir) {
        Some(rest) => dir == "/" && !rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

/// True for the first path below the directory `dir`, and for all after it.
pub fn is_from_below(path: &str, dir: &str) -> bool {
    is_below(path, dir) || compare(path, dir) == Ordering::Greater
}

/// True for the first path after everything below the directory `dir`, and for all after it.
pub fn is_after(path: &str, dir: &str) -> bool {
    !is_below(path, dir) && compare(path, dir) == Ordering::Greater
}

/// True if a node's own name marks it as hidden.
pub fn is_hidden(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with('_'))
}

/// The paths from the first name down to the whole path: `/a` and `/a/b` for `/a/b`, none for the root.
pub fn steps(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
    ends.filter(|end| *end > 1).map(|end| path.get(..end).unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_followed_by_what_is_below_it() {
        let mut paths = ["/a-b", "/a/b/c", "/b", "/a", "/a.", "/a/c", "/a/b", "/a/b-"].map(Path::new);
        paths.sort();
        let paths = paths.map(|path| path.0.to_string());
        assert_eq!(paths, ["/a", "/a/b", "/a/b/c", "/a/b-", "/a/c", "/a-b", "/a.", "/b"]);
        assert!(paths[1..5].iter().all(|path| is_below(path, "/a") && is_from_below(path, "/a")));
        assert!(paths[5..].iter().all(|path| !is_below(path, "/a") && is_after(path, "/a")));
        assert!(!is_from_below("/a", "/a") && !is_after("/a", "/a"));
        assert!(is_below("/a", "/") && !is_below("/", "/"));
    }

    #[test]
    fn steps_lead_down() {
        let all = |path| steps(path).collect::<Vec<_>>();
        assert_eq!(all("/a/b/c"), ["/a", "/a/b", "/a/b/c"]);
        assert_eq!(all("/a"), ["/a"]);
        assert!(all("/").is_empty());
        assert!(is_hidden("/a/_b") && !is_hidden("/_a/b") && !is_hidden("/"));
    }
}
