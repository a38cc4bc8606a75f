//! The configuration as operators meet it: golden stories of diagnostics, the pages made from the table of options, who
//! wins over whom, and what must hold for any input.
//!
//! `UPDATE_GOLDEN=1 cargo test --test config` writes expected outputs, man pages and the sample file anew.

#[path = "config/golden.rs"]
mod golden;
#[path = "config/pages.rs"]
mod pages;
#[path = "config/precedence.rs"]
mod precedence;
#[path = "config/properties.rs"]
mod properties;
#[path = "config/world.rs"]
mod world;
