//! Who a member is, in certificates.
//!
//! [`self_signed`] makes the certificate of `--auto-tls`. (The identity between members comes with the peer protocol.)

pub mod self_signed;
