//! What the cluster answers about its members and alarms.

use prost::Message;

use super::document::line;
use super::fields::Lines;
use super::format::{Format, Style};
use super::table::draw;
use super::tree::{Object, id};
use crate::api::proto::etcdserverpb::{
    AlarmResponse, AlarmType, DowngradeResponse, Member, MemberListResponse, ResponseHeader,
};
use crate::ctl::failure::Failure;

/// Columns of `member list`.
const COLUMNS: [&str; 6] = ["id", "status", "name", "peer addrs", "client addrs", "is learner"];

/// `member list`.
pub(in crate::ctl) fn members(list: &MemberListResponse, style: Style) -> Vec<u8> {
    let rows = || list.members.iter().map(row).collect::<Vec<_>>();
    match style.format {
        Format::Json | Format::Yaml => {
            line(listed(list.header.as_ref(), None, &list.members, style.hex), style)
        }
        Format::Fields => members_fields(list, style.hex),
        Format::Table => draw(&COLUMNS, &rows()).into_bytes(),
        Format::Simple => rows().iter().map(|row| row.join(", ") + "\n").collect::<String>().into_bytes(),
        Format::Protobuf => list.encode_to_vec(),
    }
}

/// A change of the members: `words` in simple, all members in json.
pub(in crate::ctl) fn changed(
    words: String,
    header: Option<&ResponseHeader>,
    member: Option<&Member>,
    members: &[Member],
    message: &impl Message,
    style: Style,
) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => Ok(words.into_bytes()),
        Format::Json | Format::Yaml => Ok(line(listed(header, member, members, style.hex), style)),
        Format::Protobuf => Ok(message.encode_to_vec()),
        Format::Fields | Format::Table => Err(style.unsupported()),
    }
}

/// An answer that has nothing but a header: `words` in simple.
pub(in crate::ctl) fn moved(
    words: String,
    header: Option<&ResponseHeader>,
    message: &impl Message,
    style: Style,
) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => Ok(words.into_bytes()),
        Format::Json | Format::Yaml => Ok(line(Object::default().header(header), style)),
        Format::Protobuf => Ok(message.encode_to_vec()),
        Format::Fields | Format::Table => Err(style.unsupported()),
    }
}

/// `downgrade`; `what` is what was asked for.
pub(in crate::ctl) fn downgrade(
    what: &str,
    answer: &DowngradeResponse,
    style: Style,
) -> Result<Vec<u8>, Failure> {
    let version = answer.version.as_str();
    match style.format {
        Format::Simple => Ok(format!("Downgrade {what} success, cluster version {version}\n").into_bytes()),
        Format::Json | Format::Yaml => {
            Ok(line(Object::default().header(answer.header.as_ref()).some("version", version), style))
        }
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Fields | Format::Table => Err(style.unsupported()),
    }
}

/// `alarm list` and `alarm disarm`.
pub(in crate::ctl) fn alarms(answer: &AlarmResponse, style: Style) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => {
            let lines = answer.alarms.iter().map(|alarm| {
                let member = (alarm.member_id != 0).then(|| format!("memberID:{}", alarm.member_id));
                let kind = (alarm.alarm != 0).then(|| format!("alarm:{}", kind(alarm.alarm)));
                member.into_iter().chain(kind).collect::<Vec<_>>().join(" ") + "\n"
            });
            Ok(lines.collect::<String>().into_bytes())
        }
        Format::Json | Format::Yaml => {
            let alarms = answer
                .alarms
                .iter()
                .map(|alarm| Object::default().some("memberID", alarm.member_id).some("alarm", alarm.alarm));
            Ok(line(Object::default().header(answer.header.as_ref()).list("alarms", alarms), style))
        }
        Format::Fields => {
            let mut lines = Lines::default();
            lines.header(answer.header.as_ref(), style.hex);
            for alarm in &answer.alarms {
                lines.id("MemberID", alarm.member_id, style.hex).bare("AlarmType", kind(alarm.alarm)).end();
            }
            Ok(lines.into_bytes())
        }
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Table => Err(style.unsupported()),
    }
}

/// An alarm that has no name is a number.
fn kind(alarm: i32) -> String {
    AlarmType::try_from(alarm).map_or_else(|_| alarm.to_string(), |kind| kind.as_str_name().to_string())
}

/// The members, behind the one that is new.
fn listed(header: Option<&ResponseHeader>, member: Option<&Member>, members: &[Member], hex: bool) -> Object {
    let object = Object::default().hex_header(header, hex);
    let object = match member {
        Some(member) => object.with("member", one_member(member, hex)),
        None => object,
    };
    object.list("members", members.iter().map(|member| one_member(member, hex)))
}

fn row(member: &Member) -> Vec<String> {
    let status = if member.name.is_empty() { "unstarted" } else { "started" };
    vec![
        format!("{:x}", member.id),
        status.to_string(),
        member.name.clone(),
        member.peer_ur_ls.join(","),
        member.client_ur_ls.join(","),
        member.is_learner.to_string(),
    ]
}

fn one_member(member: &Member, hex: bool) -> Object {
    Object::default()
        .some("ID", id(member.id, hex))
        .some("name", member.name.as_str())
        .some("peerURLs", member.peer_ur_ls.clone())
        .some("clientURLs", member.client_ur_ls.clone())
        .some("isLearner", member.is_learner)
}

fn members_fields(list: &MemberListResponse, hex: bool) -> Vec<u8> {
    let mut lines = Lines::default();
    lines.header(list.header.as_ref(), hex);
    for member in &list.members {
        lines.id("ID", member.id, hex).text("Name", &member.name);
        for url in &member.peer_ur_ls {
            lines.text("PeerURL", url);
        }
        for url in &member.client_ur_ls {
            lines.text("ClientURL", url);
        }
        lines.bare("IsLearner", member.is_learner).end();
    }
    lines.into_bytes()
}
