//! How far results may be apart that rounding alone sets apart: by the graph's own conditioning, element by element, not by a number for all.

use crate::oracle::{Agreement, NamedValues, difference, divided, named};
use ir::Graph;
use ir::eval::RunError;
use ir::eval::rounding::{self, Moved};
use std::collections::BTreeMap;

/// What a graph computes with its roundings moved, several times.
pub(crate) struct Trials(Vec<NamedValues>);

impl Trials {
    /// On the values of these ports.
    pub(crate) fn of(graph: &Graph, ports: &NamedValues) -> Result<Self, RunError> {
        Self::moving(Moved::NearMiddle, graph, ports, &vec![ports.clone(); rounding::TRIALS as usize])
    }

    /// Where the plain evaluation and each trial have ports of their own, as after a step before.
    pub(crate) fn following(graph: &Graph, plain: &NamedValues, ports: &[NamedValues]) -> Result<Self, RunError> {
        Self::moving(Moved::All, graph, plain, ports)
    }

    fn moving(moved: Moved, graph: &Graph, plain: &NamedValues, ports: &[NamedValues]) -> Result<Self, RunError> {
        let (inputs, states) = divided(graph, plain);
        let (_, decisions) = rounding::plain(graph, &inputs, &states)?;
        let trial = |(ports, number): (&NamedValues, u32)| {
            let (inputs, states) = divided(graph, ports);
            Ok(named(rounding::trial(graph, &inputs, &states, &decisions, number, moved)?))
        };
        Ok(Self(ports.iter().zip(0..).map(trial).collect::<Result<_, RunError>>()?))
    }

    /// The results of each.
    pub(crate) fn results(&self) -> &[NamedValues] {
        &self.0
    }

    /// How far each element of each result may be from the plain evaluation's.
    pub(crate) fn bounds(&self, plain: &NamedValues) -> BTreeMap<String, Vec<f64>> {
        let bound = |(name, value): (&String, &ir::Value)| {
            let trials: Vec<&ir::Value> = self.0.iter().map(|trial| &trial[name]).collect();
            (name.clone(), rounding::bound(value, &trials))
        };
        plain.iter().map(bound).collect()
    }

    /// The first element that is further from the plain evaluation's than rounding may bring it, as a sentence.
    pub(crate) fn difference(&self, plain: &NamedValues, found: &NamedValues) -> Option<String> {
        if !plain.keys().eq(found.keys()) {
            return Some(format!("results {:?} against {:?}", plain.keys(), found.keys()));
        }
        let bounds = self.bounds(plain);
        for ((name, x), y) in plain.iter().zip(found.values()) {
            if x.ty() != y.ty() {
                return Some(format!("{name}: {} against {}", x.ty(), y.ty()));
            }
            for (i, &bound) in bounds[name].iter().enumerate() {
                let (a, b) = (x.get(i), y.get(i));
                let near = || (a.as_f64() - b.as_f64()).abs() <= bound;
                if !(a == b || a.is_nan() && b.is_nan() || bound == f64::INFINITY || near()) {
                    return Some(format!("{name}[{i}]: {a} against {b}, further than {bound:e}"));
                }
            }
        }
        None
    }
}

/// As [`Trials::difference`], of a graph on these ports; trials are made only where bits differ.
pub(crate) fn difference_beyond_rounding(
    graph: &Graph,
    ports: &NamedValues,
    plain: &NamedValues,
    found: &NamedValues,
) -> Option<String> {
    difference(plain, found, Agreement::Bits)?;
    // An index that depends on rounding says nothing of the rest.
    Trials::of(graph, ports).ok()?.difference(plain, found)
}
