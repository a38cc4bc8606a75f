//! YAML that is not etcd's own file, but runs etcd: pod manifests (including kubeadm's) and their templates, compose
//! files, and the cloud-configs of CoreOS.

use std::collections::BTreeMap;

use super::command::{self, Word};
use super::yaml::{Node, Reader};
use super::{Content, Item, shell};
use crate::config::diagnostic::{Diagnostic, FilePlace, Place};
use crate::config::options;

type Entries = Vec<(String, saphyr_parser::Span, Node)>;

/// A container or service that runs etcd.
struct Found {
    name: String,
    items: Vec<Item>,
}

/// True for a document that is not etcd's own file, judged by its keys.
pub(super) fn looks_like_manifest(entries: &Entries) -> bool {
    let has = |wanted: &str| entries.iter().any(|(name, _, _)| name == wanted);
    let is_map = |wanted: &str| {
        entries.iter().any(|(name, _, node)| name == wanted && matches!(node, Node::Mapping(_)))
    };
    has("apiVersion") || has("kind") || ["services", "coreos", "etcd", "etcd2"].iter().any(|key| is_map(key))
}

/// Reads the one etcd that these documents run or set up.
///
/// # Errors
/// If there is none or more than one, and for everything in it that cannot be read.
pub(super) fn read(reader: &Reader<'_>, documents: Vec<Node>) -> Result<Vec<Item>, Vec<Diagnostic>> {
    let mut found = Vec::new();
    for document in &documents {
        if let Node::Mapping(entries) = document
            && let Some(items) = cloud_config(reader, entries)
        {
            return items;
        }
        search(reader, document, "", &mut found)?;
    }
    let whole = Some(Place::Path(reader.path().clone()));
    match (found.pop(), found.is_empty()) {
        (Some(found), true) => Ok(found.items),
        (Some(last), false) => {
            let names: Vec<&str> = found.iter().chain([&last]).map(|found| found.name.as_str()).collect();
            let error = Diagnostic::error(format!("several etcds are run here: {}", names.join(", ")));
            Err(vec![error.at(whole).help("keep one of them in a copy of the file, and convert that")])
        }
        (None, _) => {
            let error = Diagnostic::error("nothing in this file runs etcd or sets it up");
            Err(vec![error.at(whole)])
        }
    }
}

/// `coreos: etcd2:` and its like: options by name, with dashes or underscores.
fn cloud_config(reader: &Reader<'_>, entries: &Entries) -> Option<Result<Vec<Item>, Vec<Diagnostic>>> {
    let within = match get(entries, "coreos") {
        Some(Node::Mapping(coreos)) => coreos,
        _ => entries,
    };
    let Some(Node::Mapping(settings)) = ["etcd2", "etcd"].iter().find_map(|key| get(within, key)) else {
        return None;
    };
    let (mut items, mut errors) = (Vec::new(), Vec::new());
    for (name, span, node) in settings {
        let place = reader.place(*span);
        let spec = options::find(&name.replace('_', "-"));
        let content = match node {
            Node::Scalar(text, _) => match command::expand(text, &BTreeMap::new()) {
                Ok(text) => Content::Scalar(text),
                Err(reason) => {
                    let error = Diagnostic::error(format!("`{name}`: {reason}"));
                    errors.push(error.at(Some(Place::File(place))));
                    continue;
                }
            },
            Node::Sequence(nodes) => {
                Content::Array(nodes.iter().filter_map(text).map(str::to_string).collect())
            }
            Node::Null | Node::Mapping(_) => Content::Nothing,
        };
        items.push(Item { key: name.clone(), spec, content, place });
    }
    Some(if errors.is_empty() { Ok(items) } else { Err(errors) })
}

/// Searches the whole document for whatever runs etcd.
fn search(
    reader: &Reader<'_>,
    node: &Node,
    name: &str,
    found: &mut Vec<Found>,
) -> Result<(), Vec<Diagnostic>> {
    match node {
        Node::Sequence(nodes) => {
            for node in nodes {
                search(reader, node, name, found)?;
            }
        }
        Node::Mapping(entries) => {
            let own = get(entries, "name").and_then(text).unwrap_or(name);
            if let Some(flags) = flags_of(reader, entries)? {
                let environment = environment(reader, entries);
                let variables = command::variables(&environment);
                let ours = environment.into_iter().filter(|item| shell::is_ours(&item.key)).collect();
                let mut items = command::read(&flags, &variables)?;
                items.extend(command::resolved(ours, &variables)?);
                found.push(Found { name: own.to_string(), items });
                return Ok(());
            }
            for (key, _, node) in entries {
                search(reader, node, key, found)?;
            }
        }
        Node::Scalar(..) | Node::Null => {}
    }
    Ok(())
}

/// The flags of a container that runs etcd: recognised by its command, or by its image and arguments.
fn flags_of(reader: &Reader<'_>, entries: &Entries) -> Result<Option<Vec<Word>>, Vec<Diagnostic>> {
    let mut words = Vec::new();
    for key in ["entrypoint", "command", "args"] {
        match get(entries, key) {
            Some(Node::Scalar(line, span)) => {
                let split = command::split(line, &reader.place(*span));
                words.extend(split.map_err(|error| vec![*error])?);
            }
            Some(Node::Sequence(nodes)) => words.extend(nodes.iter().filter_map(|node| match node {
                Node::Scalar(text, span) => Some(Word { text: text.clone(), place: reader.place(*span) }),
                _ => None,
            })),
            _ => {}
        }
    }
    let flags = command::flags_of_etcd(&words).map_err(|error| vec![*error])?;
    let image = get(entries, "image").and_then(text).unwrap_or_default();
    let image = image.rsplit('/').next().unwrap_or_default().split([':', '@']).next();
    let only_flags = words.first().is_none_or(|word| word.text.starts_with('-'));
    Ok(flags.or_else(|| (image == Some("etcd") && only_flags).then_some(words)))
}

/// Kubernetes' list of names and values, or compose's map or list of `NAME=value`.
fn environment(reader: &Reader<'_>, entries: &Entries) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut add = |name: &str, value: Option<&str>, place: FilePlace| {
        items.retain(|known| known.key != name);
        let mut item = shell::item(name, value.unwrap_or_default().to_string(), place);
        if value.is_none() {
            item.content = Content::Elsewhere;
        }
        items.push(item);
    };
    match get(entries, "env").or_else(|| get(entries, "environment")) {
        Some(Node::Mapping(variables)) => {
            for (name, span, value) in variables {
                add(name, text(value), reader.place(*span));
            }
        }
        Some(Node::Sequence(variables)) => {
            for variable in variables {
                match variable {
                    Node::Scalar(pair, span) => {
                        let (name, value) =
                            pair.split_once('=').map_or((pair.as_str(), None), |(n, v)| (n, Some(v)));
                        add(name, value, reader.place(*span));
                    }
                    Node::Mapping(parts) => {
                        let named = parts.iter().find(|(key, ..)| key == "name");
                        let Some((_, span, Node::Scalar(name, _))) = named else { continue };
                        let value = match get(parts, "value") {
                            None if get(parts, "valueFrom").is_none() => Some(""),
                            value => value.and_then(text),
                        };
                        add(name, value, reader.place(*span));
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
    items
}

fn get<'n>(entries: &'n Entries, wanted: &str) -> Option<&'n Node> {
    entries.iter().find(|(name, _, _)| name == wanted).map(|(_, _, node)| node)
}

fn text(node: &Node) -> Option<&str> {
    match node {
        Node::Scalar(text, _) => Some(text),
        _ => None,
    }
}
