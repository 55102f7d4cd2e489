//! What computes: a thread that takes requests which wait, puts them together and gives each its part of the outputs.

use super::queue::{Answer, Waiting};
use super::version::VersionCore;
use super::{BatchRun, Failure};
use bytes::Bytes;
use gradc::compile::RunError;
use gradc::train::{PredictorBatch, TrainError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// One thread's work.
pub(super) struct Computer {
    core: Arc<VersionCore>,
}

impl Computer {
    pub(super) fn new(core: Arc<VersionCore>) -> Self {
        Self { core }
    }

    /// Until the queue is closed and empty.
    pub(super) fn run(&self) {
        let core = &self.core;
        while let Some(requests) = core.queue.next_batch(|| core.room(), |waiting| core.times.portion(waiting)) {
            self.answer(requests);
        }
    }

    /// Computes requests together. One whose elements are out of range is told so, and the others are computed without it. Where it isn't known which it is, each is computed by itself.
    fn answer(&self, mut requests: Vec<Waiting>) {
        while !requests.is_empty() {
            match self.compute(&requests) {
                Ok(answers) => {
                    for (request, answer) in requests.drain(..).zip(answers) {
                        // Who has gone doesn't hear it.
                        let _ = request.reply.send(Ok(answer));
                    }
                }
                Err(BatchFault::Request(number, why)) if number < requests.len() => {
                    let _ = requests.remove(number).reply.send(Err(Failure::Invalid(why)));
                }
                Err(BatchFault::Check(why)) => match <[Waiting; 1]>::try_from(requests) {
                    Ok([request]) => {
                        let _ = request.reply.send(Err(Failure::Invalid(why)));
                        return;
                    }
                    Err(several) => return several.into_iter().for_each(|request| self.answer(vec![request])),
                },
                Err(BatchFault::Request(_, why) | BatchFault::All(why)) => {
                    for request in requests.drain(..) {
                        let _ = request.reply.send(Err(Failure::Internal(why.clone())));
                    }
                }
            }
        }
    }

    /// The outputs of each request. Nothing that goes wrong ends the thread.
    fn compute(&self, requests: &[Waiting]) -> Result<Vec<Vec<Bytes>>, BatchFault> {
        let start = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(|| self.compute_parts(requests)));
        let (answers, room) = done.unwrap_or_else(|_| Err(BatchFault::All("the prediction failed".into())))?;
        let (version, samples) = (self.core.number.to_string(), requests.iter().map(|request| request.rows).sum());
        let (model, requests, took) = (&*self.core.model, requests.len(), start.elapsed());
        self.core.events.batch(&BatchRun { model, version: &version, requests, samples, room, took });
        Ok(answers)
    }

    /// In as many runs as the programs that are ready need: before the larger ones are compiled, a request of many samples takes several.
    fn compute_parts(&self, requests: &[Waiting]) -> Result<(Vec<Vec<Bytes>>, usize), BatchFault> {
        let core = &self.core;
        let rows: usize = requests.iter().map(|request| request.rows).sum();
        let mut answers: Vec<Vec<Vec<u8>>> = requests.iter().map(|request| self.buffers(request)).collect();
        let (mut done, mut rooms) = (0, 0);
        while done < rows {
            let found = core.predictor.ready_batch(rows - done).map_err(all)?;
            let mut batch = found.ok_or_else(|| BatchFault::All("no program is ready".into()))?;
            let count = batch.room().min(rows - done);
            let parts = parts(requests, done, count);
            self.write(&mut batch, requests, &parts)?;
            let start = Instant::now();
            batch.run(count).map_err(|error| blame(error, &parts))?;
            core.times.record(batch.room(), start.elapsed());
            for part in &parts {
                for (output, buffer) in requests[part.request].outputs.iter().zip(&mut answers[part.request]) {
                    let port = core.outputs.get(*output).ok_or_else(|| BatchFault::All("an output is gone".into()))?;
                    batch.read(&port.name, part.place..part.place + part.rows, buffer).map_err(all)?;
                }
            }
            rooms += batch.room();
            done += count;
        }
        Ok((answers.into_iter().map(|buffers| buffers.into_iter().map(Bytes::from).collect()).collect(), rooms))
    }

    /// Room for a request's outputs.
    fn buffers(&self, request: &Waiting) -> Vec<Vec<u8>> {
        let of_output = |output: &usize| Vec::with_capacity(self.core.bytes_of(*output) * request.rows);
        request.outputs.iter().map(of_output).collect()
    }

    fn write(
        &self,
        batch: &mut PredictorBatch<'_>,
        requests: &[Waiting],
        parts: &[BatchPart],
    ) -> Result<(), BatchFault> {
        for part in parts {
            let request = &requests[part.request];
            for (port, data) in self.core.inputs.iter().zip(&request.inputs) {
                let row = data.len() / request.rows.max(1);
                let bytes = data.get(part.from * row..(part.from + part.rows) * row).unwrap_or_default();
                batch.write(&port.name, part.place, bytes).map_err(all)?;
            }
        }
        Ok(())
    }
}

