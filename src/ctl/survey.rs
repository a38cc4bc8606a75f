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

    /// The same without characters that would move a terminal's cursor, or begin a line: whoever can name a member, or
    /// answer in its place, could write there what it likes.
    fn printable(mut self) -> Self {
        self.member.name = printable(&self.member.name);
        self.status = match self.status {
            Ok(mut status) => {
                status.version = printable(&status.version);
                status.storage_version = printable(&status.storage_version);
                status.errors = status.errors.iter().map(|error| printable(error)).collect();
                Ok(status)
            }
            Err(why) => Err(printable(&why)),
        };
        self
    }

    /// True if it says that it leads.
    pub(super) fn leads(&self) -> bool {
        self.status.as_ref().is_ok_and(|status| status.leader == self.member.id)
    }
}

/// A text in which characters that control a terminal are escaped.
pub(super) fn printable(text: &str) -> String {
    let escaped = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(escaped).collect()
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
                    Seen { member, status }.printable()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_members_say_of_themselves_does_not_control_the_terminal() {
        let member = Member { name: "a\x1b[2J\nfail".into(), ..Member::default() };
        let status = StatusResponse {
            version: "3\x1b]0;x\x07".into(),
            errors: vec!["\u{9b}31m".into()],
            ..StatusResponse::default()
        };
        let seen = Seen { member: member.clone(), status: Ok(status) }.printable();
        assert_eq!(seen.name(), "a\\u{1b}[2J\\nfail");
        let status = seen.status.expect("a status");
        assert_eq!(
            (status.version.as_str(), status.errors[0].as_str()),
            ("3\\u{1b}]0;x\\u{7}", "\\u{9b}31m")
        );
        let silent = Seen { member, status: Err("\rok".into()) }.printable();
        assert_eq!(silent.status, Err("\\rok".to_string()));
        assert_eq!(printable("knöten-1 ✓"), "knöten-1 ✓");
    }
}
