//! `/v2/keys`: the nodes of the tree.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};

use super::super::http::answer::is_utf8;
use super::answer::{self, at, in_cluster};
use super::call::Call;
use super::errors::Error;
use super::form::{Form, is_form, read};
use super::json;
use super::routes::clean;
use super::wait::Waiting;
use crate::api::body::ReplyBody;
use crate::api::client::Peer;
use crate::api::gate::leash::Bounds;
use crate::api::grpc::RequestBody;
use crate::api::reads::{Freshness, Listed};
use crate::api::rpc::audited::audited_node;
use crate::model::{Command, Expected, Refusal, Reply, TreeAction, TreeCommand, TreeReply, Ttl};
use crate::watch::{TreeWait, tree_from};

/// The longest time to live, in seconds: that of a lease. etcd's own clock overflows a little later.
const MAX_TTL: u64 = 9_000_000_000;

/// What a request wants.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Read { path: Arc<str>, recursive: bool, freshness: Freshness },
    Wait(TreeWait),
    Write { command: TreeCommand, bare: bool },
}

/// Answers a request on the node at `below`.
pub async fn call<B: RequestBody>(call: &Call<'_>, below: &str, request: Request<B>) -> Response<ReplyBody> {
    let response = answered(call, below, request).await.unwrap_or_else(|error| answer::error(&error));
    in_cluster(call.services, response)
}

async fn answered<B: RequestBody>(
    call: &Call<'_>,
    below: &str,
    request: Request<B>,
) -> Result<Response<ReplyBody>, Error> {
    let (parts, body) = request.into_parts();
    // etcd keeps such names apart and shows them as the same, until a snapshot makes one of them.
    if !is_utf8(parts.uri.path()) {
        return Err(Error::new(209, "the key is not UTF-8"));
    }
    let body = match is_form(&call.method, &parts.headers) {
        true => read(body, call.services.settings().max_receive_bytes(), call.client).await?,
        false => Bytes::new(),
    };
    let form = Form::parse(&body, parts.uri.query().unwrap_or_default())?;
    let length = body.len() + below.len();
    drop(body);
    let wanted = wanted(&call.method, below, &form)?;
    // It has the value, too, and a write may wait for long.
    drop(form);
    match wanted {
        Wanted::Read { path, recursive, freshness } => {
            get(call, &parts.headers, path, recursive, freshness).await
        }
        Wanted::Wait(wanted) => wait(call, &parts.headers, wanted).await,
        Wanted::Write { command, bare } => {
            call.services.check_size(length)?;
            write(call, &parts.headers, command, bare).await
        }
    }
}

async fn get(
    call: &Call<'_>,
    headers: &HeaderMap,
    path: Arc<str>,
    recursive: bool,
    freshness: Freshness,
) -> Result<Response<ReplyBody>, Error> {
    let caller = call.admit_to((&*path, true), headers).await?;
    let share = call.client.share.clone();
    let then = move |listed: Listed| match listed.found {
        Ok(found) => Ok(Ok((json::line(&share, |out| json::listing(&found, out))?, listed.index))),
        Err(error) => Ok(Err(error)),
    };
    let read = async {
        let read = call.services.reads.tree(&caller, (path.clone(), recursive), freshness, then).await?;
        still_right(call, Refusal::Corrupt)?;
        Ok(read)
    };
    let (line, index) = audited_node(call.services, call.client, &caller, (&*path, true), read).await??;
    Ok(at(call.services, index, answer::json(StatusCode::OK, line)))
}

/// Refuses if this member's state was found wrong while the request was under way: the answer may come from it.
fn still_right(call: &Call<'_>, refusal: Refusal) -> Result<(), Refusal> {
    if call.services.store.is_condemned() { Err(refusal) } else { Ok(()) }
}

async fn wait(call: &Call<'_>, headers: &HeaderMap, wanted: TreeWait) -> Result<Response<ReplyBody>, Error> {
    let node = (&*wanted.path, wanted.recursive);
    let caller = call.admit_to(node, headers).await?;
    let services = call.services;
    let from = match call.client.peer {
        Peer::Tcp(address) => tree_from(address.ip()),
        Peer::Unix(_) | Peer::Unknown => None,
    };
    let begun = async { services.reads.tree_wait(&caller, &wanted, from) };
    let feed = audited_node(services, call.client, &caller, node, begun).await??;
    let index = feed.index();
    let bounds = Bounds { services: services.clone(), deadline: None, requires_leader: false };
    let waiting = Waiting::new(feed, wanted.stream, call.client.share.clone(), bounds.leash());
    let mut response = answer::json(StatusCode::OK, Bytes::new());
    *response.body_mut() = ReplyBody::Wait(Box::new(waiting));
    Ok(at(services, index, response))
}

async fn write(
    call: &Call<'_>,
    headers: &HeaderMap,
    command: TreeCommand,
    bare: bool,
) -> Result<Response<ReplyBody>, Error> {
    let services = call.services;
    let path = command.path();
    let node = (&*path, matches!(command, TreeCommand::Delete { recursive: true, .. }));
    let caller = call.admit_to(node, headers).await?;
    let command = Command::Tree(command);
    let proposed = async {
        services.check_quota(&command).await?;
        let reply = services.propose(caller.clone(), command).await?;
        // What was written stays written.
        still_right(call, Refusal::TimeoutLeaderFailed)?;
        Ok(reply)
    };
    let event = match audited_node(services, call.client, &caller, node, proposed).await? {
        Reply::Tree(TreeReply::Done(event)) => event,
        Reply::Tree(TreeReply::Refused(error)) => return Err(error.into()),
        other => return Err(Refusal::Internal(format!("an unexpected reply: {other:?}")).into()),
    };
    let is_new =
        event.action == TreeAction::Create || event.action == TreeAction::Set && event.prev.is_none();
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let is_deletion = matches!(event.action, TreeAction::Delete | TreeAction::CompareAndDelete);
    let line = json::line(&call.client.share, |out| json::event(&event, bare && !is_deletion, out))?;
    Ok(at(services, event.index(), answer::json(status, line)))
}

