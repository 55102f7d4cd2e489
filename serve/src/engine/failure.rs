//! Why a request isn't answered, apart from how each protocol says so.

use crate::tensor::TensorError;
use std::time::Duration;

/// Why a request got no answer. Each has the text that the client is told.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// There is no such model, version or address.
    #[error("{0}")]
    NotFound(String),
    /// The request breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// The request is larger than the server takes.
    #[error("{0}")]
    TooLarge(String),
    /// Too many requests wait already.
    #[error("{why}")]
    Busy {
        /// What is full.
        why: String,
        /// When to ask again.
        retry_after: Duration,
    },
    /// It took longer than the request or the server allows.
    #[error("{0}")]
    Timeout(String),
    /// The model isn't ready, or the server is about to end.
    #[error("{why}")]
    Unavailable {
        /// What isn't there.
        why: String,
        /// When to ask again.
        retry_after: Duration,
    },
    /// What the server did wrong.
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    /// A word for its kind, as metrics and logs have it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Invalid(_) => "invalid",
            Self::TooLarge(_) => "too_large",
            Self::Busy { .. } => "busy",
            Self::Timeout(_) => "timeout",
            Self::Unavailable { .. } => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// When to ask again, if that may help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } | Self::Unavailable { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

impl From<TensorError> for Failure {
    fn from(error: TensorError) -> Self {
        Self::Invalid(error.to_string())
    }
}
