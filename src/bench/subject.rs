//! A workload made runnable, and its states and batch written.

use super::{BenchError, Workload, contraction_flops};
use ir::Data;
use passes::{PassContext, Report, RunOptions, Stop};
use runtime::{Executable, LoadOptions};
use std::time::Instant;

/// A workload that runs: compiled, with its initial values and its batch in memory.
pub struct Subject {
    executable: Executable,
    /// Trainable numbers.
    pub(super) parameters: usize,
    /// Floating-point operations of a step's contractions.
    pub(super) flops: f64,
    /// From the model to the finished graph.
    pub(super) build_s: f64,
    /// From the finished graph to the runnable step.
    pub(super) compile_s: f64,
    /// What the passes did.
    pub(super) passes: Report,
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
        let graph = step.graph.clone();
        let cx = PassContext::new(codegen::host_target());

        let start = Instant::now();
        let outcome = passes::compile(graph, &cx, &RunOptions::default())?;
        let passes::Module::Program(program) = outcome.module else { return Err(BenchError::NotLowered) };
        let executable = Executable::load(program, &LoadOptions { threads, ..LoadOptions::default() })?;
        let compile_s = start.elapsed().as_secs_f64();

        let clean = RunOptions { stop: Stop::AfterPass("dce".into()), ..RunOptions::default() };
        let clean = passes::compile(step.graph.clone(), &cx, &clean)?;
        let flops = clean.module.graph().map_or(0.0, contraction_flops);
        let parameters = step.parameter_count();
        let mut subject = Self { executable, parameters, flops, build_s, compile_s, passes: outcome.report };
        for (name, value) in workload.initial_values(&step) {
            subject.write_state(&name, value.data())?;
        }
        for (name, data) in workload.batch() {
            subject.write_input(name, &data)?;
        }
        Ok(subject)
    }

    fn write_state(&mut self, name: &str, data: &Data) -> Result<(), BenchError> {
        Ok(match data {
            Data::F32(v) => self.executable.write_state(name, v),
            Data::I64(v) => self.executable.write_state(name, v),
            other => return Err(BenchError::Setting(format!("state `{name}` holds {}", other.dtype()))),
        }?)
    }

    fn write_input(&mut self, name: &str, data: &Data) -> Result<(), BenchError> {
        Ok(match data {
            Data::F32(v) => self.executable.write_input(name, v),
            Data::I32(v) => self.executable.write_input(name, v),
            other => return Err(BenchError::Setting(format!("input `{name}` holds {}", other.dtype()))),
        }?)
    }

    /// Runs one step and gives its loss, which is that before the step's update.
    ///
    /// # Errors
    /// If a check in the step fails, which none of [`super::WORKLOADS`] does.
    pub fn step(&mut self) -> Result<f32, BenchError> {
        self.executable.step()?;
        Ok(self.executable.output::<f32>("loss")?[0])
    }

    pub(super) fn executable(&mut self) -> &mut Executable {
        &mut self.executable
    }
}