/// What a request wants; the checks are in etcd's order.
fn wanted(method: &Method, below: &str, form: &Form) -> Result<Wanted, Error> {
    let path: Arc<str> = clean(below).into();
    let prev_index = form.number("prevIndex", 203)?;
    let since = form.number("waitIndex", 203)?;
    let recursive = form.flag("recursive")?;
    // Nodes are always sorted here.
    form.flag("sorted")?;
    let wait = form.flag("wait")?;
    let dir = form.flag("dir")?;
    let quorum = form.flag("quorum")?;
    let stream = form.flag("stream")?;
    if wait && *method != Method::GET {
        return Err(Error::new(209, "\"wait\" can only be used with GET requests"));
    }
    let prev_value = form.text("prevValue");
    if form.get("prevValue").is_some() && prev_value.is_empty() {
        return Err(Error::new(201, "\"prevValue\" cannot be empty"));
    }
    let bare = form.flag("noValueOnSuccess")?;
    let ttl = ttl(form)?;
    let exists = form.choice("prevExist")?;
    let refresh = form.choice("refresh")?.unwrap_or_default();
    if refresh && !form.text("value").is_empty() {
        return Err(Error::new(211, "A value was provided on a refresh"));
    }
    if refresh && ttl.is_none() {
        return Err(Error::new(212, "No TTL value set"));
    }
    let value: Arc<str> = form.text("value").into();
    let ttl = Ttl { seconds: ttl, refresh };
    let is_expected = prev_index > 0 || !prev_value.is_empty();
    let expected = || Expected { value: prev_value.into(), index: prev_index };
    let command = match *method {
        Method::PUT => match exists {
            Some(true) if !is_expected => TreeCommand::Update { path, value, ttl },
            Some(false) => TreeCommand::Create { path, dir, value, in_order: false, ttl },
            _ if is_expected => TreeCommand::CompareAndSwap { path, expected: expected(), value, ttl },
            _ => TreeCommand::Set { path, dir, value, ttl },
        },
        Method::POST => TreeCommand::Create { path, dir, value, in_order: true, ttl },
        Method::DELETE if is_expected => TreeCommand::CompareAndDelete { path, expected: expected() },
        Method::DELETE => TreeCommand::Delete { path, dir, recursive },
        // What is read through the log does not wait, as in etcd.
        Method::GET if quorum => {
            return Ok(Wanted::Read { path, recursive, freshness: Freshness::Linearizable });
        }
        Method::GET if wait => return Ok(Wanted::Wait(TreeWait { path, recursive, stream, since })),
        _ => return Ok(Wanted::Read { path, recursive, freshness: Freshness::Serializable }),
    };
    Ok(Wanted::Write { command, bare })
}

fn ttl(form: &Form) -> Result<Option<u64>, Error> {
    if form.text("ttl").is_empty() {
        return Ok(None);
    }
    let seconds = form.number("ttl", 202)?;
    if seconds > MAX_TTL {
        return Err(Error::new(202, "invalid value for \"ttl\""));
    }
    Ok(Some(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, query: &str) -> Result<Wanted, Error> {
        wanted(&method, "/a/b/", &Form::parse(b"", query)?)
    }

    fn command(method: Method, query: &str) -> TreeCommand {
        match asked(method, query) {
            Ok(Wanted::Write { command, .. }) => command,
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn a_put_is_what_its_conditions_make_of_it() {
        use TreeCommand::{CompareAndSwap, Create, Set, Update};
        assert!(matches!(command(Method::PUT, "value=x"), Set { path, .. } if &*path == "/a/b"));
        assert!(matches!(command(Method::PUT, "prevExist=true"), Update { .. }));
        assert!(matches!(command(Method::PUT, "prevExist=true&prevIndex=0"), Update { .. }));
        assert!(matches!(command(Method::PUT, "prevExist=true&prevIndex=7"), CompareAndSwap { .. }));
        assert!(matches!(
            command(Method::PUT, "prevExist=false&prevValue=7"),
            Create { in_order: false, .. }
        ));
        assert!(matches!(command(Method::PUT, "prevValue=7"), CompareAndSwap { .. }));
        assert!(matches!(command(Method::POST, "prevValue=7"), Create { in_order: true, .. }));
        assert!(matches!(command(Method::DELETE, "prevIndex=7"), TreeCommand::CompareAndDelete { .. }));
    }

    #[test]
    fn what_is_wrong_has_a_number() {
        for (method, query, code) in [
            (Method::PUT, "prevIndex=x&recursive=x", 203),
            (Method::GET, "waitIndex=-1", 203),
            (Method::GET, "recursive=yes", 209),
            (Method::PUT, "wait=true", 209),
            (Method::PUT, "prevValue=", 201),
            (Method::PUT, "ttl=9000000001", 202),
            (Method::PUT, "refresh=true&value=x&ttl=1", 211),
            (Method::PUT, "refresh=true", 212),
            (Method::PUT, "prevExist=maybe", 209),
        ] {
            assert_eq!(asked(method, query).map_err(|error| error.code), Err(code), "{query}");
        }
        assert!(matches!(asked(Method::GET, "wait=true&quorum=true"), Ok(Wanted::Read { .. })));
    }
}
