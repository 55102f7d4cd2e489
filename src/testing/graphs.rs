//! Graphs: what passes make of them, and whether two compute the same.

use super::TestingError;
use crate::io::{IoError, write_atomically};
use ir::eval::{Trials, run};
use ir::{Graph, Scalar, SplitMix64, TensorType, Value, map_of};
use kernel::Target;
use passes::{Module, Outcome, PassContext, RunOptions, pipeline, runner};
use std::collections::BTreeMap;
use std::path::Path;

/// What these passes, by their names, make of a graph, one after the other: the text of the graph or, if one of them lowers it, of the loops. The text is the same on all machines; it can be
/// given to `insta::assert_snapshot!`, or to [`compare_snapshot`]. Each pass's result is verified.
///
/// ```
/// use gradc::dsl::{GraphBuilder, f32};
/// use gradc::testing::apply_passes;
/// let g = GraphBuilder::new("twice");
/// let x = g.input("x", f32([4]));
/// g.output("y", &(&x * 1.0));
/// let text = apply_passes(&g.finish()?.graph, &["autodiff", "simplify", "dce"])?;
/// assert!(!text.contains("mul %0"), "{text}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A pass that isn't there, whose required stage the graph hasn't reached, or that fails; an invariant that one breaks.
pub fn apply_passes(graph: &Graph, names: &[&str]) -> Result<String, TestingError> {
    let passes = names.iter().map(|name| pipeline::find(name).copied()).collect::<Result<Vec<_>, _>>()?;
    let cx = PassContext::new(Target::baseline());
    let Outcome { module, .. } = runner::run(Module::Graph(graph.clone()), &passes, &cx, &RunOptions::default())?;
    Ok(module.text())
}

/// The environment variable that has [`compare_snapshot`] write: `write`.
const SNAPSHOTS: &str = "GRADC_SNAPSHOTS";

/// Compares a text with the one that is kept in a file. Where there is no file yet, or the environment variable `GRADC_SNAPSHOTS` is `write`, the text is written there: read it before
/// it is committed.
///
/// # Errors
/// The first line that differs; a file that can't be read or written.
pub fn compare_snapshot(path: impl AsRef<Path>, text: &str) -> Result<(), TestingError> {
    let path = path.as_ref();
    if std::env::var_os(SNAPSHOTS).is_some_and(|how| how == "write") || !path.exists() {
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.map_err(|source| IoError::File { path: path.into(), what: "its folder could not be made", source })?;
        return Ok(write_atomically(path, text.as_bytes())?);
    }
    let kept = std::fs::read_to_string(path);
    let kept = kept.map_err(|source| IoError::File { path: path.into(), what: "it could not be read", source })?;
    let (mut new, mut old) = (text.lines(), kept.lines());
    for line in 1.. {
        match (new.next(), old.next()) {
            (None, None) => break,
            (found, kept) if found == kept => {}
            (found, kept) => {
                let [found, kept] = [found, kept].map(|line| line.unwrap_or_default().to_string());
                return Err(TestingError::Snapshot { path: path.into(), line, found, kept });
            }
        }
    }
    Ok(())
}

