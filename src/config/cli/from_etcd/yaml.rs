//! etcd.conf.yml, or the same in JSON.

use std::path::PathBuf;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::{Content, Item, manifest};
use crate::config::diagnostic::{Diagnostic, FilePlace, Place, locate};
use crate::config::options::{self, OptionSpec};

/// The deepest nesting; deeper files are not etcd's.
const MAX_DEPTH: usize = 16;
/// The most keys or elements; larger files are not etcd's.
const MAX_NODES: usize = 2000;

/// A YAML value, as far as etcd's file needs it.
pub(super) enum Node {
    Scalar(String, Span),
    Null,
    Sequence(Vec<Node>),
    Mapping(Vec<(String, Span, Node)>),
}

/// Reads all keys with their values, or the etcd that a manifest runs.
pub(super) fn read(path: &Arc<PathBuf>, text: &str) -> Result<Vec<Item>, Vec<Diagnostic>> {
    let mut reader = Reader { path, text, events: Parser::new_from_str(text), nodes: 0 };
    let documents = reader.documents().map_err(|error| vec![*error])?;
    let refuse =
        |message: &str| Err(vec![Diagnostic::error(message).at(Some(Place::Path(Arc::clone(path))))]);
    let is_manifest =
        |node: &Node| matches!(node, Node::Mapping(entries) if manifest::looks_like_manifest(entries));
    if documents.iter().any(is_manifest) {
        return manifest::read(&reader, documents);
    }
    let mut items = Vec::new();
    match documents.into_iter().next() {
        Some(Node::Mapping(entries)) => flatten(&reader, entries, "", &mut items),
        Some(Node::Null) | None => return Ok(items),
        Some(_) => return refuse("expected keys with values, or lines NAME=value"),
    }
    if items.iter().all(|item| item.spec.is_none()) {
        return refuse("none of the keys in this file is one of etcd's");
    }
    Ok(items)
}

/// Turns nested maps into dotted keys. Keys are matched as in etcd, ignoring case.
fn flatten(reader: &Reader<'_>, entries: Vec<(String, Span, Node)>, prefix: &str, items: &mut Vec<Item>) {
    for (name, span, node) in entries {
        let key = format!("{prefix}{name}");
        let place = reader.place(span);
        let spec = find(&key);
        let content = match node {
            Node::Mapping(entries) if spec.is_none_or(|spec| spec.key == "feature-gates") => match spec {
                Some(_) => Content::Scalar(pairs(&entries)),
                None => {
                    flatten(reader, entries, &format!("{key}."), items);
                    continue;
                }
            },
            Node::Mapping(entries) => Content::Scalar(pairs(&entries)),
            Node::Scalar(text, _) => Content::Scalar(text),
            Node::Null => Content::Nothing,
            Node::Sequence(nodes) => Content::Array(nodes.into_iter().filter_map(scalar).collect()),
        };
        items.push(Item { key, spec, content, place });
    }
}

fn find(key: &str) -> Option<&'static OptionSpec> {
    options::all().find(|spec| !spec.key.is_empty() && spec.key.eq_ignore_ascii_case(key))
}

fn scalar(node: Node) -> Option<String> {
    match node {
        Node::Scalar(text, _) => Some(text),
        _ => None,
    }
}

/// `a=b,c=d` from a map, in a flag's syntax.
fn pairs(entries: &[(String, Span, Node)]) -> String {
    let pairs: Vec<String> = entries
        .iter()
        .filter_map(|(name, _, node)| match node {
            Node::Scalar(text, _) => Some(format!("{name}={text}")),
            _ => None,
        })
        .collect();
    pairs.join(",")
}

pub(super) struct Reader<'t> {
    path: &'t Arc<PathBuf>,
    text: &'t str,
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    nodes: usize,
}

type Outcome<T> = Result<T, Box<Diagnostic>>;

impl<'t> Reader<'t> {
    pub fn path(&self) -> &Arc<PathBuf> {
        self.path
    }

    fn documents(&mut self) -> Outcome<Vec<Node>> {
        let mut documents = Vec::new();
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(documents),
                (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing, _) => {}
                (event, span) => documents.push(self.node(event, span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Outcome<(Event<'t>, Span)> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let at = *error.marker();
                let place = self.place(Span::empty(at));
                Err(Box::new(
                    Diagnostic::error(format!("YAML: {}", error.info())).at(Some(Place::File(place))),
                ))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Outcome<Node> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(self.refuse("this is larger than etcd's file can be", span));
        }
        match event {
            Event::Scalar(text, style, _, _) => {
                let plain = style == ScalarStyle::Plain;
                if plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL") {
                    return Ok(Node::Null);
                }
                Ok(Node::Scalar(text.into_owned(), span))
            }
            Event::SequenceStart(..) => {
                let mut nodes = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => return Ok(Node::Sequence(nodes)),
                        (event, span) => nodes.push(self.node(event, span, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => self.mapping(depth),
            Event::Alias(_) => Err(self.refuse("aliases are not followed; write the value out", span)),
            _ => Err(self.refuse("unexpected end", span)),
        }
    }

    fn mapping(&mut self, depth: usize) -> Outcome<Node> {
        let mut entries: Vec<(String, Span, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let name = match event {
                Event::MappingEnd => return Ok(Node::Mapping(entries)),
                Event::Scalar(name, ..) => name.into_owned(),
                _ => return Err(self.refuse("a key must be a plain word", span)),
            };
            if entries.iter().any(|(known, _, _)| *known == name) {
                return Err(self.refuse("the key stands here twice", span));
            }
            let (event, at) = self.next()?;
            let node = self.node(event, at, depth + 1)?;
            entries.push((name, span, node));
        }
    }

    fn refuse(&self, message: &str, span: Span) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(message).at(Some(Place::File(self.place(span)))))
    }

    /// The parser counts characters; a place needs bytes.
    pub fn place(&self, span: Span) -> FilePlace {
        let byte = |index: usize| self.text.char_indices().nth(index).map_or(self.text.len(), |(at, _)| at);
        locate(self.path, self.text, byte(span.start.index())..byte(span.end.index()))
    }
}
