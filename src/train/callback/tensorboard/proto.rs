//! The messages of an event file, as far as they are written: the numbers are those of TensorFlow's fields (`event.proto`, `summary.proto`, `graph.proto`).

// Prost's derive writes code of its own for each.
#![allow(missing_docs, unreachable_pub, reason = "fields are TensorFlow's")]

use prost::{Message, Oneof};

/// An event: when, at which step, what.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EventProto {
    /// In seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    #[prost(oneof = "EventData", tags = "3, 4, 5")]
    pub what: Option<EventData>,
}

/// What an event tells.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum EventData {
    /// The first event of a file: in which version it is written.
    #[prost(string, tag = "3")]
    FileVersion(String),
    /// A [`GraphDef`].
    #[prost(bytes = "vec", tag = "4")]
    GraphDef(Vec<u8>),
    #[prost(message, tag = "5")]
    Summary(SummaryProto),
}

/// What was measured at one step.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SummaryProto {
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<SummaryValue>,
}

/// One thing that was measured.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SummaryValue {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(oneof = "SummaryData", tags = "2, 5")]
    pub value: Option<SummaryData>,
}

/// A number, or how many numbers are distributed.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum SummaryData {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "5")]
    Histogram(HistogramProto),
}

/// How numbers are distributed: those of a bucket are above the limit of the one before and at most its own.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HistogramProto {
    #[prost(double, tag = "1")]
    pub min: f64,
    #[prost(double, tag = "2")]
    pub max: f64,
    #[prost(double, tag = "3")]
    pub num: f64,
    #[prost(double, tag = "4")]
    pub sum: f64,
    #[prost(double, tag = "5")]
    pub sum_squares: f64,
    #[prost(double, repeated, tag = "6")]
    pub bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    pub bucket: Vec<f64>,
}

/// A graph, whose nodes' names are paths.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GraphDef {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeDef>,
}

/// A node.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeDef {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub op: String,
    #[prost(string, repeated, tag = "3")]
    pub input: Vec<String>,
}
