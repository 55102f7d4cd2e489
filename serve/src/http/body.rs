//! Bodies of requests, read within limits: of one, of all together, and of time.

use crate::engine::Failure;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits of the REST interface.
#[derive(Clone, PartialEq, Debug)]
pub struct HttpOptions {
    /// Bytes of a request's body at most.
    pub max_request: usize,
    /// Bytes of all bodies and messages that are there at once.
    pub max_requests: usize,
    /// How long a client may take for a request's head, and a connection may be idle.
    pub head_timeout: Duration,
    /// How long a client may take for a request's body, for the next message of a stream, and to take a part of an answer.
    pub body_timeout: Duration,
    /// Connections at once.
    pub max_connections: usize,
}

impl Default for HttpOptions {
    /// 64 MiB a request, 1 GiB in all, 15 s for a head, 30 s for a body, 16,384 connections.
    fn default() -> Self {
        Self {
            max_request: 64 << 20,
            max_requests: 1 << 30,
            head_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(30),
            max_connections: 1 << 14,
        }
    }
}

/// Memory that is left for bodies, of all protocols together: copies are one budget.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Semaphore>);

/// Bytes that one permit stands for.
const UNIT: usize = 4096;

/// A body, and its share of the budget as long as this lives.
pub(crate) struct ReadBody {
    pub(crate) bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// As much as the settings allow.
    pub fn new(options: &HttpOptions) -> Self {
        Self(Arc::new(Semaphore::new((options.max_requests / UNIT).clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Makes a share one for so many bytes.
    ///
    /// # Errors
    /// If there isn't so much left.
    pub(crate) fn take(&self, share: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Failure> {
        let held = share.as_ref().map_or(0, |share| share.num_permits());
        let missing = bytes.div_ceil(UNIT).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let (why, retry_after) = ("the server holds as many requests as it may".into(), Duration::from_secs(1));
        let busy = Failure::Busy { why, retry_after };
        let missing = u32::try_from(missing).map_err(|_| busy.clone())?;
        let more = Arc::clone(&self.0).try_acquire_many_owned(missing).map_err(|_| busy)?;
        match share {
            Some(share) => share.merge(more),
            None => *share = Some(more),
        }
        Ok(())
    }

    /// Reads a body.
    ///
    /// # Errors
    /// It is larger than the limit, too slow, or broken off; all bodies together are larger than theirs; an encoding.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        options: &HttpOptions,
    ) -> Result<ReadBody, Failure> {
        if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
            && encoding != "identity"
        {
            return Err(Failure::Invalid("the body has a Content-Encoding: send it as it is".into()));
        }
        let read = tokio::time::timeout(options.body_timeout, self.frames(body, options.max_request));
        read.await.map_err(|_| Failure::Timeout("the request's body didn't come in time".into()))?
    }

    async fn frames(&self, mut body: Body, most: usize) -> Result<ReadBody, Failure> {
        let said = axum::body::HttpBody::size_hint(&body);
        let large = || Failure::TooLarge(format!("the request's body is larger than {most} bytes"));
        if said.lower() > most as u64 {
            return Err(large());
        }
        let mut share = None;
        let mut parts: Vec<Bytes> = vec![];
        let mut len = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Failure::Invalid("the request's body broke off".into()))?;
            let Ok(data) = frame.into_data() else { continue };
            len += data.len();
            if len > most {
                return Err(large());
            }
            // What a client says it will send is not taken before it has sent it.
            self.take(&mut share, len)?;
            parts.push(data);
        }
        let bytes = match parts.len() {
            0 => Bytes::new(),
            1 => parts.swap_remove(0),
            _ => {
                let mut whole = BytesMut::with_capacity(len);
                parts.iter().for_each(|part| whole.extend_from_slice(part));
                whole.freeze()
            }
        };
        Ok(ReadBody { bytes, _share: share })
    }
}
