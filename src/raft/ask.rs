//! Asking another member.

use bytes::Bytes;

use super::inner::Inner;
use super::wire::{Answer, Request, Route, decode, encode};
use crate::model::MemberId;
use crate::peer::{Channel, TransportError};

/// Asks another member.
pub async fn ask(
    inner: &Inner,
    to: MemberId,
    channel: Channel,
    request: &Request,
) -> Result<Answer, TransportError> {
    let Some(peer) = inner.peer(to) else {
        return Err(TransportError::Unreachable(format!("member {to} is not in the configuration")));
    };
    let route = Route { cluster: inner.shared.cluster(), from: inner.shared.id(), to };
    let back = Route { from: to, to: inner.shared.id(), ..route };
    let bytes: Bytes =
        encode(route, request).map_err(|error| TransportError::Unreachable(error.to_string()))?;
    let timeout = inner.options.request_timeout();
    let bytes = inner.options.transport.call(to, &peer.urls, channel, bytes, timeout).await?;
    decode(&bytes, back).map_err(|error| TransportError::Lost(error.to_string()))
}
