//! The space that etcd counts for a command before it is proposed (semantics section 11).

use crate::model::{Command, Op, Put, TreeCommand, Txn};

/// Bytes counted for a put in addition to key and value.
const PUT_OVERHEAD: u64 = 256;

/// Bytes counted for a lease.
const LEASE: u64 = 64;

/// Cost in bytes; 0 for commands that are always allowed.
pub fn cost(command: &Command) -> u64 {
    match command {
        Command::Put(put) => cost_of_put(put),
        Command::Txn(txn) => cost_of_txn(txn),
        Command::LeaseGrant { .. } => LEASE,
        Command::Tree(command) => cost_of_tree(command),
        _ => 0,
    }
}

fn cost_of_put(put: &Put) -> u64 {
    PUT_OVERHEAD + (put.key.len() + put.value.len()) as u64
}

/// A change of v2's tree; it is also in the history.
fn cost_of_tree(command: &TreeCommand) -> u64 {
    match command {
        TreeCommand::Set { path, value, .. }
        | TreeCommand::Create { path, value, .. }
        | TreeCommand::Update { path, value, .. }
        | TreeCommand::CompareAndSwap { path, value, .. } => {
            2 * (PUT_OVERHEAD + (path.len() + value.len()) as u64)
        }
        TreeCommand::Delete { .. } | TreeCommand::CompareAndDelete { .. } | TreeCommand::Expire => 0,
    }
}

/// The more expensive one of the branches, including the transactions inside them.
fn cost_of_txn(txn: &Txn) -> u64 {
    let cost = |ops: &[Op]| -> u64 {
        let costs = ops.iter().map(|op| match op {
            Op::Put(put) => cost_of_put(put),
            Op::Txn(nested) => cost_of_txn(nested),
            Op::Range(_) | Op::Delete(_) => 0,
        });
        costs.sum()
    };
    cost(&txn.success).max(cost(&txn.failure))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_dearer_branch_counts() {
        let put = |value: &'static [u8]| {
            Op::Put(Put { key: Bytes::from_static(b"k"), value: Bytes::from_static(value), ..Put::default() })
        };
        let nested = Op::Txn(Txn { success: vec![put(b"12345")], ..Txn::default() });
        let txn = Txn { compares: Vec::new(), success: vec![put(b"1"), nested], failure: vec![put(b"123")] };
        assert_eq!(cost(&Command::Txn(txn)), (256 + 2) + (256 + 6));
        assert_eq!(cost(&Command::Txn(Txn::default())), 0);
        assert_eq!(cost(&Command::LeaseGrant { id: 1, ttl: 1 }), 64);
    }
}
