//! `kvctl member list`.

use super::print;
use crate::api::proto::etcdserverpb::{MemberListRequest, MemberListResponse};
use crate::ctl::arguments::Globals;
use crate::ctl::connection::{connect, text, within};
use crate::ctl::failure::Failure;
use crate::ctl::print::member_list;
use crate::ctl::target::Target;

/// All members, as the first endpoint that answers knows them.
pub(in crate::ctl) async fn list(
    target: &Target,
    globals: &Globals,
    serializable: bool,
) -> Result<(), Failure> {
    let mut last = String::new();
    for endpoint in &target.endpoints {
        match ask(target, endpoint, serializable).await {
            Ok(list) => {
                let bytes = member_list(&list, globals.format, globals.hex);
                use std::io::Write;
                match String::from_utf8(bytes) {
                    Ok(text) => print(&text),
                    Err(raw) => drop(std::io::stdout().write_all(raw.as_bytes())),
                }
                return Ok(());
            }
            Err(error) => last = error,
        }
    }
    Err(Failure::error(last).hint(target.guess.clone()))
}

async fn ask(target: &Target, endpoint: &str, serializable: bool) -> Result<MemberListResponse, String> {
    let mut connection = connect(target, endpoint).await?;
    let call = connection.cluster.member_list(MemberListRequest { linearizable: !serializable });
    within(target.command_timeout, call).await.map_err(|status| text(&status))
}
