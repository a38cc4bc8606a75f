//! Recovery from a full store: compaction, defragmentation and disarming, in every order.

use crate::harness::{PATIENT, Program, Server, Setup, reference, subject, tool};
use kvd::api::proto::etcdserverpb::alarm_request::AlarmAction;
use kvd::api::proto::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, DefragmentRequest, PutRequest, StatusRequest,
};
use std::path::Path;

const QUOTA: usize = 8 << 20;
const VALUE: usize = 512 << 10;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Compact,
    Defragment,
    Disarm,
}

use Step::{Compact, Defragment, Disarm};

const ORDERS: [[Step; 3]; 6] = [
    [Compact, Defragment, Disarm],
    [Compact, Disarm, Defragment],
    [Defragment, Compact, Disarm],
    [Defragment, Disarm, Compact],
    [Disarm, Compact, Defragment],
    [Disarm, Defragment, Compact],
];

async fn full(program: &Program) -> Server {
    Setup::of(program).arg(format!("--quota-backend-bytes={QUOTA}")).start().await
}

/// Puts to one key until it is refused; returns the revision.
async fn fill(server: &Server) -> i64 {
    for _ in 0..4 * QUOTA / VALUE {
        if let Err(status) = put(server).await {
            assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
            assert_eq!(status.message(), "etcdserver: mvcc: database space exceeded");
            let answer = server.api().maintenance.status(StatusRequest {}).await.expect("a status");
            return answer.into_inner().header.expect("a header").revision;
        }
    }
    panic!("the store is never full");
}

async fn put(server: &Server) -> Result<(), tonic::Status> {
    let request = PutRequest { key: "k".into(), value: vec![b'v'; VALUE].into(), ..Default::default() };
    server.api().kv.put(request).await.map(drop)
}

async fn take(server: &Server, step: Step, revision: i64) {
    let mut api = server.api();
    let done = match step {
        Compact => api.kv.compact(CompactionRequest { revision, physical: false }).await.map(drop),
        Defragment => api.maintenance.defragment(DefragmentRequest {}).await.map(drop),
        Disarm => {
            let (action, alarm) = (AlarmAction::Deactivate.into(), AlarmType::Nospace.into());
            // As etcdctl does: disarms all alarms that are listed.
            let all = AlarmRequest { action: AlarmAction::Get.into(), member_id: 0, alarm };
            let alarms = api.maintenance.alarm(all).await.expect("a list of alarms").into_inner().alarms;
            for raised in alarms {
                let request = AlarmRequest { action, member_id: raised.member_id, alarm };
                api.maintenance.alarm(request).await.expect("the alarm's end");
            }
            Ok(())
        }
    };
    done.unwrap_or_else(|status| panic!("{step:?}: {status}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_of_the_ways_back_leaves_a_store_full() {
    if !subject().is_kvd() {
        return;
    }
    let server = full(&subject()).await;
    for round in 0..3 {
        for order in ORDERS {
            let revision = fill(&server).await;
            for step in order {
                take(&server, step, revision).await;
            }
            for n in 0..QUOTA / VALUE / 2 {
                let done = put(&server).await;
                done.unwrap_or_else(|status| panic!("round {round}, {order:?}, put {n}: {status}"));
            }
        }
    }
}

async fn run(client: &Path, server: &Server, args: &[&str]) {
    let mut command = tokio::process::Command::new(client);
    command
        .args(args)
        .env_clear()
        .env("ETCDCTL_ENDPOINTS", server.endpoint())
        .envs(PATIENT)
        .kill_on_drop(true);
    let output = command.output().await.expect("etcdctl runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The documented order, by hand, against etcd and kvd; then all orders against kvd.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_makes_room_in_a_full_store() {
    const NAME: &str = "etcdctl_makes_room_in_a_full_store";
    let (Some(client), Some(etcd)) = (tool(NAME, "3.7.3", "etcdctl"), reference(NAME)) else { return };
    for (program, orders) in [(etcd, &ORDERS[..1]), (subject(), &ORDERS[..])] {
        let server = full(&program).await;
        for order in orders {
            let revision = fill(&server).await.to_string();
            for step in order {
                match step {
                    Compact => run(&client, &server, &["compact", &revision]).await,
                    Defragment => run(&client, &server, &["defrag"]).await,
                    Disarm => run(&client, &server, &["alarm", "disarm"]).await,
                }
            }
            for n in 0..QUOTA / VALUE / 2 {
                put(&server).await.unwrap_or_else(|status| panic!("{program}, {order:?}, put {n}: {status}"));
            }
        }
    }
}
