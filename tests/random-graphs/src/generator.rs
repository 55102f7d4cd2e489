//! The pool of nodes drawn from, the sources, the results, and the care taken with magnitudes.

use super::{Limits, Rng};
use ir::op::source::{Constant, Full, Input, Iota, State};
use ir::{DType, Graph, NodeId, Op, Scalar, ScalarOp, Shape, TensorType};

/// A node and what is known of its elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) id: NodeId,
    /// Every correct evaluation gives the same bits.
    pub(super) exact: bool,
    /// A bound of the absolute value, for floats.
    pub(super) bound: f64,
}

/// Values above are squashed before they are multiplied further.
const LARGE: f64 = 64.0;
/// The bound of random inputs.
const SOURCE_BOUND: f64 = 2.0;

pub(super) struct Generator<'l> {
    pub(super) graph: Graph,
    pub(super) rng: Rng,
    pub(super) limits: &'l Limits,
    /// Whether this is a loop's body, which has no ports but those that the loop gives it.
    pub(super) in_body: bool,
    pool: Vec<Known>,
    ports: usize,
}

impl<'l> Generator<'l> {
    pub(super) fn new(seed: u64, limits: &'l Limits) -> Self {
        let graph = Graph::new(format!("random {seed}"));
        Self { graph, rng: Rng::new(seed), limits, in_body: false, pool: Vec::new(), ports: 0 }
    }

    pub(super) fn run(mut self) -> Graph {
        for _ in 0..2 {
            let ty = self.random_type();
            self.input(ty);
        }
        let float = self.float();
        let shape = self.random_shape();
        self.state(TensorType::new(float, shape));
        for _ in 0..self.limits.steps {
            self.step();
        }
        self.results();
        self.graph
    }

    /// One op of a random family.
    pub(super) fn step(&mut self) {
        match self.rng.below(21) {
            0 => {
                let ty = self.random_type();
                self.source(ty);
            }
            1..=7 => self.elementwise(),
            8..=10 => self.reduction(),
            11..=14 => self.movement(),
            15 => self.dot(),
            16 => self.convolution(),
            17 | 18 => self.pooling(),
            // Loops in loops are left out: a body of a body would be all of a graph.
            19 if self.limits.scans && !self.in_body => self.scan(),
            _ => self.indexing(),
        }
    }

    /// Adds a node to the graph and to the pool.
    pub(super) fn add(&mut self, op: Op, operands: &[Known], exact: bool, bound: f64) -> Known {
        let ids: Vec<NodeId> = operands.iter().map(|k| k.id).collect();
        let id = match self.graph.add(op, &ids, None) {
            Ok(id) => id,
            Err(e) => panic!("the generator made an invalid op: {e}\n{}", self.graph),
        };
        let known = Known { id, exact: exact && operands.iter().all(|k| k.exact), bound };
        self.pool.push(known);
        known
    }

    pub(super) fn ty(&self, known: Known) -> TensorType {
        self.graph.ty(known.id).clone()
    }

    /// A float type of the limits.
    pub(super) fn float(&mut self) -> DType {
        let floats: Vec<DType> = self.limits.dtypes.iter().copied().filter(|d| d.is_float()).collect();
        assert!(!floats.is_empty(), "random graphs need a float type");
        self.rng.pick(&floats)
    }

    /// An integer type of the limits, if there is one.
    pub(super) fn int(&mut self) -> Option<DType> {
        self.one_of(|dtype| dtype.is_int())
    }

    /// A type of the limits for indices, if there is one.
    pub(super) fn index_type(&mut self) -> Option<DType> {
        self.one_of(|dtype| matches!(dtype, DType::I32 | DType::I64))
    }

    fn one_of(&mut self, accept: impl Fn(DType) -> bool) -> Option<DType> {
        let fitting: Vec<DType> = self.limits.dtypes.iter().copied().filter(|&d| accept(d)).collect();
        match fitting[..] {
            [] => None,
            [only] => Some(only),
            _ => Some(self.rng.pick(&fitting)),
        }
    }

    fn random_type(&mut self) -> TensorType {
        let dtype = self.rng.pick(&self.limits.dtypes);
        let shape = self.random_shape();
        TensorType::new(dtype, shape)
    }

    /// A shape of rank 0 to 4 within the limit; images are frequent because windows need them.
    pub(super) fn random_shape(&mut self) -> Shape {
        let mut dims = if self.rng.one_in(3) {
            vec![self.rng.between(1, 2), self.rng.between(2, 6), self.rng.between(2, 6), self.rng.between(1, 4)]
        } else {
            let rank = self.rng.below(4);
            (0..rank).map(|_| self.rng.between(1, 6)).collect()
        };
        while dims.iter().product::<usize>() > self.limits.elements {
            let widest = (0..dims.len()).max_by_key(|&i| dims[i]).unwrap_or(0);
            dims[widest] -= 1;
        }
        shape(&dims)
    }

    /// A node of the pool that has a property, mostly a late one.
    pub(super) fn find(&mut self, accept: impl Fn(&Self, Known) -> bool) -> Option<Known> {
        let fitting: Vec<Known> = self.pool.iter().copied().filter(|&k| accept(self, k)).collect();
        let late = fitting.len().saturating_sub(6);
        if fitting.is_empty() {
            return None;
        }
        Some(if self.rng.one_in(3) { self.rng.pick(&fitting) } else { self.rng.pick(&fitting[late..]) })
    }

