//! Credentials as another member meets them: real handshakes of rustls, without a network.

mod files;
mod go;
mod issued;
pub(crate) mod lab;
