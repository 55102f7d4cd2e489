//! From samples into a program's inputs, and through a step.

use super::TrainError;
use super::weights::SampleWeights;
use crate::compile::{Elements, PortAccess, RunError};
use crate::data::Samples;
use crate::model::SAMPLE_WEIGHT;
use ir::TensorType;
use std::ops::Range;

/// Copies samples of a range into all of the program's inputs, which may have room for more: the last one fills the rest then.
pub(super) fn feed(
    program: &mut impl PortAccess,
    samples: &Samples<'_>,
    range: Range<usize>,
    weights: &SampleWeights,
) -> Result<(), TrainError> {
    program.feed(|name, ty, elements| feed_input((name, ty, elements), samples, range.clone(), weights))
}

/// Copies samples of a range into one input.
pub(super) fn feed_input(
    (name, ty, mut elements): (&str, &TensorType, Elements<'_>),
    samples: &Samples<'_>,
    range: Range<usize>,
    weights: &SampleWeights,
) -> Result<(), TrainError> {
    if name == SAMPLE_WEIGHT && weights.are_computed() {
        return Ok(weights.write((samples, range.len()), ty.dtype, &mut elements)?);
    }
    match elements {
        Elements::F32(out) => samples.copy(range, name, ty, out),
        Elements::F64(out) => samples.copy(range, name, ty, out),
        Elements::I64(out) => samples.copy(range, name, ty, out),
        Elements::I32(out) => samples.copy(range, name, ty, out),
        Elements::I16(out) => samples.copy(range, name, ty, out),
        Elements::U64(out) => samples.copy(range, name, ty, out),
        Elements::U32(out) => samples.copy(range, name, ty, out),
        Elements::SignedByte(out) => samples.copy(range, name, ty, out),
        Elements::Byte(out) => samples.copy(range, name, ty, out),
        Elements::Bits16(out) => samples.copy(range, name, ty, out),
    }?;
    Ok(())
}

/// Runs a step on samples that have been fed, of which the first is sample `from`. An element that is out of range is named by its sample.
pub(super) fn run(program: &mut impl PortAccess, samples: &Samples<'_>, from: usize) -> Result<(), TrainError> {
    program.run_step().map_err(|error| match error {
        RunError::Index { input: name, place, value, error } if !place.is_empty() => {
            let sample = samples.name_of(from + place[0]);
            TrainError::Index { name, sample, place: place[1..].to_vec(), value, error }
        }
        other => other.into(),
    })
}
