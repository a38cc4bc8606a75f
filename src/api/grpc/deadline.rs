//! The caller's deadline: metadata `grpc-timeout`.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use http::HeaderMap;

/// The timeout that the caller gives, if it gives a valid one.
pub fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.as_bytes();
    let (unit, digits) = value.split_last()?;
    // The protocol allows at most eight digits, which also keeps the products below far from overflow.
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount = digits.iter().fold(0u64, |amount, digit| amount * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(amount * 3600)),
        b'M' => Some(Duration::from_secs(amount * 60)),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// The result of `future`, or `None` if it takes longer than `limit`. No timer is armed for a future that is ready at
/// once, as a read on a healthy leader is. The future is passed pinned, so that it is not stored twice.
pub async fn within<F: Future + Unpin>(limit: Option<Duration>, mut future: F) -> Option<F::Output> {
    let first = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut future).poll(context))).await;
    match (first, limit) {
        (Poll::Ready(output), _) => Some(output),
        (Poll::Pending, None) => Some(future.await),
        (Poll::Pending, Some(limit)) => tokio::time::timeout(limit, future).await.ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", http::HeaderValue::from_static(text));
        timeout_of(&headers)
    }

    #[test]
    fn units() {
        assert_eq!(parsed("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parsed("4999992u"), Some(Duration::from_micros(4_999_992)));
        assert_eq!(parsed("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "S", "5", "123456789S", "5x", "-5S"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_future_is_cut_and_a_quick_one_is_not() {
        assert_eq!(within(Some(Duration::ZERO), std::future::ready(7)).await, Some(7));
        assert_eq!(within(Some(Duration::from_secs(1)), std::future::pending::<()>()).await, None);
    }
}
