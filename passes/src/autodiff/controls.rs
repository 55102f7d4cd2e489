//! Ops that only say something to derivatives: what is left of them afterwards.

use crate::PassError;
use crate::dce::remove_dead;
use ir::{Builder, Graph, Op};

/// Puts what is computed in the place of ops that only say something to derivatives.
pub(super) fn replace_controls(graph: &mut Graph) -> Result<(), PassError> {
    for id in graph.topological() {
        let value = match graph.op(id).clone() {
            Op::StopGradient(_) => graph.operands(id)[0],
            Op::WeightedMean(mean) => {
                let operands = [0, 1, 2].map(|i| graph.operands(id)[i]);
                let loc = graph.loc(id).cloned();
                mean.expand(&mut Builder::new(graph, loc), operands)?
            }
            _ => continue,
        };
        graph.replace_uses(id, value);
        remove_dead(graph, id);
    }
    Ok(())
}
