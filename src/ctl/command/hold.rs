//! `kvctl lock` and `kvctl elect`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::api::proto::etcdserverpb::{RangeResponse, WatchCreateRequest};
use crate::api::proto::mvccpb::event::EventType;
use crate::ctl::arguments::{Elect, Lock};
use crate::ctl::child;
use crate::ctl::client::Client;
use crate::ctl::failure::Failure;
use crate::ctl::keys::with_prefix;
use crate::ctl::output::print_bytes;
use crate::ctl::print::{Style, data};
use crate::ctl::session::{Place, Session};
use crate::ctl::signals::Signals;
use crate::ctl::target::Target;
use crate::ctl::watcher::Watcher;

/// The life of an election's lease in seconds, as etcdctl's.
const ELECTION_TTL: i64 = 60;
/// etcdctl's word for a wait that a signal ended.
const CANCELED: &str = "context canceled";

/// Holds a lock until a signal, or as long as a command runs.
pub(in crate::ctl) async fn lock(target: &Target, style: Style, lock: Lock) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut session = Session::begin(target, lock.ttl).await?;
    let (lease, ttl) = session.lease();
    tokio::select! {
        result = locked(&mut session, &mut signals, style, &lock) => result,
        () = Session::kept(target, lease, ttl) => Err(Failure::error("session expired")),
    }
}

async fn locked(
    session: &mut Session<'_>,
    signals: &mut Signals,
    style: Style,
    lock: &Lock,
) -> Result<(), Failure> {
    let place = session.enter(&lock.name, b"").await?;
    wait(session, signals, &lock.name, &place).await?;
    let own = session.own(&place).await?;
    if own.kvs.is_empty() {
        return Err(Failure::error("mutex: session is expired"));
    }
    if lock.command.is_empty() {
        print_bytes(&data::range(&own, false, style)?);
        signals.recv().await;
        return session.leave(&place).await;
    }
    let revision = own.header.map_or(0, |header| header.revision);
    let variables = vec![
        ("ETCD_LOCK_KEY", OsString::from_vec(place.key.clone())),
        ("ETCD_LOCK_REV", revision.to_string().into()),
    ];
    let ended = child::run(&lock.command, variables).await;
    let left = session.leave(&place).await;
    match ended {
        Ok(()) => left,
        Err(failed) => Err(Failure::with_code(failed.code.unwrap_or(1), failed.text)),
    }
}

/// Waits for the turn; a signal or an error gives the place up.
async fn wait(
    session: &mut Session<'_>,
    signals: &mut Signals,
    name: &[u8],
    place: &Place,
) -> Result<(), Failure> {
    let turn = tokio::select! {
        turn = session.turn(name, place) => turn,
        () = signals.recv() => Err(Failure::error(CANCELED)),
    };
    if turn.is_err() {
        let _ = session.leave(place).await;
    }
    turn
}

/// Takes part in an election, or prints who leads.
pub(in crate::ctl) async fn elect(target: &Target, style: Style, elect: Elect) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut session = Session::begin(target, ELECTION_TTL).await?;
    let (lease, ttl) = session.lease();
    let kept = Session::kept(target, lease, ttl);
    match &elect.proposal {
        Some(proposal) => tokio::select! {
            result = lead(&mut session, &mut signals, style, &elect.name, proposal) => result,
            () = kept => Err(Failure::error("elect: session expired")),
        },
        None => tokio::select! {
            result = observe(target, &mut session, style, &elect.name) => result,
            () = signals.recv() => Ok(()),
            () = async { kept.await; std::future::pending().await } => Ok(()),
        },
    }
}

async fn lead(
    session: &mut Session<'_>,
    signals: &mut Signals,
    style: Style,
    name: &[u8],
    proposal: &[u8],
) -> Result<(), Failure> {
    let place = session.enter(name, proposal).await?;
    wait(session, signals, name, &place).await?;
    print_bytes(&data::range(&session.own(&place).await?, false, style)?);
    signals.recv().await;
    session.leave(&place).await
}

/// Prints each leader and each of its proposals.
async fn observe(
    target: &Target,
    session: &mut Session<'_>,
    style: Style,
    name: &[u8],
) -> Result<(), Failure> {
    let lost = || Failure::error("elect: observer lost");
    loop {
        let found = session.first(name).await.map_err(|_| lost())?;
        let leader = match found.kvs.into_iter().next() {
            Some(kv) => RangeResponse { header: found.header, kvs: vec![kv], ..Default::default() },
            None => {
                let revision = found.header.map_or(0, |header| header.revision);
                appeared(target, name, revision).await?.ok_or_else(lost)?
            }
        };
        print_bytes(&data::range(&leader, false, style)?);
        let Some(kv) = leader.kvs.first() else { return Err(lost()) };
        let revision = leader.header.map_or(0, |header| header.revision);
        let request =
            WatchCreateRequest { key: kv.key.clone(), start_revision: revision + 1, ..Default::default() };
        let mut watcher = Watcher::new(Client::open(target).await?, request);
        'leader: loop {
            let Ok(answer) = watcher.next().await else { return Err(lost()) };
            for event in answer.events {
                if event.r#type() == EventType::Delete {
                    break 'leader;
                }
                let kvs = event.kv.into_iter().collect();
                let leader = RangeResponse { header: answer.header, kvs, ..Default::default() };
                print_bytes(&data::range(&leader, false, style)?);
            }
        }
    }
}

/// The first key that is put below a name, with the revision in which it was.
async fn appeared(target: &Target, name: &[u8], revision: i64) -> Result<Option<RangeResponse>, Failure> {
    let (key, range_end) = with_prefix([name, b"/"].concat());
    let request = WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        start_revision: revision,
        ..Default::default()
    };
    let mut watcher = Watcher::new(Client::open(target).await?, request);
    while let Ok(answer) = watcher.next().await {
        let put = answer.events.into_iter().find(|event| event.r#type() == EventType::Put);
        let Some(kv) = put.and_then(|event| event.kv) else { continue };
        let header = answer.header.map(|mut header| {
            header.revision = kv.mod_revision;
            header
        });
        return Ok(Some(RangeResponse { header, kvs: vec![kv], ..Default::default() }));
    }
    Ok(None)
}
