//! A version of a model that answers: its predictor, the requests that wait for it, and the threads that compute them.

use super::batches::Computer;
use super::pace::BatchTimes;
use super::queue::{NoPlace, Queue, QueuePlace, Waiting};
use super::{EngineOptions, Events, Failure, InferRequest, TensorMetadata};
use crate::tensor::{Datatype, InferTensor};
use bytes::Bytes;
use gradc::train::{Predictor, TrainError};
use ir::TensorType;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// An input or an output: what a request must have, or gets.
#[derive(Clone, Debug)]
pub(super) struct ModelPort {
    pub(super) name: String,
    pub(super) datatype: Datatype,
    /// Of one sample.
    pub(super) dims: Vec<usize>,
}

impl ModelPort {
    fn of((name, ty): (String, TensorType)) -> Self {
        Self { name, datatype: ty.dtype.into(), dims: ty.shape.dims().to_vec() }
    }

    /// Elements of a sample, in bytes.
    fn bytes(&self) -> usize {
        self.dims.iter().product::<usize>() * self.datatype.size().unwrap_or(0)
    }
}

/// What a version is, for all who share it.
pub(super) struct VersionCore {
    pub(super) model: String,
    pub(super) number: u64,
    pub(super) predictor: Predictor,
    pub(super) inputs: Vec<ModelPort>,
    pub(super) outputs: Vec<ModelPort>,
    pub(super) queue: Queue,
    pub(super) times: BatchTimes,
    pub(super) events: Arc<dyn Events>,
}

/// A version that answers, until it is dropped.
pub(super) struct Version {
    pub(super) core: Arc<VersionCore>,
    pub(super) platform: &'static str,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What a request is, once it is known to fit.
pub(super) struct Fitting {
    pub(super) rows: usize,
    pub(super) inputs: Vec<Bytes>,
    pub(super) outputs: Vec<usize>,
}

impl Version {
    /// Makes a version of a predictor: compiles the program of the smallest batch, or all if `whole`, and starts what computes. The others are compiled behind.
    pub(super) fn start(
        (model, number, platform): (&str, u64, &'static str),
        predictor: Predictor,
        options: &EngineOptions,
        (events, whole): (Arc<dyn Events>, bool),
    ) -> Result<Self, TrainError> {
        let instances = options.instances.max(1);
        let (first, rest) = {
            let sizes: Vec<usize> = predictor.sizes().collect();
            let at = if whole { sizes.len() } else { sizes.len().min(1) };
            (sizes[..at].to_vec(), sizes[at..].to_vec())
        };
        first.into_iter().try_for_each(|size| predictor.warm_up(size, instances))?;
        let core = Arc::new(VersionCore {
            model: model.into(),
            number,
            inputs: predictor.inputs().into_iter().map(ModelPort::of).collect(),
            outputs: predictor.outputs().into_iter().map(ModelPort::of).collect(),
            times: BatchTimes::new(predictor.sizes()),
            predictor,
            queue: Queue::new(options.queue.max(1), options.max_delay),
            events,
        });
        let version = Self { core, platform, threads: Mutex::default() };
        for _ in 0..instances {
            let computer = Computer::new(Arc::clone(&version.core));
            version.spawn("compute", move || computer.run())?;
        }
        if !rest.is_empty() {
            let core = Arc::clone(&version.core);
            version.spawn("compile", move || core.compile(&rest, instances))?;
        }
        Ok(version)
    }

    fn spawn(&self, what: &str, work: impl FnOnce() + Send + 'static) -> Result<(), TrainError> {
        let name = format!("{what} {}", self.core.model).chars().take(15).collect();
        let thread = std::thread::Builder::new().name(name).spawn(work);
        let thread = thread.map_err(|e| TrainError::Setting(format!("no thread is to be had: {e}")))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// Answers what waits, and ends. Blocks for as long as that takes.
    pub(super) fn stop(&self) {
        self.core.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has ended, too.
            let _ = thread.join();
        }
    }
}

impl Drop for Version {
    /// Without waiting: a thread of the engine's may drop the last one.
    fn drop(&mut self) {
        self.core.queue.close();
    }
}

impl VersionCore {
    /// Compiles further sizes, unless the version ends meanwhile. One that can't be had isn't used: requests go through smaller ones.
    fn compile(&self, sizes: &[usize], instances: usize) {
        for size in sizes {
            if self.queue.is_closed() {
                return;
            }
            if let Err(error) = self.predictor.warm_up(*size, instances) {
                let (version, state) = (self.number.to_string(), super::ModelState::Ready);
                let reason = format!("batches of {size} can't be compiled: {error}");
                self.events.changed(&super::Changed { model: &self.model, version: &version, state, reason: &reason });
            }
        }
    }

    /// Samples of a request at most.
    pub(super) fn max_batch(&self) -> usize {
        self.predictor.sizes().last().unwrap_or(1)
    }