    /// A node of that element type; a new source if there is none.
    pub(super) fn any_of(&mut self, dtype: DType) -> Known {
        if let Some(known) = self.find(|g, k| g.graph.ty(k.id).dtype == dtype) {
            return known;
        }
        let shape = self.random_shape();
        self.source(TensorType::new(dtype, shape))
    }

    /// A node of that type; a new source if there is none, and sometimes anyway.
    pub(super) fn like(&mut self, ty: &TensorType) -> Known {
        match self.find(|g, k| g.graph.ty(k.id) == ty) {
            Some(known) if !self.rng.one_in(6) => known,
            _ => self.source(ty.clone()),
        }
    }

    /// A node of that type whose elements are exact.
    pub(super) fn exact_like(&mut self, ty: &TensorType) -> Known {
        let known = self.like(ty);
        if known.exact || self.limits.wild { known } else { self.input(ty.clone()) }
    }

    /// An input; in a loop's body a constant.
    pub(super) fn input(&mut self, ty: TensorType) -> Known {
        if self.in_body {
            return self.constant(ty);
        }
        let name = self.port("x");
        self.add(Op::Input(Input { name, ty }), &[], true, SOURCE_BOUND)
    }

    /// A state; in a loop's body a constant.
    fn state(&mut self, ty: TensorType) -> Known {
        if self.in_body {
            return self.constant(ty);
        }
        let name = self.port("s");
        self.add(Op::State(State { name, ty }), &[], true, SOURCE_BOUND)
    }

    fn constant(&mut self, ty: TensorType) -> Known {
        let value = super::random_value(&ty, &mut self.rng);
        self.add(Op::Constant(Constant { value }), &[], true, SOURCE_BOUND)
    }

    fn port(&mut self, prefix: &str) -> String {
        self.ports += 1;
        format!("{prefix}{}", self.ports)
    }

    /// `value` everywhere.
    pub(super) fn full(&mut self, value: f64, ty: &TensorType) -> Known {
        let full = Full { value: Scalar::from_f64(value, ty.dtype), shape: ty.shape.clone() };
        self.add(Op::Full(full), &[], true, value.abs())
    }

    /// A source of any kind.
    fn source(&mut self, ty: TensorType) -> Known {
        match self.rng.below(8) {
            0 => self.state(ty),
            1 => {
                let value = self.rng.between(0, 8) as f64 / 4.0 - 1.0;
                self.full(value, &ty)
            }
            2 => self.constant(ty),
            3 if ty.dtype.is_number() && ty.shape.rank() > 0 => {
                let axis = self.rng.below(ty.shape.rank());
                let bound = ty.shape[axis] as f64;
                self.add(Op::Iota(Iota { ty, axis }), &[], true, bound)
            }
            _ => self.input(ty),
        }
    }

    /// The node, or its `tanh` if its elements may be large.
    pub(super) fn settled(&mut self, x: Known) -> Known {
        let float = self.graph.ty(x.id).dtype.is_float();
        if !float || x.bound <= LARGE || self.limits.wild {
            return x;
        }
        self.add(Op::Elementwise(ScalarOp::TANH), &[x], false, 1.0)
    }

    /// A value from [0.5, 2] for each element of a float tensor.
    pub(super) fn tamed(&mut self, x: Known) -> Known {
        self.squashed(x, 1.25, 0.75)
    }

    /// A value from [0.75, 1.25] for each element of a float tensor.
    pub(super) fn near_one(&mut self, x: Known) -> Known {
        self.squashed(x, 1.0, 0.25)
    }

    fn squashed(&mut self, x: Known, middle: f64, radius: f64) -> Known {
        if self.limits.wild {
            return x;
        }
        let ty = self.ty(x);
        let unit = self.add(Op::Elementwise(ScalarOp::TANH), &[x], false, 1.0);
        let factor = self.full(radius, &ty);
        let scaled = self.add(Op::Elementwise(ScalarOp::MUL), &[unit, factor], false, radius);
        let offset = self.full(middle, &ty);
        self.add(Op::Elementwise(ScalarOp::ADD), &[scaled, offset], false, middle + radius)
    }

    /// Outputs among the nodes that nothing uses, and updates of states.
    fn results(&mut self) {
        let unused: Vec<Known> = self.pool.iter().copied().filter(|k| self.graph.users(k.id).is_empty()).collect();
        let count = self.rng.between(1, 3).min(unused.len());
        for (i, known) in unused[unused.len() - count..].iter().enumerate() {
            self.graph.set_output(format!("y{i}"), known.id);
        }
        let states: Vec<(NodeId, State)> = self.graph.states().map(|(id, s)| (id, s.clone())).collect();
        for (id, state) in states {
            if self.rng.one_in(5) {
                continue;
            }
            let update = match self.find(|g, k| *g.graph.ty(k.id) == state.ty && k.id != id) {
                Some(known) => known,
                None => self.input(state.ty.clone()),
            };
            self.graph.set_update(state.name, update.id);
        }
    }
}

/// A shape whose extents are known to be right.
pub(super) fn shape(dims: &[usize]) -> Shape {
    match Shape::new(dims) {
        Ok(shape) => shape,
        Err(e) => panic!("the generator made an invalid shape: {e}"),
    }
}
