//! The `watch` room.
