//! `kvctl member`, `kvctl alarm` and `kvctl downgrade`.

use tonic::Status;

use crate::api::proto::etcdserverpb::alarm_request::AlarmAction;
use crate::api::proto::etcdserverpb::downgrade_request::DowngradeAction;
use crate::api::proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, DowngradeRequest, MemberAddRequest, MemberAddResponse,
    MemberListRequest, MemberListResponse, MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest,
    ResponseHeader,
};
use crate::client::text;
use crate::ctl::arguments::Cluster;
use crate::ctl::client::Client;
use crate::ctl::failure::Failure;
use crate::ctl::output::{print, print_bytes};
use crate::ctl::print::{Format, Style, member, quoted};
use crate::ctl::target::Target;

fn failed(status: Status) -> Failure {
    Failure::error(text(&status))
}

fn cluster_id(header: Option<&ResponseHeader>) -> u64 {
    header.map_or(0, |header| header.cluster_id)
}

/// All members, as the first endpoint that answers knows them.
async fn list(target: &Target, style: Style, serializable: bool) -> Result<(), Failure> {
    let mut last = String::new();
    for endpoint in &target.endpoints {
        match ask(target, endpoint, serializable).await {
            Ok(list) => {
                print_bytes(&member::members(&list, style));
                return Ok(());
            }
            Err(error) => last = error,
        }
    }
    Err(Failure::error(last).hint(target.guess.clone()))
}

async fn ask(target: &Target, endpoint: &str, serializable: bool) -> Result<MemberListResponse, String> {
    let mut client = Client::at(target, endpoint).await.map_err(|broken| broken.text())?;
    let request = MemberListRequest { linearizable: !serializable };
    client.ask(async |to| to.cluster.member_list(request).await).await.map_err(|status| text(&status))
}

/// The commands that ask any member.
pub(in crate::ctl) async fn run(target: &Target, style: Style, asked: Cluster) -> Result<(), Failure> {
    if let Cluster::List { serializable } = asked {
        return list(target, style, serializable).await;
    }
    let mut client = Client::open(target).await?;
    let shown = match asked {
        Cluster::Add { name, urls, learner } => return add(&mut client, style, &name, &urls, learner).await,
        Cluster::Remove(id) => {
            let request = MemberRemoveRequest { id };
            let answer =
                client.ask(async |to| to.cluster.member_remove(request).await).await.map_err(failed)?;
            let header = answer.header.as_ref();
            let words = format!("Member {id:16x} removed from cluster {:16x}\n", cluster_id(header));
            member::changed(words, header, None, &answer.members, &answer, style)
        }
        Cluster::Update { id, urls } => {
            let request = MemberUpdateRequest { id, peer_ur_ls: split(&urls)? };
            let answer = client.ask(async |to| to.cluster.member_update(request.clone()).await).await;
            let answer = answer.map_err(failed)?;
            let header = answer.header.as_ref();
            let words = format!("Member {id:16x} updated in cluster {:16x}\n", cluster_id(header));
            member::changed(words, header, None, &answer.members, &answer, style)
        }
        Cluster::Promote(id) => {
            let request = MemberPromoteRequest { id };
            let answer =
                client.ask(async |to| to.cluster.member_promote(request).await).await.map_err(failed)?;
            let header = answer.header.as_ref();
            let words = format!("Member {id:16x} promoted in cluster {:16x}\n", cluster_id(header));
            member::changed(words, header, None, &answer.members, &answer, style)
        }
        Cluster::AlarmDisarm => {
            let answer = disarm(&mut client).await.map_err(failed)?;
            member::alarms(&answer, style)
        }
        Cluster::Downgrade { action, version } => {
            let request = DowngradeRequest { action: action.into(), version };
            let answer = client.ask(async |to| to.maintenance.downgrade(request.clone()).await).await;
            let what = match action {
                DowngradeAction::Validate => "validate",
                DowngradeAction::Enable => "enable",
                DowngradeAction::Cancel => "cancel",
            };
            member::downgrade(what, &answer.map_err(failed)?, style)
        }
        // The rest is what every member has.
        _ => {
            let answer = client.ask(async |to| to.maintenance.alarm(AlarmRequest::default()).await).await;
            member::alarms(&answer.map_err(failed)?, style)
        }
    };
    print_bytes(&shown?);
    Ok(())
}

