//! The clients of etcd's gRPC services, generated from kvd's own copy of the messages.

use kvd::api::proto::etcdserverpb::auth_client::AuthClient;
use kvd::api::proto::etcdserverpb::cluster_client::ClusterClient;
use kvd::api::proto::etcdserverpb::kv_client::KvClient;
use kvd::api::proto::etcdserverpb::lease_client::LeaseClient;
use kvd::api::proto::etcdserverpb::maintenance_client::MaintenanceClient;
use kvd::api::proto::etcdserverpb::watch_client::WatchClient;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};

/// One connection to one server, with all of etcd's services.
#[derive(Clone)]
pub struct Api {
    pub kv: KvClient<Channel>,
    pub watch: WatchClient<Channel>,
    pub lease: LeaseClient<Channel>,
    pub cluster: ClusterClient<Channel>,
    pub maintenance: MaintenanceClient<Channel>,
    pub auth: AuthClient<Channel>,
}

impl Api {
    /// A lazy connection to `url` (it is made by the first call, and again after a loss).
    pub fn lazy(url: &str) -> Api {
        let endpoint = Endpoint::from_shared(url.to_owned())
            .expect("the harness makes valid URLs")
            .connect_timeout(Duration::from_secs(5));
        Api::over(endpoint.connect_lazy())
    }

    /// All services over a connection that the test made.
    pub fn over(channel: Channel) -> Api {
        // clientv3 accepts answers of any size, so these clients must do the same.
        const ANY: usize = i32::MAX as usize;
        Api {
            kv: KvClient::new(channel.clone()).max_decoding_message_size(ANY),
            watch: WatchClient::new(channel.clone()).max_decoding_message_size(ANY),
            lease: LeaseClient::new(channel.clone()),
            cluster: ClusterClient::new(channel.clone()),
            maintenance: MaintenanceClient::new(channel.clone()),
            auth: AuthClient::new(channel),
        }
    }
}