    /// Samples that a batch may have so far.
    pub(super) fn room(&self) -> usize {
        self.predictor.ready_sizes().last().unwrap_or(1)
    }

    /// A place for a request.
    pub(super) fn enqueue(&self, waiting: Waiting) -> Result<QueuePlace<'_>, NoPlace> {
        self.queue.push(waiting)
    }

    /// Checks a request against the model.
    pub(super) fn fit(&self, request: &InferRequest) -> Result<Fitting, Failure> {
        for input in &request.inputs {
            if !self.inputs.iter().any(|port| port.name == input.name()) {
                return Err(invalid(format!(
                    "the model has no input {:?}; {}",
                    short(input.name()),
                    told(&self.inputs)
                )));
            }
        }
        let mut rows = None;
        let mut inputs = vec![];
        for port in &self.inputs {
            let mut given = request.inputs.iter().filter(|input| input.name() == port.name);
            let Some(input) = given.next() else {
                return Err(invalid(format!("the input {:?} is missing; {}", port.name, told(&self.inputs))));
            };
            if given.next().is_some() {
                return Err(invalid(format!("the input {:?} is given twice", port.name)));
            }
            let found = self.rows(port, input)?;
            if *rows.get_or_insert(found) != found {
                let what = format!("the input {:?} has {found} samples, another one {}", port.name, rows.unwrap_or(0));
                return Err(invalid(what));
            }
            inputs.push(input.data().clone());
        }
        let rows = rows.unwrap_or(1);
        if rows > self.max_batch() {
            let most = self.max_batch();
            return Err(Failure::TooLarge(format!("the request has {rows} samples: at most {most} are taken at once")));
        }
        Ok(Fitting { rows, inputs, outputs: self.asked(&request.outputs)? })
    }

    /// How many samples an input has.
    fn rows(&self, port: &ModelPort, input: &InferTensor) -> Result<usize, Failure> {
        let (rows, dims) = match (self.predictor.is_whole(), input.shape()) {
            (true, shape) => (Some(1), shape),
            (false, [rows, dims @ ..]) => (Some(*rows), dims),
            (false, []) => (None, &[][..]),
        };
        match rows {
            Some(rows) if input.datatype() == port.datatype && dims == port.dims => Ok(rows),
            _ => {
                let (found, shape) = (input.datatype(), input.shape());
                let expected = self.metadata(port);
                let what = format!(
                    "the input {:?} is {found}{shape:?}, the model takes {}{:?}",
                    port.name, expected.datatype, expected.shape
                );
                Err(invalid(what))
            }
        }
    }

    /// The numbers of outputs by their names; all, if none is named.
    fn asked(&self, names: &[String]) -> Result<Vec<usize>, Failure> {
        if names.is_empty() {
            return Ok((0..self.outputs.len()).collect());
        }
        if names.len() > self.outputs.len() {
            return Err(invalid(format!("{} outputs are asked for; {}", names.len(), told(&self.outputs))));
        }
        let number = |name: &String| {
            let found = self.outputs.iter().position(|port| port.name == *name);
            found.ok_or_else(|| invalid(format!("the model has no output {:?}; {}", short(name), told(&self.outputs))))
        };
        names.iter().map(number).collect()
    }

    /// An output as an answer has it.
    pub(super) fn output(&self, number: usize, rows: usize, data: Bytes) -> Result<InferTensor, Failure> {
        let port = self.outputs.get(number).ok_or_else(|| Failure::Internal("an output is gone".into()))?;
        let rows = (!self.predictor.is_whole()).then_some(rows);
        let extents = rows.into_iter().chain(port.dims.iter().copied());
        let shape: Vec<i64> = extents.map(|extent| i64::try_from(extent).unwrap_or(i64::MAX)).collect();
        InferTensor::new(&port.name, port.datatype, &shape, data).map_err(|e| Failure::Internal(e.to_string()))
    }

    /// A port as it is told.
    pub(super) fn metadata(&self, port: &ModelPort) -> TensorMetadata {
        let rows = (!self.predictor.is_whole()).then_some(-1);
        let dims = port.dims.iter().map(|extent| i64::try_from(*extent).unwrap_or(i64::MAX));
        TensorMetadata {
            name: port.name.clone(),
            datatype: port.datatype,
            shape: rows.into_iter().chain(dims).collect(),
        }
    }

    /// Bytes of a sample's outputs.
    pub(super) fn bytes_of(&self, output: usize) -> usize {
        self.outputs.get(output).map_or(0, ModelPort::bytes)
    }
}

fn invalid(what: String) -> Failure {
    Failure::Invalid(what)
}

/// The beginning of a name that a stranger sent.
fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

/// The ports that there are.
fn told(ports: &[ModelPort]) -> String {
    let names: Vec<String> = ports.iter().map(|port| format!("{:?}", port.name)).collect();
    format!("it has {}", names.join(", "))
}