/// The URLs of a list.
///
/// # Errors
/// What etcdctl says about the first that no member can have.
fn split(urls: &str) -> Result<Vec<String>, Failure> {
    urls.split(',').map(|url| checked(url).map(|()| url.to_string()).map_err(Failure::error)).collect()
}

fn checked(url: &str) -> Result<(), String> {
    let url = url.trim();
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    match scheme {
        "unix" | "unixs" => return Ok(()),
        "http" | "https" => {}
        _ => return Err(format!("URL scheme must be http, https, unix, or unixs: {url}")),
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once(':').map(|(host, _)| host);
    let bracketed = |host: &str| host.starts_with('[') && host.ends_with(']');
    if !host.is_some_and(|host| !host.contains(':') || bracketed(host)) {
        return Err(format!("URL address does not have the form \"host:port\": {url}"));
    }
    if path.is_empty() { Ok(()) } else { Err(format!("URL must not contain a path: {url}")) }
}

/// Adds a member and prints what etcdctl prints for its configuration.
async fn add(
    client: &mut Client<'_>,
    style: Style,
    name: &str,
    urls: &str,
    learner: bool,
) -> Result<(), Failure> {
    let request = MemberAddRequest { peer_ur_ls: split(urls)?, is_learner: learner };
    let answer = client.ask(async |to| to.cluster.member_add(request.clone()).await).await.map_err(failed)?;
    let (header, new) = (answer.header.as_ref(), answer.member.as_ref());
    let id = new.map_or(0, |new| new.id);
    let learner = if new.is_some_and(|new| new.is_learner) { " as learner " } else { " " };
    let words = format!("Member {id:16x} added{learner}to cluster {:16x}\n", cluster_id(header));
    print_bytes(&member::changed(words, header, new, &answer.members, &answer, style)?);
    if style.format == Format::Simple {
        print(&configuration(&answer, id, name, urls));
    }
    Ok(())
}

/// The variables for the new member.
fn configuration(answer: &MemberAddResponse, id: u64, name: &str, urls: &str) -> String {
    let members = answer.members.iter().flat_map(|member| {
        let name = if member.id == id { name } else { member.name.as_str() };
        member.peer_ur_ls.iter().map(move |url| format!("{name}={url}"))
    });
    let members = members.collect::<Vec<_>>().join(",");
    format!(
        "\nETCD_NAME={}\nETCD_INITIAL_CLUSTER={}\nETCD_INITIAL_ADVERTISE_PEER_URLS={}\n\
         ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
        quoted(name),
        quoted(&members),
        quoted(urls),
    )
}

/// Ends every alarm, one after the other.
async fn disarm(client: &mut Client<'_>) -> Result<AlarmResponse, Status> {
    let listed = client.ask(async |to| to.maintenance.alarm(AlarmRequest::default()).await).await?;
    let mut all = AlarmResponse::default();
    for AlarmMember { member_id, alarm } in listed.alarms {
        let request = AlarmRequest { action: AlarmAction::Deactivate.into(), member_id, alarm };
        let ended = client.ask(async |to| to.maintenance.alarm(request).await).await?;
        all.alarms.extend(ended.alarms);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_no_member_can_have_are_not_sent() {
        let wrong = |urls: &str| split(urls).expect_err(urls).to_string();
        for good in ["http://a:1", "http://a:1,https://[::1]:2", "unix:///x/y"] {
            assert!(split(good).is_ok(), "{good}");
        }
        assert!(wrong("nonsense").contains("URL scheme must be"));
        assert!(wrong("http://a:1,http://a").contains("the form \"host:port\": http://a"));
        assert!(wrong("http://a:1/p").contains("must not contain a path"));
    }
}
