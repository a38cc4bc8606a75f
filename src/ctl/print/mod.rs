//! The formats of `--write-out`, as etcdctl 3.7 prints them. Everything here returns bytes; commands print them.
//!
//! | file | holds |
//! |---|---|
//! | `format.rs` | the formats, and how they are refused |
//! | `tree.rs`, `document.rs` | what is printed in JSON or YAML |
//! | `json.rs`, `yaml.rs`, `fields.rs`, `table.rs` | what texts in these formats are made of |
//! | `words.rs` | single values as etcdctl spells them |
//! | the others | the answers of one service each |

pub(super) mod auth;
pub(super) mod backup;
pub(super) mod data;
pub(super) mod diff;
pub(super) mod doctor;
mod document;
pub(super) mod endpoint;
mod fields;
mod format;
mod json;
pub(super) mod lease;
pub(super) mod member;
pub(super) mod offline;
pub(super) mod space;
pub(super) mod status;
mod table;
mod tree;
pub(super) mod upgrade;
pub(super) mod watch;
mod words;
mod yaml;

pub(super) use format::{Format, Style};
pub(super) use words::{quoted, quoted_bytes};
