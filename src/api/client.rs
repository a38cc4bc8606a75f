//! The client at the other end of a connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::unsent::Share;

/// See the module.
pub struct Client {
    /// Its address.
    pub peer: Peer,
    /// The address at which it has connected, if it is one.
    pub local: Option<SocketAddr>,
    /// It speaks TLS.
    pub encrypted: bool,
    /// The user that its certificate names, if certificates name users here.
    pub certified: Option<Arc<str>>,
    /// Its part of the memory for requests and answers.
    pub share: Arc<Share>,
}

impl Client {
    /// The same client to whom a certificate names nobody.
    pub fn uncertified(self: &Arc<Self>) -> Arc<Self> {
        match self.certified {
            None => self.clone(),
            Some(_) => {
                let Self { peer, local, encrypted, ref share, .. } = **self;
                Arc::new(Self { peer, local, encrypted, certified: None, share: share.clone() })
            }
        }
    }
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// An address.
    Tcp(SocketAddr),
    /// A process on this machine, by its id if the kernel knows it.
    Unix(Option<i32>),
    /// The client was gone before its address was read.
    Unknown,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => address.fmt(f),
            Peer::Unix(Some(process)) => write!(f, "a Unix socket, process {process}"),
            Peer::Unix(None) => f.write_str("a Unix socket"),
            Peer::Unknown => f.write_str("unknown"),
        }
    }
}