/// Samples of a request in a batch.
struct BatchPart {
    /// The request's number.
    request: usize,
    /// Its first sample that is meant.
    from: usize,
    /// How many.
    rows: usize,
    /// Where the first one stands in the batch.
    place: usize,
}

/// The parts of `count` samples, from sample `start` of all requests' on.
fn parts(requests: &[Waiting], start: usize, count: usize) -> Vec<BatchPart> {
    let (mut parts, mut at) = (vec![], 0);
    for (number, request) in requests.iter().enumerate() {
        let (from, to) = (start.max(at), (start + count).min(at + request.rows));
        if from < to {
            parts.push(BatchPart { request: number, from: from - at, rows: to - from, place: from - start });
        }
        at += request.rows;
    }
    parts
}

/// Why a batch wasn't computed.
enum BatchFault {
    /// One request's elements.
    Request(usize, String),
    /// Elements of a request that nobody knows.
    Check(String),
    /// Something that no request is to blame for.
    All(String),
}

fn all(error: TrainError) -> BatchFault {
    BatchFault::All(error.to_string())
}

/// The request whose element is out of range.
fn blame(error: TrainError, parts: &[BatchPart]) -> BatchFault {
    let (input, place, value, error) = match error {
        TrainError::Run(RunError::Index { input, place, value, error }) => (input, place, value, error),
        // The code says what is wrong, and not with which sample.
        TrainError::Run(RunError::Step(error)) => return BatchFault::Check(error.to_string()),
        other => return all(other),
    };
    let row = place.first().copied().unwrap_or(0);
    // What a sample is repeated for stands behind the last one.
    let found = parts.iter().find(|part| row < part.place + part.rows).or(parts.last());
    let number = found.map_or(0, |part| part.request);
    let within = found.map_or(row, |part| part.from + row.saturating_sub(part.place));
    let rest = place.get(1..).unwrap_or_default();
    BatchFault::Request(number, format!("{error}: sample {within} of {input:?} holds {value} at {rest:?}"))
}

/// A failure for whoever waits when nothing answers.
pub(super) fn unanswered() -> Answer {
    Err(Failure::Internal("the request was given up".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::oneshot;

    fn request(rows: usize) -> Waiting {
        let (now, reply) = (Instant::now(), oneshot::channel().0);
        Waiting { rows, inputs: vec![], outputs: vec![], reply, since: now, deadline: now + Duration::from_secs(9) }
    }

    #[test]
    fn parts_cover_all_samples_once() {
        let requests: Vec<Waiting> = [3, 1, 6].into_iter().map(request).collect();
        let told = |start, count| -> Vec<(usize, usize, usize, usize)> {
            parts(&requests, start, count).iter().map(|p| (p.request, p.from, p.rows, p.place)).collect()
        };
        assert_eq!(told(0, 4), [(0, 0, 3, 0), (1, 0, 1, 3)]);
        assert_eq!(told(2, 4), [(0, 2, 1, 0), (1, 0, 1, 1), (2, 0, 2, 2)]);
        assert_eq!(told(8, 2), [(2, 4, 2, 0)]);
    }
}
