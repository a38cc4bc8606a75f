//! Streams that hold resources of the store while their client reads: their number is limited, and none stays long
//! after its client has stopped reading. While they wait they cost no thread.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::model::Refusal;

/// How long a client may read nothing from a stream.
const STALL: Duration = Duration::from_secs(60);

/// The slots for one kind of streams.
pub struct Places(Arc<Semaphore>);

/// A slot, which is freed when this is dropped.
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// This many slots.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// A slot, if one is free.
    ///
    /// # Errors
    /// [`Refusal::TooManyRequests`].
    pub fn take(&self) -> Result<Place, Refusal> {
        let permit = self.0.clone().try_acquire_owned().map_err(|_| Refusal::TooManyRequests)?;
        Ok(Place { _permit: permit })
    }
}

/// A stream in a slot. If its client reads nothing for a minute, the stream and its slot are given up, and the client
/// gets an error if it ever reads on.
pub struct Limited<S> {
    held: Arc<Mutex<Held<S>>>,
    guard: AbortHandle,
    ended: bool,
}

struct Held<S> {
    stream: Option<(S, Place)>,
    /// Since when data has been ready for the client.
    offered: Option<Instant>,
}

impl<S: Send + 'static> Limited<S> {
    /// A stream in its slot.
    pub fn new(stream: S, place: Place) -> Self {
        let held = Arc::new(Mutex::new(Held { stream: Some((stream, place)), offered: None }));
        let guard = tokio::spawn(give_up(Arc::downgrade(&held))).abort_handle();
        Self { held, guard, ended: false }
    }
}

/// Ends a stream that its client does not read.
async fn give_up<S>(held: Weak<Mutex<Held<S>>>) {
    loop {
        let now = Instant::now();
        let due = {
            let Some(held) = held.upgrade() else { return };
            let mut held = held.lock();
            let due = held.offered.unwrap_or(now) + STALL;
            if due <= now {
                held.stream = None;
                return;
            }
            due
        };
        sleep_until(due).await;
    }
}

impl<S, T> Stream for Limited<S>
where
    S: Stream<Item = Result<T, Refusal>> + Unpin,
{
    type Item = Result<T, Refusal>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = {
            let mut held = self.held.lock();
            held.offered = None;
            let polled = match &mut held.stream {
                Some((stream, _)) => Pin::new(stream).poll_next(context),
                None => Poll::Ready(Some(Err(Refusal::StreamNotRead))),
            };
            match &polled {
                Poll::Ready(Some(Ok(_))) => held.offered = Some(Instant::now()),
                Poll::Ready(_) => held.stream = None,
                Poll::Pending => {}
            }
            polled
        };
        self.ended = matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }
}

impl<S> Drop for Limited<S> {
    fn drop(&mut self) {
        self.guard.abort();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    fn numbers(place: Place) -> Limited<impl Stream<Item = Result<u32, Refusal>> + Unpin> {
        Limited::new(stream::iter((0..3).map(Ok)), place)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_reads_is_given_up_with_its_place() {
        let places = Places::new(1);
        let mut stream = numbers(places.take().expect("a place"));
        assert_eq!(places.take().err(), Some(Refusal::TooManyRequests));
        // A slow client is not a stalled one.
        for number in 0..2 {
            tokio::time::sleep(STALL - Duration::from_secs(1)).await;
            assert_eq!(stream.next().await.expect("there is more").expect("a number"), number);
        }
        tokio::time::sleep(STALL + Duration::from_secs(1)).await;
        drop(places.take().expect("the place is free again"));
        assert_eq!(stream.next().await.expect("an end").expect_err("given up"), Refusal::StreamNotRead);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_has_nothing_to_offer_is_not_given_up() {
        let places = Places::new(1);
        let late = stream::once(Box::pin(async {
            tokio::time::sleep(10 * STALL).await;
            Ok::<_, Refusal>(7)
        }));
        let mut stream = Limited::new(late, places.take().expect("a place"));
        assert_eq!(stream.next().await.expect("one").expect("a number"), 7);
        assert!(stream.next().await.is_none());
        drop(places.take().expect("the place is free at the end, not only when the stream is dropped"));
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_leaves_its_place() {
        let places = Places::new(1);
        drop(numbers(places.take().expect("a place")));
        drop(places.take().expect("the place is free"));
    }
}
