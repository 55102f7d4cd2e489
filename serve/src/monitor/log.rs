//! The server's log: a line for each request and each change of a model, on standard error.

use std::io::{Write, stderr};
use std::str::FromStr;
use tracing_subscriber::filter::LevelFilter;

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object on each line, for programs.
    Json,
    /// There is none.
    Off,
}

/// What can't be done about the log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// There is another format.
    #[error("{0:?} is no format of the log: text, json or off")]
    Format(String),
    /// The process has a log already.
    #[error("the process has a log already")]
    Started,
}

impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "off" => Ok(Self::Off),
            other => Err(LogError::Format(other.into())),
        }
    }
}

/// Starts the log of this process.
///
/// # Errors
/// If there is one already.
pub fn start(format: LogFormat) -> Result<(), LogError> {
    let log = tracing_subscriber::fmt().with_writer(stderr).with_target(false);
    let started = match format {
        LogFormat::Text => log.with_max_level(LevelFilter::INFO).with_ansi(false).try_init(),
        LogFormat::Json => log.with_max_level(LevelFilter::INFO).json().flatten_event(true).try_init(),
        LogFormat::Off => return Ok(()),
    };
    started.map_err(|_| LogError::Started)
}

/// Tells who watches a process with such a log something that isn't about a request: a line of the log, or, without one, of standard error.
pub fn say(format: LogFormat, text: &str) {
    if format == LogFormat::Off {
        // Who doesn't watch misses nothing.
        let _ = writeln!(stderr(), "{text}");
    } else {
        tracing::info!("{text}");
    }
}
