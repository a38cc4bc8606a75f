//! The `raft` room.
