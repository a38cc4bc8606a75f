//! Changes of v2's tree, and their rows.

use super::{Applying, Stop};
use crate::model::{Reply, TreeCommand};
use crate::store::StoreError;
use crate::store::tables::Id;
use crate::store::tree::{self, Changes, encode_event, encode_node};

impl Applying<'_> {
    pub(super) fn change_tree(&mut self, command: &TreeCommand) -> Result<Reply, Stop> {
        let mut changes = Changes::default();
        let tree = self.tree.get_or_insert_with(|| self.reader.tree());
        let reply = tree::apply(tree, command, self.stamp.time_ms, &mut changes);
        self.figures.tree.ran(command, &reply);
        // One command may make more changes than the history holds.
        let held = changes.made.iter().filter(|change| tree.remembers(change.event.index()));
        let events: Vec<_> = held
            .map(|change| Ok((change.event.index(), encode_event(&change.event)?)))
            .collect::<Result<_, StoreError>>()?;
        for index in changes.forgotten {
            self.put_row(Id::TreeEvents, &index.to_be_bytes(), None);
        }
        for (path, node) in changes.nodes {
            let value = node.as_ref().map(encode_node).transpose()?;
            self.put_row(Id::Tree, path.0.as_bytes(), value);
        }
        for (index, value) in events {
            self.put_row(Id::TreeEvents, &index.to_be_bytes(), Some(value));
        }
        self.tree_changes.extend(changes.made);
        Ok(Reply::Tree(reply))
    }
}
