//! Notifications to systemd (sd_notify(3)). Outside systemd nothing happens.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use sd_notify::NotifyState;

/// The service is ready: store, identity and listeners exist. It does not mean that there is a quorum.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The one line that `systemctl status` shows.
pub fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// The service is going down.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// The configuration is being read again; [`ready`] ends it.
pub fn reloading() {
    // The time tells systemd 253 and newer which request this belongs to; without a clock it is left out.
    let Ok(now) = NotifyState::monotonic_usec_now() else { return send(&[NotifyState::Reloading]) };
    send(&[NotifyState::Reloading, now]);
}

/// The current phase of the service (starting, stopping) takes this much longer, counted from now.
pub fn extend(time: Duration) {
    send(&[NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))]);
}

/// True if a service manager listens.
pub fn listens() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The interval within which [`alive`] must be called, if systemd requires it (`WatchdogSec=`).
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// The service still works.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// Asks systemd to keep a descriptor and to pass it to the next process of this service.
pub fn keep(name: &str, descriptor: BorrowedFd<'_>) {
    let states = [NotifyState::FdStore, NotifyState::FdName(name)];
    if let Err(error) = sd_notify::notify_with_fds(&states, &[descriptor]) {
        tracing::debug!(%error, name, "systemd does not keep the socket");
    }
}

/// Asks systemd to drop the descriptors of that name.
pub fn forget(name: &str) {
    send(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot notify systemd");
    }
}
