//! How much arithmetic a graph's contractions are.

use ir::{Family, Graph, NodeId, Op};

/// Floating-point operations of all dot products and convolutions, two for each multiply-add. Taps that fall on padding count, as is
/// usual; everything else (activations, sums, updates) doesn't. A scan does as much as its body, in each step.
pub fn contraction_flops(graph: &Graph) -> f64 {
    let contractions = graph.ids().filter(|&id| graph.op(id).family() == Family::Contraction);
    let scans = graph.scans();
    let steps = scans.iter().filter_map(|nodes| match graph.op(*nodes.first()?) {
        Op::Scan(scan) => Some(scan.length as f64 * contraction_flops(scan.body.graph())),
        _ => None,
    });
    contractions.map(|id| 2.0 * multiply_adds(graph, id)).sum::<f64>() + steps.sum::<f64>()
}

fn multiply_adds(graph: &Graph, id: NodeId) -> f64 {
    let dims = |node: NodeId| graph.ty(node).shape.dims();
    let numel = |node: NodeId| graph.ty(node).shape.numel() as f64;
    let operands = graph.operands(id);
    let (op, each) = match graph.op(id) {
        Op::PairProduct(op) => (op.contraction(), 2.0),
        Op::QuadProduct(op) => (op.contraction(), 1.0),
        op => (op.clone(), 1.0),
    };
    let products = match &op {
        Op::Dot(dot) => {
            let depth: usize = dot.contract.iter().map(|&(axis, _)| dims(operands[0])[axis]).product();
            numel(id) * depth as f64
        }
        // A convolution and both its gradients do one multiply-add for each output position, each of its channels and each element
        // of a filter.
        op => {
            let (output, kernel) = match op {
                Op::ConvInputGrad(_) => (operands[0], operands[1]),
                Op::ConvWeightGrad(_) => (operands[1], id),
                _ => (id, operands[1]),
            };
            let filters = dims(output).last().copied().unwrap_or(1);
            numel(output) * numel(kernel) / filters as f64
        }
    };
    each * products
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradc::dsl::{GraphBuilder, Window, f32};

    #[test]
    fn counts_dots_and_convolutions() {
        let g = GraphBuilder::new("count");
        let (a, b) = (g.input("a", f32([32, 784])), g.input("b", f32([784, 128])));
        g.output("dot", &a.matmul(&b));
        let (x, w) = (g.input("x", f32([2, 8, 8, 3])), g.input("w", f32([3, 3, 3, 5])));
        g.output("conv", &x.conv(&w, Window::new([3, 3]), 1));
        let step = g.finish().unwrap();
        let (dot, conv) = (32 * 784 * 128, 2 * 6 * 6 * 5 * 3 * 3 * 3);
        assert_eq!(contraction_flops(&step.graph), 2.0 * f64::from(dot + conv));
    }

    #[test]
    fn counts_gradients_like_the_convolution() {
        let g = GraphBuilder::new("count");
        let (x, w) = (g.input("x", f32([2, 8, 8, 4])), g.input("w", f32([3, 3, 4, 5])));
        let loss = x.conv(&w, Window::new([3, 3]), 1).square().sum();
        for (name, gradient) in ["dx", "dw"].into_iter().zip(g.gradients(&loss, &[&x, &w])) {
            g.output(name, &gradient);
        }
        let mut graph = g.finish().unwrap().graph;
        let forward = 2.0 * f64::from(2 * 6 * 6 * 5 * 3 * 3 * 4);
        let cx = passes::PassContext::new(kernel::Target::baseline());
        passes::autodiff::run(&mut graph, &cx).unwrap();
        assert_eq!(contraction_flops(&graph), 3.0 * forward);
    }
}
