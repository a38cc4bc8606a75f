//! Server reflection (`grpc.reflection.v1` and `v1alpha`), which etcd does not offer: tools can ask kvd for its
//! services.

use std::convert::Infallible;

use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic_reflection::server::{Builder, Error};
use tower::util::BoxCloneSyncService;

use crate::api::proto::DESCRIPTORS;

type Faceless = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Both versions of the service.
#[derive(Clone)]
pub struct Reflection {
    v1: Faceless,
    v1alpha: Faceless,
}

impl Reflection {
    /// Reads the built-in descriptors.
    pub fn new() -> Result<Self, Error> {
        let v1 = Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS).build_v1()?;
        let v1alpha =
            Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS).build_v1alpha()?;
        Ok(Self { v1: BoxCloneSyncService::new(v1), v1alpha: BoxCloneSyncService::new(v1alpha) })
    }

    /// Answers a request, in the older version or the newer one.
    pub async fn call(&self, older: bool, request: Request<Body>) -> Response<Body> {
        let service = if older { &self.v1alpha } else { &self.v1 };
        match service.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
