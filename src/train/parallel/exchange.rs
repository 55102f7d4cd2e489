//! What stages of a step and processes hand on.

use crate::compile::{CompiledProgram, RunError, Stages};
use crate::dsl::{LOCAL, LOSS_SHARE, RANK, SAMPLE_SHARE, SUM};
use crate::parallel::{Communicator, ParallelError};
use crate::train::TrainError;
use ir::{DType, Graph, Value};
use std::collections::BTreeMap;
use std::ops::Range;

/// A place in the memory of sums.
#[derive(Clone, Debug)]
enum SumPlace {
    Single(Range<usize>),
    Double(Range<usize>),
}

/// What one stage takes and gives besides samples.
#[derive(Debug)]
struct StagePorts {
    /// Inputs with what they are told.
    told: Vec<&'static str>,
    /// Inputs that are sums.
    sums: Vec<(String, SumPlace)>,
    /// Inputs that an earlier stage gave.
    taken: Vec<String>,
    /// Outputs that are terms of sums.
    terms: Vec<(String, SumPlace)>,
    /// Outputs for later stages.
    given: Vec<String>,
    /// Where its terms stand.
    singles: Range<usize>,
    doubles: Range<usize>,
}

/// How a step is taken by stages.
#[derive(Debug)]
pub(in crate::train) struct StagePlan {
    stages: Vec<StagePorts>,
    /// The stage that has loss and metrics.
    pub(in crate::train) measured: usize,
    /// Elements of all sums, in single and in double precision.
    singles: usize,
    doubles: usize,
}

impl StagePlan {
    /// Sums stand in the order of stages, so that those of a stage are contiguous: a call for each precision sums them.
    pub(in crate::train) fn of(cut: &Stages) -> Self {
        let (mut singles, mut doubles) = (0, 0);
        let mut places: BTreeMap<usize, SumPlace> = BTreeMap::new();
        let mut stages = Vec::with_capacity(cut.stages.len());
        for stage in &cut.stages {
            let graph = &stage.step.graph;
            let (first_single, first_double) = (singles, doubles);
            let mut terms = Vec::with_capacity(stage.sums.len());
            for &number in &stage.sums {
                let name = format!("{LOCAL}{number}");
                let Some(ty) = graph.output(&name).map(|id| graph.ty(id)) else { continue };
                let end = if ty.dtype == DType::F64 { &mut doubles } else { &mut singles };
                let range = *end..*end + ty.shape.numel();
                *end = range.end;
                let place = if ty.dtype == DType::F64 { SumPlace::Double(range) } else { SumPlace::Single(range) };
                places.insert(number, place.clone());
                terms.push((name, place));
            }
            let names: Vec<&str> = graph.inputs().map(|(_, input)| input.name.as_str()).collect();
            let told = [RANK, LOSS_SHARE, SAMPLE_SHARE];
            let sum =
                |name: &&str| Some((name.to_string(), places.get(&name.strip_prefix(SUM)?.parse().ok()?)?.clone()));
            stages.push(StagePorts {
                told: told.into_iter().filter(|told| names.contains(told)).collect(),
                sums: names.iter().filter_map(sum).collect(),
                taken: taken(graph, cut),
                terms,
                given: stage.handed_on.clone(),
                singles: first_single..singles,
                doubles: first_double..doubles,
            });
        }
        Self { stages, measured: cut.measured, singles, doubles }
    }

    /// How many stages there are; at least 1.
    pub(in crate::train) fn len(&self) -> usize {
        self.stages.len()
    }

    /// Whether an input of a stage isn't of samples.
    pub(in crate::train) fn is_told(&self, stage: usize, input: &str) -> bool {
        self.stages.get(stage).is_some_and(|ports| {
            ports.told.contains(&input)
                || ports.taken.iter().any(|taken| taken == input)
                || ports.sums.iter().any(|(sum, _)| sum == input)
        })
    }
}

/// The inputs that stages give.
fn taken(graph: &Graph, cut: &Stages) -> Vec<String> {
    let given = |name: &String| cut.stages.iter().any(|stage| stage.handed_on.contains(name));
    graph.inputs().map(|(_, input)| input.name.clone()).filter(given).collect()
}

/// What a process is told of its part of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchShares {
    pub(super) loss: f64,
    pub(super) samples: f64,
}

/// The memory by which stages and processes exchange.
#[derive(Default)]
pub(in crate::train) struct Exchange {
    singles: Vec<f32>,
    doubles: Vec<f64>,
    handed_on: BTreeMap<String, Value>,
}

impl Exchange {
    /// Room for a step.
    pub(super) fn prepare(&mut self, plan: &StagePlan) {
        self.singles.resize(plan.singles, 0.0);
        self.doubles.resize(plan.doubles, 0.0);
    }

    /// Writes what a stage's inputs are told.
    pub(super) fn feed(
        &self,
        (plan, stage): (&StagePlan, usize),
        program: &mut CompiledProgram,
        (rank, shares): (usize, BatchShares),
    ) -> Result<(), TrainError> {
        let Some(ports) = plan.stages.get(stage) else { return Ok(()) };
        for name in &ports.told {
            match *name {
                RANK => program.input_mut::<i64>(name)?.fill(i64::try_from(rank).unwrap_or(i64::MAX)),
                LOSS_SHARE => program.input_mut::<f64>(name)?.fill(shares.loss),
                _ => program.input_mut::<f64>(name)?.fill(shares.samples),
            }
        }
        for (name, place) in &ports.sums {
            match place {
                SumPlace::Single(range) => {
                    program.input_mut::<f32>(name)?.copy_from_slice(&self.singles[range.clone()]);
                }
                SumPlace::Double(range) => {
                    program.input_mut::<f64>(name)?.copy_from_slice(&self.doubles[range.clone()]);
                }
            }
        }
        for name in &ports.taken {
            let missing = || TrainError::Setting(format!("no stage has given `{name}`"));
            program.set_input(name, self.handed_on.get(name).ok_or_else(missing)?)?;
        }
        Ok(())
    }

    /// Takes what a stage has computed for others.
    pub(super) fn take(
        &mut self,
        (plan, stage): (&StagePlan, usize),
        program: &CompiledProgram,
    ) -> Result<(), RunError> {
        let Some(ports) = plan.stages.get(stage) else { return Ok(()) };
        for (name, place) in &ports.terms {
            match place {
                SumPlace::Single(range) => self.singles[range.clone()].copy_from_slice(program.output(name)?),
                SumPlace::Double(range) => self.doubles[range.clone()].copy_from_slice(program.output(name)?),
            }
        }
        for name in &ports.given {
            self.handed_on.insert(name.clone(), program.output_value(name)?);
        }
        Ok(())
    }

    /// Sums a stage's terms over the processes.
    pub(super) fn sum(
        &mut self,
        (plan, stage): (&StagePlan, usize),
        communicator: &dyn Communicator,
    ) -> Result<(), ParallelError> {
        let Some(ports) = plan.stages.get(stage) else { return Ok(()) };
        if !ports.singles.is_empty() {
            communicator.all_reduce(&mut self.singles[ports.singles.clone()])?;
        }
        if !ports.doubles.is_empty() {
            communicator.all_reduce_f64(&mut self.doubles[ports.doubles.clone()])?;
        }
        Ok(())
    }
}
