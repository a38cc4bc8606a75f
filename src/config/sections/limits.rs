//! Limits of requests and connections.

use std::time::Duration;

use super::{U32, U64};
use crate::config::findings::Findings;
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::typed::section;
use crate::model::MAX_REQUEST_BYTES;

/// Above this etcd warns.
const LARGE_REQUEST: usize = 10 << 20;

/// The shortest interval of progress notifications, as in etcd.
const MIN_PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

section! {
    /// Limits of requests and connections.
    pub struct Limits under Limits {
        max_txn_ops: usize = etcd("max-txn-ops", Kind::Number(U32), "128", "The most operations in one transaction.").reloads();
        max_request_bytes: usize = etcd("max-request-bytes", Kind::Number(U32), "1572864", "The largest request in bytes.").reloads();
        max_concurrent_streams: u32 = etcd("max-concurrent-streams", Kind::Number(U32), "4294967295", "The most HTTP/2 streams of one client connection. The default is 10000 in fact: more would take more memory than one client should have.").zero_means("4294967295");
        max_unsent_bytes: usize = own("max-unsent-bytes", Kind::Number(U64), "335544320", "The most memory, in bytes, for what is read for clients and for answers that they have not read yet, over all connections. Beyond it a request whose answer is not small gets \"too many requests\", and streams wait; a single answer has half of it at most. It is never less than eight times max-request-bytes.");
        /// None allows all.
        keepalive_min_time: Option<Duration> = etcd("grpc-keepalive-min-time", Kind::Duration, "5s", "The shortest interval at which a client may ping; one that pings more often is disconnected. 0 allows all.");
        /// None for no pings.
        keepalive_interval: Option<Duration> = etcd("grpc-keepalive-interval", Kind::Duration, "2h", "How often the server pings an idle client connection. 0 means never.");
        /// None for the library's default.
        keepalive_timeout: Option<Duration> = etcd("grpc-keepalive-timeout", Kind::Duration, "20s", "How long the server waits for the response to its ping before it closes the connection. 0 means the library's default.");
        watch_progress_interval: Duration = etcd("watch-progress-notify-interval", Kind::Duration, "0s", "How often an idle watcher that asked for it gets the current revision; at least 100ms.").since("3.6").zero_means("10m").reloads();
    }
}

impl Limits {
    pub(in crate::config) fn check(&self, found: &mut Findings<'_>) {
        if self.watch_progress_interval < MIN_PROGRESS_INTERVAL {
            let message = "--watch-progress-notify-interval is raised to 100ms";
            found.warn("watch-progress-notify-interval", message);
        }
        let bytes = self.max_request_bytes;
        if bytes > MAX_REQUEST_BYTES {
            let message = format!(
                "--max-request-bytes {bytes}: members cannot pass on requests of more than {MAX_REQUEST_BYTES} bytes"
            );
            found.error("max-request-bytes", message);
        } else if bytes > LARGE_REQUEST {
            let message = format!(
                "exceeded recommended request limit: {bytes} bytes, recommended {LARGE_REQUEST} bytes"
            );
            found.warn("max-request-bytes", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Disk, Surroundings, read};

    #[test]
    fn no_number_of_streams_is_no_limit() {
        let arguments = vec!["--max-concurrent-streams=0".to_string(), "--config-file=".to_string()];
        let surroundings =
            Surroundings { arguments, variables: Vec::new(), files: &Disk, default_host: || None };
        let (config, _) = read(&surroundings).into_result().expect("valid");
        assert_eq!(config.limits.max_concurrent_streams, u32::MAX);
    }
}
