//! A workload made runnable, and its states and batch written.

use super::{BenchError, Workload, contraction_flops};
use crate::compile::{CompileOptions, CompileReport, CompiledProgram, run_passes};
use crate::dsl::Step;
use passes::Stop;
use runtime::Executable;
use std::time::Instant;

/// A workload that runs: compiled, with its initial values and its batch in memory.
pub struct Subject {
    program: CompiledProgram,
    /// Trainable numbers.
    pub(super) parameters: usize,
    /// Floating-point operations of a step's contractions.
    pub(super) flops: f64,
    /// From the model to the finished graph.
    pub(super) build_s: f64,
    /// From the finished graph to the runnable step.
    pub(super) compile_s: f64,
}

impl Subject {
    /// Declares, compiles and loads a workload, to run on that many threads.
    ///
    /// # Errors
    /// If it doesn't compile or load.
    pub fn new(workload: &Workload, threads: usize) -> Result<Self, BenchError> {
        let start = Instant::now();
        let step = workload.step()?;
        let build_s = start.elapsed().as_secs_f64();

        let start = Instant::now();
        let options = CompileOptions::threads(threads);
        let mut program = step.compile(&options)?;
        let compile_s = start.elapsed().as_secs_f64();

        for (name, value) in workload.initial_values(&step) {
            program.set_state(&name, &value)?;
        }
        for (name, value) in workload.batch(&step)? {
            program.set_input(&name, &value)?;
        }
        let flops = flops(&step, &options)?;
        Ok(Self { program, parameters: step.parameter_count(), flops, build_s, compile_s })
    }

    /// Runs one step and gives its loss, which is that before the step's update.
    ///
    /// # Errors
    /// If a check in the step fails, which none of [`super::WORKLOADS`] does.
    pub fn step(&mut self) -> Result<f32, BenchError> {
        self.program.step()?;
        Ok(self.program.output::<f32>("loss")?[0])
    }

    pub(super) fn report(&self) -> &CompileReport {
        self.program.report()
    }

    pub(super) fn executable(&mut self) -> &mut Executable {
        self.program.executable_mut()
    }
}

/// What the contractions of a step are once nothing superfluous is left.
fn flops(step: &Step, options: &CompileOptions) -> Result<f64, BenchError> {
    let outcome = run_passes(step.graph.clone(), options, Stop::AfterPass("dce".into()))?;
    Ok(outcome.module.graph().map_or(0.0, contraction_flops))
}
