//! The `ctl` room.
