//! A small evaluator, a reverse sweep that calls the rules directly, and finite differences.

use crate::cases::Case;
use ir::op::source::{Constant, Input};
use ir::{BuildError, Builder, Cotangent, DType, Graph, NodeId, Op, Scalar, ScalarOp, SplitMix64, TensorType, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The values of inputs.
pub(crate) type Feeds = BTreeMap<NodeId, Value>;

/// Numbers for weights, uniform on [-1, 1).
pub(crate) struct RandomWeights(SplitMix64);

impl RandomWeights {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    pub(crate) fn next(&mut self) -> f64 {
        (self.0.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// A tensor of `f64`.
    pub(crate) fn tensor(&mut self, ty: TensorType) -> Value {
        Value::from_fn(ty, |_| Scalar::F64(self.next()))
    }
}

/// A graph with one input per value.
pub(crate) fn graph_of(values: &[Value]) -> (Graph, Vec<NodeId>) {
    let mut graph = Graph::new("check");
    let inputs = values.iter().enumerate().map(|(i, value)| {
        let input = Input { name: format!("x{i}"), ty: value.ty().clone() };
        graph.add(Op::Input(input), &[], None).unwrap()
    });
    let inputs = inputs.collect();
    (graph, inputs)
}

/// `Σ x * w` with random weights, in `f64`.
pub(crate) fn weighted_sum(graph: &mut Graph, x: NodeId, source: &mut RandomWeights) -> NodeId {
    let mut build = Builder::new(graph, None);
    let x = build.cast(x, DType::F64).unwrap();
    let value = source.tensor(build.ty(x).clone());
    let weights = build.add(Op::Constant(Constant { value }), &[]).unwrap();
    let product = build.binary(ScalarOp::MUL, x, weights).unwrap();
    let axes: Vec<usize> = (0..build.ty(x).shape.rank()).collect();
    build.reduce_sum(product, &axes).unwrap()
}

/// The nodes that `roots` depend on, themselves included.
fn ancestors(graph: &Graph, roots: &[NodeId]) -> BTreeSet<NodeId> {
    let mut found = BTreeSet::new();
    let mut stack = roots.to_vec();
    while let Some(id) = stack.pop() {
        if found.insert(id) {
            stack.extend(graph.operands(id));
        }
    }
    found
}

/// The values of nodes.
pub(crate) fn evaluate(graph: &Graph, feeds: &Feeds, roots: &[NodeId]) -> Vec<Value> {
    let needed = ancestors(graph, roots);
    let mut values = feeds.clone();
    for id in graph.topological().into_iter().filter(|id| needed.contains(id)) {
        if !values.contains_key(&id) {
            let operands: Vec<&Value> = graph.operands(id).iter().map(|o| &values[o]).collect();
            let value = graph.op(id).rules().eval(&operands, graph.ty(id)).unwrap();
            assert_eq!(value.ty(), graph.ty(id), "{}: the value has another type than infer says", graph.op(id));
            values.insert(id, value);
        }
    }
    roots.iter().map(|id| values[id].clone()).collect()
}

/// Reverse mode: the gradients of `loss` with respect to nodes; `None` where no rule lets one flow.
pub(crate) fn gradients(graph: &mut Graph, loss: NodeId, wrt: &[NodeId]) -> Result<Vec<Option<NodeId>>, BuildError> {
    let needed = ancestors(graph, &[loss]);
    let order: Vec<NodeId> = graph.topological().into_iter().filter(|id| needed.contains(id)).collect();
    let one = Builder::new(graph, None).full_like(loss, 1.0)?;
    let mut gradients = BTreeMap::from([(loss, one)]);
    for &id in order.iter().rev() {
        let Some(&dy) = gradients.get(&id) else { continue };
        let op = graph.op(id).clone();
        let operands = graph.operands(id).to_vec();
        let mut cx = Cotangent { build: Builder::new(graph, None), operands: operands.clone(), result: id, dy };
        let flowing = op.rules().derivative(&mut cx)?;
        assert_eq!(flowing.len(), operands.len(), "{op}: one gradient per operand");
        for (operand, gradient) in operands.into_iter().zip(flowing) {
            let Some(gradient) = gradient else { continue };
            assert!(graph.ty(operand).dtype.is_float(), "{op}: a gradient flows to {}", graph.ty(operand));
            assert_eq!(graph.ty(gradient), graph.ty(operand), "{op}: the gradient has another type than the operand");
            let total = match gradients.get(&operand) {
                Some(&other) => Builder::new(graph, None).binary(ScalarOp::ADD, other, gradient)?,
                None => gradient,
            };
            gradients.insert(operand, total);
        }
    }
    Ok(wrt.iter().map(|id| gradients.get(id).copied()).collect())
}

/// Central differences of a scalar with respect to every element of an `f64` input.
pub(crate) fn differences(graph: &Graph, feeds: &Feeds, loss: NodeId, input: NodeId) -> Vec<f64> {
    let at = |i: usize, x: f64| {
        let mut moved = feeds.clone();
        moved.get_mut(&input).unwrap().data_mut().set(i, Scalar::F64(x));
        evaluate(graph, &moved, &[loss])[0].get(0).as_f64()
    };
    let value = &feeds[&input];
    let slope = |i: usize| {
        let (x, h) = (value.get(i).as_f64(), 1e-5);
        let (up, down) = (x + h, x - h);
        (at(i, up) - at(i, down)) / (up - down)
    };
    (0..value.data().len()).map(slope).collect()
}

/// How a case is checked.
pub(crate) struct GradientCheck {
    /// How many times the loss is differentiated.
    orders: usize,
    /// The largest error, relative to the derivative or, below 1, absolute. The differences err by about `h^2 f'''` and `eps f / h`,
    /// 1e-10 each for values about 1.
    tolerance: f64,
}

impl Default for GradientCheck {
    fn default() -> Self {
        Self { orders: 2, tolerance: 2e-7 }
    }
}

impl GradientCheck {
    /// Compares the rules of the case's op with finite differences.
    pub(crate) fn run(&self, case: &Case) {
        let mut source = RandomWeights::new(1);
        let (mut graph, inputs) = graph_of(&case.operands);
        let feeds: Feeds = inputs.iter().copied().zip(case.operands.iter().cloned()).collect();
        let result = graph.add(case.op.clone(), &inputs, None).unwrap_or_else(|e| panic!("{e}"));
        let mut loss = weighted_sum(&mut graph, result, &mut source);
        let wrt: Vec<NodeId> = inputs.into_iter().filter(|&id| graph.ty(id).dtype.is_float()).collect();
        for order in 1..=self.orders {
            let found = gradients(&mut graph, loss, &wrt).unwrap_or_else(|e| panic!("{e}"));
            for (k, (&input, gradient)) in wrt.iter().zip(&found).enumerate() {
                let want = differences(&graph, &feeds, loss, input);
                let got = match gradient {
                    Some(id) => evaluate(&graph, &feeds, &[*id])[0].to_f64_vec(),
                    None => vec![0.0; want.len()],
                };
                self.compare(&format!("{}, order {order}, operand {k}", case.op), &got, &want);
            }
            let sums: Vec<NodeId> =
                found.into_iter().flatten().map(|id| weighted_sum(&mut graph, id, &mut source)).collect();
            let add = |a, b| Builder::new(&mut graph, None).binary(ScalarOp::ADD, a, b).unwrap();
            let Some(next) = sums.into_iter().reduce(add) else { return };
            loss = next;
        }
    }

    fn compare(&self, what: &str, got: &[f64], want: &[f64]) {
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            let error = (g - w).abs() / w.abs().max(1.0);
            assert!(error < self.tolerance, "{what}, element {i}: the rule gives {g}, differences {w}");
        }
    }
}
