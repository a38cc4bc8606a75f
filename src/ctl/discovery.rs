//! Endpoints by DNS: `--discovery-srv`.

use super::failure::Failure;
use crate::client;

/// What to ask of DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Discovery {
    pub(super) domain: String,
    /// What the names of the services have at their end; may be empty.
    pub(super) suffix: String,
    /// Endpoints without TLS are used, too, and a certificate need not be the domain's.
    pub(super) insecure: bool,
}

impl Discovery {
    /// The endpoints; none if DNS only has such without TLS, and these are not wanted.
    ///
    /// # Errors
    /// etcdctl's, if DNS has none.
    pub(super) async fn endpoints(&self) -> Result<Vec<String>, Failure> {
        let mut found = client::endpoints(&self.domain, &self.suffix).await.map_err(Failure::error)?;
        if !self.insecure {
            found.retain(|endpoint| {
                let is_plain = endpoint.starts_with("http://");
                if is_plain {
                    eprintln!("ignoring discovered insecure endpoint {endpoint:?}");
                }
                !is_plain
            });
        }
        Ok(found)
    }

    /// The name that the servers' certificates must have, beside their own.
    pub(super) fn server_name(&self) -> Option<String> {
        (!self.insecure).then(|| self.domain.clone())
    }
}
