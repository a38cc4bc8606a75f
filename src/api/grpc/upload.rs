//! The body of a request that stays in its place while layer after layer looks at it: whoever needs the request itself
//! takes it, and leaves an empty one. A future that hands a request on keeps the room for it, so each layer that takes
//! one makes every open stream larger.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

/// See the module. Its default is empty.
pub struct Upload<B>(Option<B>);

impl<B> Upload<B> {
    /// That body.
    pub fn new(body: B) -> Self {
        Self(Some(body))
    }
}

impl<B> Default for Upload<B> {
    fn default() -> Self {
        Self(None)
    }
}

impl<B: Body + Unpin> Body for Upload<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}
