//! The body of a stream of messages: its share of the memory for bodies, and how long the client may take for the next message.

use crate::engine::Failure;
use crate::http::{Budget, HttpOptions};
use axum::Error;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::status::status;

/// A request's body, read message by message.
pub(super) struct MessageBody {
    body: Body,
    next: NextMessage,
}

/// The message that a stream waits for. Whoever has got it says so, and waits for another one from then on.
#[derive(Clone)]
pub(super) struct NextMessage(Arc<Mutex<Awaited>>);

struct Awaited {
    budget: Budget,
    limit: Duration,
    /// What is read into is as large as the largest message was, as long as the stream lasts, and so is its share.
    share: Option<OwnedSemaphorePermit>,
    /// Bytes of the message so far.
    bytes: usize,
    /// Of the part that came last.
    last: usize,
    /// While it hasn't come.
    timer: Option<Pin<Box<Sleep>>>,
}

impl MessageBody {
    /// A body whose messages take of that budget, each within the time for a body.
    pub(super) fn new(body: Body, budget: Budget, options: &HttpOptions) -> (Self, NextMessage) {
        let (limit, share, timer) = (options.body_timeout, None, None);
        let next = NextMessage(Arc::new(Mutex::new(Awaited { budget, limit, share, bytes: 0, last: 0, timer })));
        (Self { body, next: next.clone() }, next)
    }
}

impl NextMessage {
    /// A message is there: the next one has its own time.
    pub(super) fn came(&self) {
        let mut awaited = self.lock();
        // The part that brought it may have more.
        (awaited.bytes, awaited.timer) = (awaited.last, None);
    }

    /// Numbers are whole whatever happened to a thread that had them.
    fn lock(&self) -> MutexGuard<'_, Awaited> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Awaited {
    /// Takes memory for a part that has come.
    fn take(&mut self, bytes: usize) -> Result<(), Failure> {
        self.bytes += bytes;
        self.last = bytes;
        let Self { budget, share, bytes, .. } = self;
        budget.take(share, *bytes)
    }

    /// Until the client has taken too long.
    fn late(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        let why = || Status::deadline_exceeded(format!("no message came within {limit:?}: open another stream"));
        timer.as_mut().poll(cx).map(|()| why())
    }
}

impl HttpBody for MessageBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let mut awaited = self.next.lock();
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                let taken = awaited.take(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(taken.map(|()| frame).map_err(|failure| Error::new(status(&failure)))))
            }
            Poll::Pending => awaited.late(cx).map(|late| Some(Err(Error::new(late)))),
            ready => ready,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
