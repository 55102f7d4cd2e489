//! Whether two results of a graph differ by more than rounding: by the graph's own conditioning, element by element, not by a number for all.

use super::RunError;
use super::rounding::{self, Moved};
use crate::{Graph, Value};
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// Values by name.
type NamedTensors = BTreeMap<String, Value>;

/// What a graph computes with its roundings moved, several times: as [`RunResults::named`](super::RunResults::named) gives it.
pub struct Trials(Vec<NamedTensors>);

impl Trials {
    /// On these values of inputs and states.
    ///
    /// # Errors
    /// As [`super::run`], where the graph can't be evaluated, or a trial can't: an index that is made of rounded numbers may be out of range in one alone.
    pub fn of(graph: &Graph, inputs: &NamedTensors, states: &NamedTensors) -> Result<Self, RunError> {
        let each = vec![(inputs.clone(), states.clone()); rounding::TRIALS as usize];
        Self::moving(Moved::NearMiddle, graph, (inputs, states), &each)
    }

    /// Where the plain evaluation and each trial have inputs and states of their own, as after a step before.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn following(
        graph: &Graph,
        plain: (&NamedTensors, &NamedTensors),
        each: &[(NamedTensors, NamedTensors)],
    ) -> Result<Self, RunError> {
        Self::moving(Moved::All, graph, plain, each)
    }

    fn moving(
        moved: Moved,
        graph: &Graph,
        (inputs, states): (&NamedTensors, &NamedTensors),
        each: &[(NamedTensors, NamedTensors)],
    ) -> Result<Self, RunError> {
        let (_, decisions) = rounding::plain(graph, inputs, states)?;
        let trial = |((inputs, states), number): (&(NamedTensors, NamedTensors), u32)| {
            Ok(rounding::trial(graph, inputs, states, &decisions, number, moved)?.named())
        };
        Ok(Self(each.iter().zip(0..).map(trial).collect::<Result<_, RunError>>()?))
    }

    /// The results of each.
    pub fn results(&self) -> &[NamedTensors] {
        &self.0
    }

    /// The first element that is further from the plain evaluation's than rounding may bring it, as a sentence.
    ///
    /// # Panics
    /// If `plain` has a result that the graph hasn't.
    pub fn difference(&self, plain: &NamedTensors, found: &NamedTensors) -> Option<String> {
        if !plain.keys().eq(found.keys()) {
            return Some(format!("results {:?} against {:?}", plain.keys(), found.keys()));
        }
        for ((name, x), y) in plain.iter().zip(found.values()) {
            if x.ty() != y.ty() {
                return Some(format!("{name}: {} against {}", x.ty(), y.ty()));
            }
            let trials: Vec<&Value> = self.0.iter().map(|trial| &trial[name]).collect();
            for i in 0..x.data().len() {
                let (a, b) = (x.get(i), y.get(i));
                if a == b || a.is_nan() && b.is_nan() {
                    continue;
                }
                let bound = rounding::bound_at(i, x, &trials);
                if !(bound == f64::INFINITY || (a.as_f64() - b.as_f64()).abs() <= bound) {
                    return Some(format!("{name}[{i}]: {a} against {b}, further than {bound:e}"));
                }
            }
        }
        None
    }

    /// As [`LazyTrials::difference`], of two results alone.
    pub fn difference_beyond_rounding(
        graph: &Graph,
        ports: (&NamedTensors, &NamedTensors),
        plain: &NamedTensors,
        found: &NamedTensors,
    ) -> Option<String> {
        LazyTrials::new(graph, ports).difference(plain, found)
    }
}

/// The trials of a graph on values, made when something differs for the first time.
pub struct LazyTrials<'g> {
    graph: &'g Graph,
    inputs: &'g NamedTensors,
    states: &'g NamedTensors,
    trials: OnceCell<Option<Trials>>,
}

impl<'g> LazyTrials<'g> {
    /// Of a graph on values of its inputs and states.
    pub fn new(graph: &'g Graph, (inputs, states): (&'g NamedTensors, &'g NamedTensors)) -> Self {
        Self { graph, inputs, states, trials: OnceCell::new() }
    }

    /// As [`Trials::difference`]; trials are made only where bits differ. Where none can be made, an index depends on rounding, and there is nothing to
    /// compare.
    ///
    /// # Panics
    /// If `plain` has a result that the graph hasn't.
    pub fn difference(&self, plain: &NamedTensors, found: &NamedTensors) -> Option<String> {
        if plain.keys().eq(found.keys()) && plain.values().zip(found.values()).all(|(a, b)| is_same(a, b)) {
            return None;
        }
        let trials = self.trials.get_or_init(|| Trials::of(self.graph, self.inputs, self.states).ok());
        trials.as_ref()?.difference(plain, found)
    }
}

/// Whether two tensors are the same, whichever NaN is where one is.
fn is_same(a: &Value, b: &Value) -> bool {
    let mut elements = (0..a.data().len()).map(|i| (a.get(i), b.get(i)));
    a == b || a.ty() == b.ty() && elements.all(|(x, y)| x == y || x.is_nan() && y.is_nan())
}
