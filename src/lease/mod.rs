//! The `lease` room.
