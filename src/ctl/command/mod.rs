//! The commands, one file a service.

mod auth;
mod backup;
mod check;
mod confirm;
mod data;
mod diff;
mod doctor;
mod edit;
mod endpoint;
mod glob;
mod hold;
mod lease;
mod member;
mod mirror;
mod offline;
pub(super) mod reload;
mod snapshot;
mod space;
mod status;
mod txn;
mod upgrade;
mod watch;

use super::arguments::{Asked, Cluster, Data, Invocation};
use super::failure::Failure;
use super::output::print;
use super::print::Style;
use super::secret::{Credentials, keep_private};
use super::target::Target;

/// Runs a command.
pub(super) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { globals, asked } = invocation;
    let style = Style { format: globals.format, hex: globals.hex, text: globals.text };
    keep_private();
    let asked = match asked {
        // It connects to nobody.
        Asked::Offline(asked) => return Box::pin(offline::run(style, asked)).await,
        Asked::Backup(asked) => return backup::run(style, asked).await,
        // It has endpoints of its own.
        Asked::Diff(asked) => return Box::pin(diff::run(&globals, style, asked)).await,
        Asked::User(user) => Asked::User(auth::with_password(user).await?),
        other => other,
    };
    let mut target = Target::of(&globals).await?;
    target.credentials =
        Credentials::of(globals.user.as_ref(), globals.password.as_ref(), globals.token.as_ref()).await?;
    confirm::confirm(&target, &asked, globals.yes).await?;
    drop(globals);
    let target = &target;
    match asked {
        Asked::Daemon { request, socket } => reload::run(request, socket.as_deref()),
        Asked::Offline(asked) => Box::pin(offline::run(style, asked)).await,
        Asked::Backup(asked) => backup::run(style, asked).await,
        Asked::Diff(_) => Ok(()),
        Asked::Version => {
            print(&format!("kvctl version: {}\nAPI version: 3.7\n", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
        Asked::Data(Data::Txn { interactive }) => txn::run(target, style, interactive).await,
        Asked::Data(data) => data::run(target, style, data).await,
        Asked::Watch(watch) => watch::run(target, style, watch).await,
        Asked::Lock(lock) => hold::lock(target, style, lock).await,
        // On the heap: it is by far the largest.
        Asked::Elect(elect) => Box::pin(hold::elect(target, style, elect)).await,
        Asked::Check(check) => Box::pin(check::run(target, check)).await,
        Asked::Edit(edit) => Box::pin(edit::run(target, edit)).await,
        Asked::Top(asked) => Box::pin(super::top::run(target, asked)).await,
        Asked::Status => status::run(target, style).await,
        Asked::Doctor => doctor::run(target, style).await,
        Asked::Space(asked) => space::run(target, style, asked).await,
        Asked::Mirror(mirror) => mirror::run(target, mirror).await,
        Asked::Lease(lease) => lease::run(target, style, lease).await,
        Asked::Auth(auth) => auth::run(target, style, auth).await,
        Asked::User(user) => auth::user(target, style, user).await,
        Asked::Role(role) => auth::role(target, style, role).await,
        Asked::Cluster(cluster) => on_cluster(target, style, cluster).await,
    }
}

async fn on_cluster(target: &Target, style: Style, cluster: Cluster) -> Result<(), Failure> {
    match cluster {
        Cluster::Health(endpoints) => endpoint::health(target, style, endpoints).await,
        Cluster::Status(endpoints) => endpoint::status(target, style, endpoints).await,
        Cluster::Hash { endpoints, revision } => endpoint::hash(target, style, endpoints, revision).await,
        Cluster::Defragment(endpoints) => endpoint::defragment(target, endpoints).await,
        Cluster::MoveLeader(id) => endpoint::move_leader(target, style, id).await,
        Cluster::UpgradeStatus => upgrade::status(target, style).await,
        Cluster::Snapshot(file) => snapshot::save(target, &file).await,
        members => member::run(target, style, members).await,
    }
}
