//! The configuration as operators meet it: golden stories of diagnostics, the pages generated from the table of
//! options, which source has priority, and what must hold for any input.
//!
//! `UPDATE_GOLDEN=1 cargo test --test config` rewrites expected outputs, man pages and the sample file.

#[path = "config/golden.rs"]
mod golden;
#[path = "config/pages.rs"]
mod pages;
#[path = "config/precedence.rs"]
mod precedence;
#[path = "config/properties.rs"]
mod properties;
#[path = "config/start.rs"]
mod start;
#[path = "config/world.rs"]
mod world;
