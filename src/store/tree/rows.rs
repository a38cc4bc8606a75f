//! The tree's rows: one for each node under its path, one for each event in the history under its index.

use bytes::Bytes;

use super::path::Path;
use super::state::{Node, Tree};
use crate::model::TreeEvent;
use crate::store::StoreError;

/// The value of a node's row.
///
/// # Errors
/// None is known.
pub fn encode_node(node: &Node) -> Result<Bytes, StoreError> {
    encoded(postcard::to_stdvec(node))
}

/// The value of an event's row.
///
/// # Errors
/// None is known.
pub fn encode_event(event: &TreeEvent) -> Result<Bytes, StoreError> {
    encoded(postcard::to_stdvec(event))
}

fn encoded(bytes: postcard::Result<Vec<u8>>) -> Result<Bytes, StoreError> {
    bytes.map(Bytes::from).map_err(|error| StoreError::Damaged(format!("encoding a row: {error}")))
}

fn node(key: &[u8], value: &[u8]) -> Option<(Path, Node)> {
    let path = std::str::from_utf8(key).ok().filter(|path| path.len() > 1 && path.starts_with('/'))?;
    Some((Path::new(path), postcard::from_bytes(value).ok()?))
}

fn event(key: &[u8], value: &[u8]) -> Option<TreeEvent> {
    let index = u64::from_be_bytes(key.try_into().ok()?);
    postcard::from_bytes(value).ok().filter(|event: &TreeEvent| event.index() == index)
}

/// True for a valid row of a node.
pub fn is_node(key: &[u8], value: &[u8]) -> bool {
    node(key, value).is_some()
}

/// True for a valid row of an event.
pub fn is_event(key: &[u8], value: &[u8]) -> bool {
    event(key, value).is_some()
}

/// Adds a row of a node, or else of an event, to a tree; `None` if it is not valid.
pub fn load(tree: &mut Tree, is_event: bool, key: &[u8], value: &[u8]) -> Option<()> {
    if is_event {
        tree.remember(event(key, value)?.into());
    } else {
        let (path, node) = node(key, value)?;
        tree.insert(path, node);
    }
    Some(())
}
