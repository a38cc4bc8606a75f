//! What all members of a cluster say about themselves.

use futures_util::future::join_all;

use super::client::Client;
use super::failure::Failure;
use super::target::Target;
use crate::api::proto::etcdserverpb::{Member, MemberListRequest, StatusRequest, StatusResponse};
use crate::client::text;

/// A member, and its answer or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) member: Member,
    pub(super) status: Result<StatusResponse, String>,
}

impl Seen {
    /// Its name; one that has not started has none.
    pub(super) fn name(&self) -> String {
        match self.member.name.as_str() {
            "" => format!("{:x}", self.member.id),
            name => name.to_string(),
        }
    }

    /// True if it says that it leads.
    pub(super) fn leads(&self) -> bool {
        self.status.as_ref().is_ok_and(|status| status.leader == self.member.id)
    }
}

/// Asks the first endpoint that answers for the members, and each member for its status, all at the same time.
///
/// # Errors
/// If no endpoint knows the members. A member that does not answer is not an error.
pub(super) async fn survey(target: &Target) -> Result<Vec<Seen>, Failure> {
    let mut last = Failure::error("no endpoint is given");
    for endpoint in &target.endpoints {
        let mut client = match Client::at(target, endpoint).await {
            Ok(client) => client,
            Err(broken) => {
                last = broken.failure();
                continue;
            }
        };
        // What this member knows: it answers without a quorum, too.
        let request = MemberListRequest { linearizable: false };
        match client.ask(async |to| to.cluster.member_list(request).await).await {
            Ok(list) => {
                let each = list.members.into_iter().map(|member| async move {
                    let status = status(target, &member).await;
                    Seen { member, status }
                });
                return Ok(join_all(each).await);
            }
            Err(status) => last = Failure::error(text(&status)),
        }
    }
    Err(last.hint(target.guess.clone()))
}

/// Its status, through the first of its URLs that can be reached.
async fn status(target: &Target, member: &Member) -> Result<StatusResponse, String> {
    let mut last = "it has not started".to_string();
    for url in &member.client_ur_ls {
        let asked = async {
            let mut client = Client::at(target, url).await.map_err(|broken| broken.text())?;
            let answer = client.ask(async |to| to.maintenance.status(StatusRequest {}).await).await;
            answer.map_err(|status| text(&status))
        };
        match asked.await {
            Ok(status) => return Ok(status),
            Err(error) => last = format!("{url}: {error}"),
        }
    }
    Err(last)
}
