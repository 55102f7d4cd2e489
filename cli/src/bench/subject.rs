//! A workload made runnable, and its states and inputs written.

use super::{ArenaLimit, BenchError, StepWork, Workload, WorkloadKind, contraction_flops};
use gradc::compile::{CompileOptions, CompiledProgram, run_passes};
use gradc::dsl::Step;
use ir::Value;
use passes::Stop;
use runtime::Executable;
use std::time::Instant;

/// A result of a step, by its port.
#[derive(Clone, PartialEq, Eq, Debug)]
enum ResultPort {
    Output(String),
    State(String),
}

/// A workload that runs: compiled, with its initial values and its inputs in memory.
pub struct LoadedWorkload {
    program: CompiledProgram,
    /// What a step computes: its outputs, or the states that it updates if it has none.
    results: Vec<ResultPort>,
    /// Whether the first result is a loss.
    losses: bool,
    /// Trainable numbers.
    pub(super) parameters: usize,
    /// What a step has to do.
    pub(super) work: StepWork,
    /// From the model to the finished graph.
    pub(super) build_s: f64,
    /// From the finished graph to the runnable step.
    pub(super) compile_s: f64,
}

impl LoadedWorkload {
    /// Declares, compiles and loads a workload, to run on that many threads.
    ///
    /// # Errors
    /// If it doesn't compile or load.
    pub fn new(workload: &Workload, threads: usize) -> Result<Self, BenchError> {
        Self::within(workload, threads, None)
    }

    /// The same, with an arena that is at most so large.
    ///
    /// # Errors
    /// As [`Self::new`]; an arena that can't be made so small.
    pub fn within(workload: &Workload, threads: usize, limit: Option<ArenaLimit>) -> Result<Self, BenchError> {
        let start = Instant::now();
        let step = workload.step()?;
        let build_s = start.elapsed().as_secs_f64();

        let mut options = CompileOptions::threads(threads);
        if let Some(limit) = limit {
            options = limit.apply(&step.graph, options)?;
        }
        let start = Instant::now();
        let mut program = step.compile(&options)?;
        let compile_s = start.elapsed().as_secs_f64();

        workload.fill(&step, &mut program)?;
        let work = match workload.kind() {
            WorkloadKind::Kernel => workload.work().unwrap_or_default(),
            WorkloadKind::Training | WorkloadKind::Inference => {
                StepWork { flops: Some(flops(&step, &options)?), ..StepWork::default() }
            }
        };
        let losses = workload.kind() == WorkloadKind::Training;
        Ok(Self {
            program,
            results: results(&step),
            losses,
            parameters: step.parameter_count(),
            work,
            build_s,
            compile_s,
        })
    }

    /// Runs one step and gives for training its loss, which is that before the step's update, else 0.
    ///
    /// # Errors
    /// If a check in the step fails, which none of a workload does.
    pub fn step(&mut self) -> Result<f32, BenchError> {
        self.program.step()?;
        match self.results.first() {
            Some(port) if self.losses => Ok(self.elements(port)?[0]),
            _ => Ok(0.0),
        }
    }

    /// The mean magnitude of all elements of the step's results.
    ///
    /// # Errors
    /// None that a workload's results have.
    pub fn check(&self) -> Result<f64, BenchError> {
        let (mut sum, mut count) = (0.0, 0);
        for port in &self.results {
            let value = self.value(port)?;
            let n = value.data().len();
            sum += (0..n).map(|i| value.get(i).as_f64().abs()).sum::<f64>();
            count += n;
        }
        Ok(sum / count.max(1) as f64)
    }

    /// The bits of all results of the last step.
    ///
    /// # Errors
    /// If a result is not of the type `f32`.
    pub fn result_bits(&self) -> Result<Vec<u32>, BenchError> {
        let mut bits = Vec::new();
        for port in &self.results {
            bits.extend(self.elements(port)?.iter().map(|x| x.to_bits()));
        }
        Ok(bits)
    }

    fn value(&self, port: &ResultPort) -> Result<Value, BenchError> {
        Ok(match port {
            ResultPort::Output(name) => self.program.output_value(name)?,
            ResultPort::State(name) => self.program.state_value(name)?,
        })
    }

    fn elements(&self, port: &ResultPort) -> Result<&[f32], BenchError> {
        Ok(match port {
            ResultPort::Output(name) => self.program.output(name)?,
            ResultPort::State(name) => self.program.state(name)?,
        })
    }

    pub(super) fn executable(&mut self) -> &mut Executable {
        self.program.executable_mut()
    }
}

/// The outputs; where there are none, the trained parameters.
fn results(step: &Step) -> Vec<ResultPort> {
    let outputs: Vec<ResultPort> =
        step.graph.outputs().iter().map(|(name, _)| ResultPort::Output(name.clone())).collect();
    if !outputs.is_empty() {
        return outputs;
    }
    step.states.iter().filter(|s| s.trainable()).map(|s| ResultPort::State(s.name.clone())).collect()
}

/// What the contractions of a step are once nothing superfluous is left.
fn flops(step: &Step, options: &CompileOptions) -> Result<f64, BenchError> {
    let outcome = run_passes(step.graph.clone(), options, Stop::AfterPass("dce".into()))?;
    Ok(outcome.module.graph().map_or(0.0, contraction_flops))
}