/// Whether two graphs compute the same of random values, by the interpreter: as near as the first one's own rounding makes it, element by element. They have the same inputs, states and results.
/// Floats are between -1 and 1; integers, which are indices more often than not, are 0 or 1. Gradients must have been derived.
///
/// ```
/// use gradc::dsl::{GraphBuilder, Tensor, f32};
/// use gradc::testing::compare_graphs;
/// let graph = |f: fn(Tensor) -> Tensor| {
///     let g = GraphBuilder::new("f");
///     g.output("y", &f(g.input("x", f32([3, 4]))));
///     g.finish().map(|step| step.graph)
/// };
/// let plain = graph(|x| (&x + 1.0) * (&x - 1.0))?;
/// compare_graphs(&plain, &graph(|x| x.square() - 1.0)?, 7)?;
/// let error = compare_graphs(&plain, &graph(|x| x.square() - 1.001)?, 7).unwrap_err();
/// assert!(error.to_string().starts_with("the graphs differ: y[0]: "), "{error}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The first element that differs; ports that do; a graph that can't be evaluated.
pub fn compare_graphs(first: &Graph, second: &Graph, seed: u64) -> Result<(), TestingError> {
    let differ = |what: String| TestingError::Graphs(what);
    let inputs = |graph: &Graph| of_ports(map_of(graph.inputs().map(|(_, port)| (&port.name, &port.ty))), seed);
    let states = |graph: &Graph| of_ports(map_of(graph.states().map(|(_, port)| (&port.name, &port.ty))), seed + 1);
    let (of_inputs, of_states) = (inputs(first), states(first));
    for (kind, values, others) in [("inputs", &of_inputs, inputs(second)), ("states", &of_states, states(second))] {
        if !values.iter().map(|(name, v)| (name, v.ty())).eq(others.iter().map(|(name, v)| (name, v.ty()))) {
            let names = |values: &BTreeMap<String, Value>| {
                values.iter().map(|(name, value)| format!("{name}: {}", value.ty())).collect::<Vec<_>>().join(", ")
            };
            return Err(differ(format!("{kind} {} against {}", names(values), names(&others))));
        }
    }
    let evaluate = |graph: &Graph| run(graph, &of_inputs, &of_states).map(|results| results.named());
    let (plain, found) = (evaluate(first), evaluate(second));
    let (plain, found) = (plain.map_err(|e| differ(e.to_string()))?, found.map_err(|e| differ(e.to_string()))?);
    match Trials::difference_beyond_rounding(first, (&of_inputs, &of_states), &plain, &found) {
        None => Ok(()),
        Some(difference) => Err(differ(difference)),
    }
}

/// Random values of ports, in the order of their names: graphs with the same ports get the same values.
fn of_ports(ports: BTreeMap<&String, &TensorType>, seed: u64) -> BTreeMap<String, Value> {
    let mut random = SplitMix64::new(seed);
    let element = |random: &mut SplitMix64, ty: &TensorType| match ty.dtype.is_float() {
        true => Scalar::from_f64((random.bits() >> 44) as f64 / f64::from(1 << 19) - 1.0, ty.dtype),
        false => Scalar::from_f64((random.bits() >> 63) as f64, ty.dtype),
    };
    let of =
        |(name, ty): (&String, &TensorType)| (name.clone(), Value::from_fn(ty.clone(), |_| element(&mut random, ty)));
    map_of(ports.into_iter().map(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_written_once_and_compared_by_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snapshots/graph.snap");
        compare_snapshot(&path, "a\nb\n").unwrap();
        compare_snapshot(&path, "a\nb\n").unwrap();
        let error = compare_snapshot(&path, "a\nc\n").unwrap_err();
        assert!(matches!(&error, TestingError::Snapshot { line: 2, found, kept, .. } if found == "c" && kept == "b"));
        assert!(
            matches!(compare_snapshot(&path, "a\n"), Err(TestingError::Snapshot { line: 2, found, .. }) if found.is_empty())
        );
    }

    #[test]
    fn graphs_with_other_ports_differ() {
        let graph = |text: &str| Graph::parse(&format!("graph \"g\" {{\n{text}\n}}")).unwrap();
        let first = graph("%0 = input {name=\"x\"} : f32[2]\noutput \"y\" = %0");
        let second = graph("%0 = input {name=\"x\"} : f32[3]\noutput \"y\" = %0");
        let error = compare_graphs(&first, &second, 0).unwrap_err().to_string();
        assert_eq!(error, "the graphs differ: inputs x: f32[2] against x: f32[3]");
        let other = graph("%0 = input {name=\"x\"} : f32[2]\noutput \"z\" = %0");
        assert!(compare_graphs(&first, &other, 0).is_err());
        assert!(apply_passes(&first, &["simplfy"]).unwrap_err().to_string().contains("simplify"));
    }
}
