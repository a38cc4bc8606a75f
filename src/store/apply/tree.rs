//! Changes of v2's tree, and their rows.

use super::{Applying, Stop};
use crate::model::{Reply, TreeCommand};
use crate::store::tables::Id;
use crate::store::tree::{self, Changes, encode_event, encode_node};

impl Applying<'_> {
    pub(super) fn change_tree(&mut self, command: &TreeCommand) -> Result<Reply, Stop> {
        let mut changes = Changes::default();
        let tree = self.tree.get_or_insert_with(|| self.reader.tree());
        let reply = tree::apply(tree, command, self.stamp.time_ms, &mut changes);
        self.figures.tree.ran(command, &reply);
        for index in changes.forgotten {
            self.reader.put_row(Id::TreeEvents, index.to_be_bytes().to_vec().into(), None);
        }
        for (path, node) in changes.nodes {
            let value = node.as_ref().map(encode_node).transpose()?;
            self.reader.put_row(Id::Tree, path.0.as_bytes().to_vec().into(), value);
        }
        for change in &changes.made {
            let index = change.event.index();
            // One command may make more changes than the history holds.
            if tree.remembers(index) {
                let value = encode_event(&change.event)?;
                self.reader.put_row(Id::TreeEvents, index.to_be_bytes().to_vec().into(), Some(value));
            }
        }
        self.tree_changes.extend(changes.made);
        Ok(Reply::Tree(reply))
    }
}
