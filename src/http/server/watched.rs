//! What passes between us and the other side, watched: bytes that come and are taken, a request's body with its time limit,
//! an answer's end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::{BODY, Connection, Phase};

/// A stream whose connection hears of every byte.
pub struct Watched<S> {
    pub io: S,
    pub connection: Arc<Connection>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let done = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.connection.has_read();
        }
        Poll::Ready(done)
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn written(&self, done: io::Result<usize>) -> Poll<io::Result<usize>> {
        if done.as_ref().is_ok_and(|n| *n > 0) {
            self.connection.has_written();
        }
        Poll::Ready(done)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let done = ready!(Pin::new(&mut self.io).poll_write(cx, buf));
        self.written(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs));
        self.written(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = ready!(Pin::new(&mut self.io).poll_flush(cx));
        if done.is_ok() {
            self.connection.has_flushed();
        }
        Poll::Ready(done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A request's body: what is not there in time never comes.
pub struct RequestBody {
    body: Incoming,
    connection: Arc<Connection>,
    until: Instant,
    /// Set once something is waited for.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub fn new(body: Incoming, connection: Arc<Connection>) -> Self {
        Self { body, connection, until: Instant::now() + BODY, alarm: None }
    }
}

impl hyper::body::Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            this.connection.enter(Phase::Body);
            let until = this.until;
            let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
            ready!(alarm.as_mut().poll(cx));
            this.connection.body_is_late();
            this.connection.enter(Phase::Handling);
            return Poll::Ready(Some(Err("the body did not come in time".into())));
        };
        if frame.is_none() || this.body.is_end_stream() {
            this.connection.enter(Phase::Handling);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body; its connection hears when it was handed over as a whole.
pub struct AnswerBody {
    pub body: Body,
    pub connection: Arc<Connection>,
}

impl hyper::body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.connection.hand_over();
    }
}
