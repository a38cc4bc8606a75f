//! `kvctl lease`.

use std::time::Duration;

use tonic::{Response, Status};

use crate::api::proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
};
use crate::client::{Connection, text};
use crate::ctl::arguments::Lease;
use crate::ctl::client::Client;
use crate::ctl::failure::{BAD_CONNECTION, Failure};
use crate::ctl::output::{print, print_bytes};
use crate::ctl::print::{Format, Style, lease};
use crate::ctl::target::Target;

/// etcdctl's exit code for the commands that read or renew.
fn disconnected(status: Status) -> Failure {
    Failure::with_code(BAD_CONNECTION, text(&status))
}

/// Every command of the group.
pub(in crate::ctl) async fn run(target: &Target, style: Style, asked: Lease) -> Result<(), Failure> {
    let mut client = Client::open(target).await?;
    let shown = match asked {
        Lease::Grant { ttl } => {
            let request = LeaseGrantRequest { ttl, id: 0 };
            let answer = client.ask(async |to| to.lease.lease_grant(request).await).await;
            let failed = |status| Failure::error(format!("failed to grant lease ({})", text(&status)));
            lease::granted(&answer.map_err(failed)?, style)
        }
        Lease::Revoke(id) => {
            let request = LeaseRevokeRequest { id };
            let answer = client.ask(async |to| to.lease.lease_revoke(request).await).await;
            let failed = |status| Failure::error(format!("failed to revoke lease ({})", text(&status)));
            lease::revoked(id, &answer.map_err(failed)?, style)
        }
        Lease::TimeToLive { id, keys } => {
            let request = LeaseTimeToLiveRequest { id, keys };
            let answer = client.ask_forever(async |to| to.lease.lease_time_to_live(request).await).await;
            lease::time_to_live(&answer.map_err(disconnected)?, keys, style)
        }
        Lease::List => {
            let answer =
                client.ask_forever(async |to| to.lease.lease_leases(LeaseLeasesRequest {}).await).await;
            lease::list(&answer.map_err(disconnected)?, style)
        }
        Lease::KeepAlive { id, once: true } => {
            let answer = client.ask_forever(async |to| renewed(to, id).await).await.map_err(disconnected)?;
            if answer.ttl <= 0 {
                return Err(Failure::with_code(BAD_CONNECTION, "etcdserver: requested lease not found"));
            }
            lease::kept(&answer, style)
        }
        Lease::KeepAlive { id, once: false } => return keep_alive(&mut client, id, style).await,
    };
    print_bytes(&shown?);
    Ok(())
}

/// Renews a lease once.
async fn renewed(to: &mut Connection, id: i64) -> Result<Response<LeaseKeepAliveResponse>, Status> {
    let request = tokio_stream::once(LeaseKeepAliveRequest { id });
    let mut answers = to.lease.lease_keep_alive(request).await?.into_inner();
    let answer = answers.message().await?;
    answer.map(Response::new).ok_or_else(|| Status::unavailable("the stream ended without an answer"))
}

/// Renews a lease three times in its life, until it has none.
async fn keep_alive(client: &mut Client<'_>, id: i64, style: Style) -> Result<(), Failure> {
    loop {
        let answer = client.ask_forever(async |to| renewed(to, id).await).await.map_err(disconnected)?;
        if answer.ttl <= 0 {
            break;
        }
        print_bytes(&lease::kept(&answer, style)?);
        tokio::time::sleep(Duration::from_secs(answer.ttl.unsigned_abs() + 1) / 3).await;
    }
    if style.format == Format::Simple {
        print(&format!("lease {id:016x} expired or revoked.\n"));
    }
    Ok(())
}
