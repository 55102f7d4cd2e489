//! How far results may be apart that rounding alone sets apart, on values by the names of ports.

use crate::oracle::{NamedValues, divided};
use ir::Graph;
use ir::eval::{RunError, Trials};

/// As [`Trials::following`].
pub(crate) fn following(graph: &Graph, plain: &NamedValues, ports: &[NamedValues]) -> Result<Trials, RunError> {
    let (inputs, states) = divided(graph, plain);
    let each: Vec<_> = ports.iter().map(|ports| divided(graph, ports)).collect();
    Trials::following(graph, (&inputs, &states), &each)
}

/// As [`Trials::difference_beyond_rounding`].
pub(crate) fn difference_beyond_rounding(
    graph: &Graph,
    ports: &NamedValues,
    plain: &NamedValues,
    found: &NamedValues,
) -> Option<String> {
    let (inputs, states) = divided(graph, ports);
    Trials::difference_beyond_rounding(graph, (&inputs, &states), plain, found)
}
