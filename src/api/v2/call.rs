//! A request on its way, and its caller.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method};

use crate::api::audit::Entry;
use crate::api::client::Client;
use crate::api::gate;
use crate::api::rules::{Access, Rpc};
use crate::api::services::Services;
use crate::model::{Caller, Refusal};

/// A request on its way.
pub struct Call<'c> {
    pub services: &'c Arc<Services>,
    pub client: &'c Arc<Client>,
    pub method: Method,
}

impl Call<'_> {
    /// The caller, who has the role root if authentication is on.
    pub async fn admit(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        gate::admit_as(self.services, Access::Root, headers, self.client.certified.as_ref()).await
    }

    /// The same for a request that a method of v3 answers.
    pub async fn admit_as(&self, rpc: Rpc, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let began = Instant::now();
        self.admit(headers).await.inspect_err(|refusal| {
            if let Some(audit) = self.services.audit.get() {
                audit.refused(rpc.rule(), self.client, refusal, began);
            }
        })
    }

    /// The caller of a request on a node. As in etcd, a learner passes on what goes through the log.
    pub async fn admit_to(&self, node: (&str, bool), headers: &HeaderMap) -> Result<Caller, Refusal> {
        self.admit(headers).await.inspect_err(|refusal| {
            if let Some(audit) = self.services.audit.get() {
                audit.call(Entry::of_v2(self.client, &Caller::Anonymous, node), Some(refusal));
            }
        })
    }
}
