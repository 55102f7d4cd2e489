//! What a [`Failure`] is in gRPC.

use crate::engine::Failure;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// The status, with the time after which to ask again as clients that retry by themselves read it (`grpc-retry-pushback-ms`).
pub(super) fn status(failure: &Failure) -> Status {
    let code = match failure {
        Failure::NotFound(_) => Code::NotFound,
        Failure::Invalid(_) => Code::InvalidArgument,
        // As tonic says of messages that are too large.
        Failure::TooLarge(_) => Code::OutOfRange,
        Failure::Busy { .. } => Code::ResourceExhausted,
        Failure::Timeout(_) => Code::DeadlineExceeded,
        Failure::Unavailable { .. } => Code::Unavailable,
        Failure::Internal(_) => Code::Internal,
    };
    let mut status = Status::new(code, failure.to_string());
    if let Some(after) = failure.retry_after() {
        let milliseconds = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        status.metadata_mut().insert("grpc-retry-pushback-ms", MetadataValue::from(milliseconds));
    }
    status
}
