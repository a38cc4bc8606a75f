//! One HTTP/2 connection for tonic's generated clients, without the queue and the task of tonic's own channel: the load
//! generator shares the machine with the server, so it must be cheap.

use crate::tls::Tls;
use http::uri::{Authority, InvalidUri, Scheme};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;

const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A connection; clones share it.
#[derive(Clone)]
pub struct Wire {
    sender: SendRequest<Body>,
    authority: Authority,
    port: u16,
    tls: Option<Arc<Tls>>,
}

impl Wire {
    /// Connects to `port` on loopback. Runs on the current runtime.
    pub async fn connect(port: u16) -> Result<Wire, String> {
        Wire::open(port, None).await
    }

    /// The same with TLS, if there is any.
    pub async fn open(port: u16, tls: Option<Arc<Tls>>) -> Result<Wire, String> {
        let failed = |error: &dyn std::fmt::Display| format!("cannot connect to port {port}: {error}");
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map_err(|e| failed(&e))?;
        stream.set_nodelay(true).map_err(|e| failed(&e))?;
        let begun = match &tls {
            Some(tls) => {
                let stream = Box::pin(tls.connect(stream)).await.map_err(|e| failed(&e))?;
                Box::pin(begin(stream)).await
            }
            None => begin(stream).await,
        };
        let sender = begun.map_err(|e| failed(&e))?;
        let authority = format!("127.0.0.1:{port}").parse().map_err(|e: InvalidUri| failed(&e))?;
        Ok(Wire { sender, authority, port, tls })
    }

    /// Another connection to the same server.
    pub async fn again(&self) -> Result<Wire, String> {
        Wire::open(self.port, self.tls.clone()).await
    }

    /// `count` connections, to the ports in turn.
    pub async fn several(ports: &[u16], count: usize) -> Result<Vec<Wire>, String> {
        let mut wires = Vec::with_capacity(count);
        for &port in ports.iter().cycle().take(count) {
            wires.push(Wire::connect(port).await?);
        }
        Ok(wires)
    }
}

async fn begin<S>(stream: S) -> hyper::Result<SendRequest<Body>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // The requests that fail report the end of the connection.
        let _ = connection.await;
    });
    Ok(sender)
}

impl tower::Service<Request<Body>> for Wire {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.authority.clone());
        if let Ok(uri) = http::Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        Box::pin(self.sender.send_request(request))
    }
}
