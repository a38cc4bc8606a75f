//! quinn's runtime: tokio, with timers that wake their thread only when they end.

use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime};
use tokio::time::{Sleep, sleep_until};

use super::datagrams::Datagrams;

/// tokio as quinn's runtime.
#[derive(Debug)]
pub(super) struct Driver;

impl Runtime for Driver {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer { at, set: self.now(), sleep: None })
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(future);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Ok(Datagrams::over(socket)?)
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// A timer that leaves nothing behind when it is put off. tokio's keeps its place and is moved when the earlier time
/// comes, for which the thread is woken; and almost every timer of a connection is put off, by an acknowledgement. While
/// packets follow each other closely, keeping the place is cheaper.
#[derive(Debug)]
struct Timer {
    at: Instant,
    set: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// Packets that follow each other within this time do so closely.
const CLOSELY: Duration = Duration::from_millis(2);

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        let now = Driver.now();
        let closely = now.saturating_duration_since(self.set) < CLOSELY;
        (self.at, self.set) = (at, now);
        match &mut self.sleep {
            Some(sleep) if closely || at <= sleep.deadline().into_std() => sleep.as_mut().reset(at.into()),
            _ => self.sleep = None,
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at.into())));
        Future::poll(sleep.as_mut(), cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_ends_when_it_was_last_set_to() {
        let start = Driver.now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut timer = Driver.new_timer(after(50));
        let poll_now = async |timer: &mut Pin<Box<dyn AsyncTimer>>| {
            std::future::poll_fn(|cx| Poll::Ready(timer.as_mut().poll(cx).is_ready())).await
        };
        assert!(!poll_now(&mut timer).await);
        for (ms, pause) in [(300, 10), (100, 0), (200, 0), (900, 10), (1000, 0)] {
            tokio::time::advance(Duration::from_millis(pause)).await;
            timer.as_mut().reset(after(ms));
            assert!(!poll_now(&mut timer).await);
        }
        std::future::poll_fn(|cx| timer.as_mut().poll(cx)).await;
        assert!((1000..=1001).contains(&(Driver.now() - start).as_millis()), "neither sooner nor later");
        timer.as_mut().reset(after(10));
        assert!(poll_now(&mut timer).await, "that time has passed");
    }
}
