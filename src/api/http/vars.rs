//! `/debug/vars`: the variables that etcd publishes there and kvd has, as JSON. The command line is left out but for the
//! program: it may hold secrets.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::answer::page;
use crate::api::body::ReplyBody;
use crate::api::services::Services;

/// The page.
pub(super) fn vars(services: &Services) -> Response<ReplyBody> {
    page(StatusCode::OK, "application/json; charset=utf-8", format!("{:#}\n", values(services)))
}

fn values(services: &Services) -> Value {
    let status = services.node.status();
    let state = match (status.is_leader, status.is_learner) {
        (true, _) => "StateLeader",
        (false, true) => "StateLearner",
        (false, false) => "StateFollower",
    };
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    json!({
        "cmdline": std::env::args_os().next().map(|program| vec![program.to_string_lossy().into_owned()]),
        "file_descriptor_limit": limit,
        "raft.status": {
            "id": status.id.to_string(),
            "term": status.term,
            "lead": status.leader.map_or("0".to_string(), |leader| leader.to_string()),
            "raftState": state,
            "commit": status.committed,
            "applied": status.applied,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::lab::lone_leader;
    use crate::store::{Options, Store};

    #[tokio::test(flavor = "multi_thread")]
    async fn the_raft_status_is_that_of_the_node() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options { map_size: 1 << 30, ..Options::default() }).unwrap();
        let member = lone_leader(store, crate::api::services::Settings::default()).await;
        let status = member.services.node.status();
        let values = values(&member.services);
        let raft = &values["raft.status"];
        assert_eq!(raft["id"], status.id.to_string());
        assert_eq!(raft["lead"], raft["id"]);
        assert_eq!(raft["raftState"], "StateLeader");
        assert!(raft["applied"].as_u64() >= Some(1), "{values}");
        assert_eq!(values["cmdline"].as_array().map(Vec::len), Some(1));
    }
}
