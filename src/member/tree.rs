//! Ends the nodes of v2's tree whose time has come, while this member leads.

use std::time::Duration;

use super::parts::{Job, Member};
use crate::model::{Command, TreeCommand};
use crate::raft::Node;
use crate::store::Store;

/// How often it looks (etcd's `SYNC` interval).
const INTERVAL: Duration = Duration::from_millis(500);

/// Proposes the end of nodes.
pub fn job(member: &Member) -> Job {
    Box::pin(run(member.node.clone(), member.store.clone()))
}

async fn run(node: Node, store: Store) {
    let mut leadership = node.leadership();
    loop {
        let now = *leadership.borrow_and_update();
        if !now.leading {
            if leadership.changed().await.is_err() {
                return;
            }
            continue;
        }
        if store.tree().next_due().is_some_and(|due| due <= node.now_ms()) {
            let proposed = node.propose_in_term(now.term, Command::Tree(TreeCommand::Expire)).await;
            if proposed.is_ok() {
                // There may be more than one command ends.
                continue;
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
