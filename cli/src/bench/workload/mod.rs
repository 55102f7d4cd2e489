//! The workloads: graphs, initial values and inputs, all with fixed numbers. Names, shapes and definitions are those that other
//! frameworks' benchmarks of the same things use.

mod composed;
mod kernel;
mod network;
mod op;
mod quantized;
mod train;

pub use kernel::KERNELS;
pub use op::OPS;
pub use train::{INFERENCE, WORKLOADS};

use super::BenchError;
use gradc::compile::CompiledProgram;
use gradc::dsl::Step;
use ir::{Value, ValueError};
use kernel::KernelWorkload;
use quantized::QuantizedWorkload;
use train::Network;

/// What one step of a workload does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Definition {
    /// Forward, backward and update on a batch.
    Training(Network),
    /// Forward on a batch.
    Inference(Network),
    /// Forward on a batch, products in bytes.
    Quantized(QuantizedWorkload),
    /// A single function of tensors.
    Kernel(KernelWorkload),
    /// A row of the list of operations.
    Op(op::OpRow),
}

/// What a workload is a case of; its name in results is that of the other frameworks' benchmarks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum WorkloadKind {
    /// A training step.
    Training,
    /// The output of a model for a batch.
    Inference,
    /// A single function of tensors: a matrix product, a softmax, an optimizer's update.
    Kernel,
}

impl WorkloadKind {
    /// `train`, `infer`, `kernel`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "train",
            Self::Inference => "infer",
            Self::Kernel => "kernel",
        }
    }
}

/// Something fixed that is timed: a graph, its inputs, its states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Workload {
    /// The name, as other frameworks' benchmarks of the same have it.
    pub name: &'static str,
    /// Samples in the batch; 1 for a kernel.
    pub batch: usize,
    definition: Definition,
}

/// What a step has to do, by the count of other frameworks' benchmarks.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct StepWork {
    /// Floating-point operations of contractions, two for each multiply-add; `None` where there is none.
    pub flops: Option<f64>,
    /// Bytes of operands, each read once; 0 for whole models.
    pub read_bytes: f64,
    /// Bytes of results, each written once; 0 for whole models.
    pub written_bytes: f64,
}

impl StepWork {
    /// Bytes that have to move; `None` where arithmetic is what takes time.
    pub fn bytes(&self) -> Option<f64> {
        let bytes = self.read_bytes + self.written_bytes;
        (self.flops.is_none() && bytes > 0.0).then_some(bytes)
    }
}

impl Workload {
    /// The workload of that name.
    ///
    /// # Errors
    /// If there is none; the message lists the names there are, but those of single operations ([`OPS`]).
    ///
    /// ```
    /// use gradc_cli::bench::Workload;
    /// assert_eq!(Workload::named("mlp_tiny").unwrap().batch, 8);
    /// assert!(Workload::named("gpt").unwrap_err().to_string().contains("mlp_tiny"));
    /// ```
    pub fn named(name: &str) -> Result<&'static Self, BenchError> {
        let known = || WORKLOADS.iter().chain(INFERENCE).chain(KERNELS).map(|w| w.name).collect();
        Self::all()
            .find(|w| w.name == name)
            .ok_or_else(|| BenchError::UnknownWorkload { name: name.into(), known: known() })
    }

    /// All workloads there are.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        WORKLOADS.iter().chain(INFERENCE).chain(KERNELS).chain(OPS)
    }

    /// What it is a case of.
    pub fn kind(&self) -> WorkloadKind {
        match self.definition {
            Definition::Training(_) => WorkloadKind::Training,
            Definition::Inference(_) | Definition::Quantized(_) => WorkloadKind::Inference,
            Definition::Kernel(_) | Definition::Op(_) => WorkloadKind::Kernel,
        }
    }

    /// What runs: for training, inputs `x` and `y` and the output `loss`; for inference, the input `x` and the output `output`; for a kernel, its
    /// operands and results by name.
    ///
    /// # Errors
    /// None that a workload of this crate has.
    pub fn step(&self) -> Result<Step, BenchError> {
        Ok(match self.definition {
            Definition::Training(network) => network.training(self.batch)?,
            Definition::Inference(network) => network.inference(self.batch)?,
            Definition::Quantized(network) => network.step(self.batch)?,
            Definition::Kernel(kernel) => kernel.step(self.name)?,
            Definition::Op(row) => row.step()?,
        })
    }

    /// The inputs' values, by the names of the step's inputs.
    ///
    /// # Errors
    /// None that a workload of this crate has.
    pub fn inputs(&self, step: &Step) -> Result<Vec<(String, Value)>, ValueError> {
        match self.definition {
            Definition::Training(network) | Definition::Inference(network) => network.batch(step),
            Definition::Quantized(network) => network.batch(step),
            Definition::Kernel(kernel) => kernel.inputs(step),
            Definition::Op(row) => row.inputs(step),
        }
    }

    /// The values of all states before the first step.
    ///
    /// # Errors
    /// None that a workload of this crate has.
    pub fn initial_values(&self, step: &Step) -> Result<Vec<(String, Value)>, BenchError> {
        Ok(match self.definition {
            Definition::Training(network) | Definition::Inference(network) => network.initial_values(step),
            Definition::Quantized(network) => network.initial_values(self.batch)?,
            Definition::Kernel(kernel) => kernel.initial_values(step)?,
            Definition::Op(_) => step.initial_values(0),
        })
    }

    /// Writes the initial values and the inputs into a compiled step of this workload.
    ///
    /// # Errors
    /// If the program is of another step.
    pub fn fill(&self, step: &Step, program: &mut CompiledProgram) -> Result<(), BenchError> {
        program.set_states(self.initial_values(step)?.iter().map(|(name, value)| (name, value)))?;
        for (name, value) in self.inputs(step)? {
            program.set_input(&name, &value)?;
        }
        Ok(())
    }

    /// What a kernel's figures are computed from; `None` for whole models, whose contractions are counted in their graphs.
    pub fn work(&self) -> Option<StepWork> {
        match self.definition {
            Definition::Training(_) | Definition::Inference(_) | Definition::Quantized(_) | Definition::Op(_) => None,
            Definition::Kernel(kernel) => Some(kernel.work()),
        }
    }
}
