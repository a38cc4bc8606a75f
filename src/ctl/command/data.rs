//! `kvctl put`, `get`, `del` and `compaction`.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use tonic::{Response, Status};

use super::glob;

use crate::api::proto::etcdserverpb::{RangeRequest, RangeResponse};
use crate::client::{Connection, text};
use crate::ctl::arguments::{Data, Delete, Get, NO_VALUE, Put};
use crate::ctl::client::Client;
use crate::ctl::failure::Failure;
use crate::ctl::keys::prefix_end;
use crate::ctl::output::{complain, print, print_bytes};
use crate::ctl::print::{Format, Style, data, quoted_bytes};
use crate::ctl::target::Target;

/// How long somebody has to interrupt the deletion of a range.
const SECOND_THOUGHTS: Duration = Duration::from_secs(2);

fn failed(status: Status) -> Failure {
    Failure::error(text(&status))
}

/// Every command but `txn`, which has its own file.
pub(in crate::ctl) async fn run(target: &Target, style: Style, asked: Data) -> Result<(), Failure> {
    match asked {
        Data::Put(put) => self::put(target, style, put).await,
        Data::Get(get) => self::get(target, style, get).await,
        Data::Delete(delete) => self::delete(target, style, delete).await,
        Data::Compact(request) => {
            let mut client = Client::open(target).await?;
            client.ask(async |to| to.kv.compact(request).await).await.map_err(failed)?;
            print(&format!("compacted revision {}\n", request.revision));
            Ok(())
        }
        Data::Txn { .. } => Ok(()),
    }
}

async fn put(target: &Target, style: Style, put: Put) -> Result<(), Failure> {
    let mut request = put.request;
    if put.piped {
        request.value = piped()?.into();
    }
    let mut client = Client::open(target).await?;
    client.check_size(&request)?;
    let answer = client.ask(async |to| to.kv.put(request.clone()).await).await.map_err(failed)?;
    print_bytes(&data::put(&answer, style)?);
    Ok(())
}

/// Standard input, if there is anything.
fn piped() -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    match std::io::stdin().lock().read_to_end(&mut value) {
        Ok(read) if read > 0 => Ok(value),
        _ => Err(Failure::arguments(NO_VALUE)),
    }
}

async fn get(target: &Target, style: Style, get: Get) -> Result<(), Failure> {
    let mut client = Client::open(target).await?;
    let request = get.request;
    let answer = match (&get.glob, get.stream) {
        (Some(glob), _) => glob::get(&mut client, &request, glob).await?,
        (None, true) => client.ask(async |to| streamed(to, request.clone()).await).await.map_err(failed)?,
        (None, false) => client.ask(async |to| to.kv.range(request.clone()).await).await.map_err(failed)?,
    };
    if request.count_only && style.format != Format::Fields {
        return Err(Failure::arguments("--count-only is only for `--write-out=fields`"));
    }
    if get.value_only && style.format != Format::Simple {
        return Err(Failure::arguments("print-value-only is only for `--write-out=simple`"));
    }
    print_bytes(&data::range(&answer, get.value_only, style)?);
    // Scripts get what etcdctl prints, on both of its outputs.
    let is_single = request.range_end.is_empty() && get.glob.is_none();
    if is_single && answer.count == 0 && std::io::stderr().is_terminal() {
        hint_at_prefix(&mut client, request).await;
    }
    Ok(())
}

/// Says how many keys begin with one that is not there. If that cannot be found out, nothing is said.
async fn hint_at_prefix(client: &mut Client<'_>, request: RangeRequest) {
    let range_end = prefix_end(&request.key).into();
    let request = RangeRequest { range_end, count_only: true, ..request };
    let Ok(answer) = client.ask(async |to| to.kv.range(request.clone()).await).await else { return };
    match answer.count {
        0 => complain("hint: 0 keys, and none that begins with it"),
        1 => complain("hint: 0 keys, 1 begins with it: --prefix"),
        count => complain(&format!("hint: 0 keys, {count} begin with it: --prefix")),
    }
}

/// The parts of a stream as one answer: the last one has the header and the count.
async fn streamed(to: &mut Connection, request: RangeRequest) -> Result<Response<RangeResponse>, Status> {
    let mut stream = to.kv.range_stream(request).await?.into_inner();
    let mut whole = RangeResponse::default();
    while let Some(part) = stream.message().await? {
        let Some(part) = part.range_response else { continue };
        whole.kvs.extend(part.kvs);
        whole.header = part.header.or(whole.header);
        whole.more |= part.more;
        whole.count = if part.count == 0 { whole.count } else { part.count };
    }
    Ok(Response::new(whole))
}

async fn delete(target: &Target, style: Style, delete: Delete) -> Result<(), Failure> {
    let request = delete.request;
    if delete.doubtful {
        complain(&format!(
            "Warning: Keys between {} and {} will be deleted. Please interrupt the command within next 2 seconds to \
             cancel. You can provide `--range` flag to avoid the delay.",
            quoted_bytes(&request.key),
            quoted_bytes(&request.range_end),
        ));
        tokio::time::sleep(SECOND_THOUGHTS).await;
    }
    let mut client = Client::open(target).await?;
    client.check_size(&request)?;
    let answer = match &delete.glob {
        Some(glob) => glob::delete(&mut client, &request, glob).await?,
        None => client.ask(async |to| to.kv.delete_range(request.clone()).await).await.map_err(failed)?,
    };
    print_bytes(&data::deleted(&answer, style)?);
    Ok(())
}
