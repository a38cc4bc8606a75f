//! The faces.

pub mod proto;
