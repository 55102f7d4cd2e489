//! Bodies of scans, as graphs that passes change.

use crate::PassError;
use ir::op::scan::Body;
use ir::{Graph, NodeId, Op};

/// Applies `change` to a copy of each distinct body in a graph, and gives it to all scans that had it. The body's ports must keep their types.
///
/// # Errors
/// What `change` fails with; a body that isn't one any more.
pub(crate) fn for_each(
    graph: &mut Graph,
    change: &mut dyn FnMut(&mut Graph) -> Result<(), PassError>,
) -> Result<(), PassError> {
    for (body, nodes) in distinct(graph) {
        let mut inner = body.graph().clone();
        change(&mut inner)?;
        if inner.version() == body.graph().version() {
            continue;
        }
        let body = new(inner)?;
        for node in nodes {
            graph.set_body(node, body.clone())?;
        }
    }
    Ok(())
}

/// The bodies in a graph, each with the nodes that share it.
fn distinct(graph: &Graph) -> Vec<(Body, Vec<NodeId>)> {
    let mut found: Vec<(Body, Vec<NodeId>)> = vec![];
    for id in graph.ids() {
        let Op::Scan(scan) = graph.op(id) else { continue };
        match found.iter_mut().find(|(body, _)| body.is_shared_with(&scan.body)) {
            Some((_, nodes)) => nodes.push(id),
            None => found.push((scan.body.clone(), vec![id])),
        }
    }
    found
}

/// The body that a pass made.
///
/// # Errors
/// If it is none, which is a defect of the pass.
pub(crate) fn new(graph: Graph) -> Result<Body, PassError> {
    Body::new(graph).map_err(|e| PassError::Invalid(e.to_string()))
}

/// True if a graph or a body in it has a node that `is` tells.
pub(crate) fn any(graph: &Graph, is: &dyn Fn(&Op) -> bool) -> bool {
    let inside = |op: &Op| matches!(op, Op::Scan(scan) if any(scan.body.graph(), is));
    graph.ids().any(|id| is(graph.op(id)) || inside(graph.op(id)))
}
