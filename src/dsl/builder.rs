//! The builder: a graph being declared, its ports, its diagnostics.

use super::error::{Diagnostic, Failure, ModelErrors};
use super::nested::Parent;
use super::scope::Scope;
use super::select::{Parameter, Select};
use super::step::{StateRole, StateSpec, Step};
use super::{Initializer, Tensor, TypeSpec};
use ir::op::control::Gradient;
use ir::op::source::{Constant, Full, Input, Iota, State};
use ir::{BuildError, Builder, DType, Graph, Loc, NodeId, Op, Scalar, TensorType, Value};
use std::cell::{Ref, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The state that counts the steps taken: `i64[]`, 0 before the first one.
pub const STEP: &str = "step";
/// The state that holds the key of the random ops: `i64[]`, the seed of the run.
pub const KEY: &str = "rng/key";
/// The state that holds the learning rate: a float scalar, in the loss's element type. A schedule writes it between steps. Where there are several rates, or an optimizer
/// updates a part of the parameters only, each has the state `NAME/lr` instead, by the optimizer's name.
pub const LEARNING_RATE: &str = "lr";

/// What a builder and its tensors share.
pub(crate) struct Inner {
    pub(crate) graph: Graph,
    pub(crate) states: Vec<StateSpec>,
    pub(crate) scope: Scope,
    /// The states' nodes, by name.
    nodes: BTreeMap<String, NodeId>,
    /// The names of inputs.
    inputs: BTreeSet<String>,
    diagnostics: Vec<Diagnostic>,
    next_stream: u32,
    /// For the body of a scan, the graph around it.
    pub(crate) parent: Option<Parent>,
}

impl Inner {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            graph: Graph::new(name),
            states: Vec::new(),
            scope: Scope::default(),
            nodes: BTreeMap::new(),
            inputs: BTreeSet::new(),
            diagnostics: Vec::new(),
            next_stream: 0,
            parent: None,
        }
    }
}

/// Declares a graph. Cheap to clone: clones and all tensors share one graph.
///
/// Every call remembers its place in the user's source. A call that breaks a rule records a diagnostic and gives a poisoned tensor,
/// on which all further ops are silent; [`GraphBuilder::finish`] returns all diagnostics.
///
/// ```
/// use gradc::dsl::{f32, i32, GraphBuilder, glorot_uniform};
/// let g = GraphBuilder::new("logits");
/// let x = g.input("x", f32([32, 784]));
/// let w = g.param("w", f32([784, 10]), glorot_uniform());
/// g.output("logits", &x.matmul(&w));
/// let step = g.finish().unwrap();
/// assert_eq!(step.graph.outputs().len(), 1);
/// ```
#[derive(Clone)]
pub struct GraphBuilder(Rc<RefCell<Inner>>);

impl std::fmt::Debug for GraphBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.inner();
        write!(f, "GraphBuilder({:?}, {} nodes)", inner.graph.name(), inner.graph.len())
    }
}

impl GraphBuilder {
    /// An empty graph of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self::of(Inner::new(name))
    }

    pub(crate) fn of(inner: Inner) -> Self {
        Self(Rc::new(RefCell::new(inner)))
    }

    pub(crate) fn inner(&self) -> Ref<'_, Inner> {
        self.0.borrow()
    }

    pub(crate) fn inner_mut(&self) -> RefMut<'_, Inner> {
        self.0.borrow_mut()
    }

    /// True if both are handles of one graph.
    pub(crate) fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    fn tensor(&self, node: Option<NodeId>) -> Tensor {
        Tensor::new(self.clone(), node)
    }

    /// Records that an op or a layer can't be applied to these operands, by the rule that it breaks, at the caller's line. Gives a poisoned tensor, which
    /// all ops take, so that the declaration goes on to its next mistake; finishing the graph is what fails.
    #[track_caller]
    pub fn fail(&self, op: &str, operands: &[&Tensor], rule: impl Into<String>) -> Tensor {
        let types = operands.iter().filter_map(|t| t.ty()).collect();
        let rule: String = rule.into();
        self.record(BuildError { op: op.into(), operands: types, rule: rule.into(), loc: Some(self.here()) });
        self.tensor(None)
    }

    fn record(&self, error: BuildError) {
        let root = self.root();
        let mut inner = root.inner_mut();
        let layer = inner.scope.layers.path();
        inner.diagnostics.push(Diagnostic { layer, error });
    }

    /// The place that new nodes get: the caller's, or the place where the layer being applied was declared; and the layer.
    #[track_caller]
    fn here(&self) -> Loc {
        let caller = Loc::caller();
        let root = self.root();
        let layers = &root.inner().scope.layers;
        Loc { layer: layers.layer_of_nodes(), ..layers.place().unwrap_or(caller) }
    }

    /// Adds nodes: `f` gets a builder and the operands' nodes. Poisoned operands give a poisoned tensor without a diagnostic.
    #[track_caller]
    pub(crate) fn build(
        &self,
        operands: &[&Tensor],
        f: impl FnOnce(&mut Builder<'_>, &[NodeId]) -> Result<NodeId, Failure>,
    ) -> Tensor {
        let (target, nodes) = match self.adopted(operands) {
            Ok(adopted) => adopted,
            Err(poisoned) => return poisoned,
        };
        let loc = target.here();
        let result = f(&mut Builder::new(&mut target.inner_mut().graph, Some(loc.clone())), &nodes);
        target.added(operands, &nodes, loc, result)
    }

    /// The graph that an op on these operands belongs to, and the operands' nodes there.
    ///
    /// # Errors
    /// The poisoned tensor that the op gives: an operand is one, or a diagnostic says where the operands don't belong.
    #[track_caller]
    fn adopted(&self, operands: &[&Tensor]) -> Result<(Self, Vec<NodeId>), Tensor> {
        let target = self.innermost(operands);
        if operands.iter().any(|t| t.is_poisoned()) {
            return Err(target.tensor(None));
        }
        if target.is_closed() {
            let rule = "a tensor of a scan's body is used outside of it: let the body give it as a result";
            return Err(target.fail("an op", operands, rule));
        }
        let Some(nodes) = operands.iter().map(|t| target.adopt(t)).collect::<Option<Vec<_>>>() else {
            return Err(target.fail("an op", operands, "its operands belong to different graphs"));
        };
        Ok((target, nodes))
    }

    /// The tensor of nodes that were added on nodes of this graph, or a diagnostic.
    fn added(&self, operands: &[&Tensor], nodes: &[NodeId], loc: Loc, result: Result<NodeId, Failure>) -> Tensor {
        match result {
            Ok(node) => {
                self.inner_mut().carry_mask(nodes, node);
                self.tensor(Some(node))
            }
            Err(Failure::Build(e)) => {
                self.record(BuildError { loc: Some(loc), ..e });
                self.tensor(None)
            }
            Err(Failure::Rule(op, rule)) => {
                let operands = operands.iter().filter_map(|t| t.ty()).collect();
                self.record(BuildError { op, operands, rule, loc: Some(loc) });
                self.tensor(None)
            }
        }
    }

    /// Adds one op.
    #[track_caller]
    pub(crate) fn emit(&self, op: Op, operands: &[&Tensor]) -> Tensor {
        self.build(operands, |b, nodes| Ok(b.add(op, nodes)?))
    }

    /// The checked type, or a diagnostic.
    #[track_caller]
    pub(crate) fn check(&self, op: &str, ty: &TypeSpec) -> Option<TensorType> {
        match ty.check() {
            Ok(ty) => Some(ty),
            Err(e) => {
                self.fail(op, &[], e.to_string());
                None
            }
        }
    }

    /// A tensor that each run brings. The name is unique among the graph's inputs.
    #[track_caller]
    pub fn input(&self, name: &str, ty: impl Into<TypeSpec>) -> Tensor {
        let op = format!("input {name:?}");
        let Some(ty) = self.check(&op, &ty.into()) else { return self.tensor(None) };
        if !self.inner_mut().inputs.insert(name.into()) {
            return self.fail(&op, &[], "the graph has an input of that name already");
        }
        self.emit(Op::Input(Input { name: name.into(), ty }), &[])
    }

    /// A tensor that outlives a run and is not trained: a running mean, a counter. It changes by [`GraphBuilder::set_update`].
    #[track_caller]
    pub fn state(&self, name: &str, ty: impl Into<TypeSpec>, init: Initializer) -> Tensor {
        self.port(name, ty.into(), init, StateRole::Buffer)
    }

    /// A state of any role.
    #[track_caller]
    pub fn port(&self, name: &str, ty: impl Into<TypeSpec>, init: Initializer, role: StateRole) -> Tensor {
        if let Some(parent) = self.parent() {
            return parent.port(name, ty, init, role);
        }
        let op = format!("state {name:?}");
        let Some(ty) = self.check(&op, &ty.into()) else { return self.tensor(None) };
        if let Some(known) = self.find_state(name) {
            return self.port_again(&op, name, &ty, &known);
        }
        if role.is_weight() && self.inner().scope.layers.is_complete() {
            return self.fail(
                &op,
                &[],
                "the layer was applied before, and had no state of that name: it has one set of weights",
            );
        }
        if let Err(rule) = init.check(&ty) {
            return self.fail(&op, &[], rule);
        }
        let tensor = self.emit(Op::State(State { name: name.into(), ty: ty.clone() }), &[]);
        if let Some(node) = tensor.node() {
            let mut inner = self.inner_mut();
            inner.nodes.insert(name.into(), node);
            let position = inner.states.len();
            inner.scope.layers.declare(name, position, role != StateRole::Runtime);
            inner.states.push(StateSpec { name: name.into(), ty, init, role });
        }
        tensor
    }

    /// A state that is there: the same one for a layer that is applied again, nobody else's.
    #[track_caller]
    fn port_again(&self, op: &str, name: &str, ty: &TensorType, known: &Tensor) -> Tensor {
        if !self.inner_mut().scope.layers.asks_again(name) {
            return self.fail(op, &[], "the graph has a state of that name already");
        }
        let Some(first) = known.ty().filter(|first| first != ty) else { return known.clone() };
        let place = known.node().and_then(|node| self.inner().graph.loc(node).map(ToString::to_string));
        let place = place.map_or_else(String::new, |place| format!(" at {place}"));
        let rule = format!(
            "a layer has one set of weights: it is {first} since the first application{place}, here it would be {ty}"
        );
        self.fail(op, &[], rule)
    }

    /// The state of that name, if it has been declared.
    pub fn find_state(&self, name: &str) -> Option<Tensor> {
        let root = self.root();
        let node = root.inner().nodes.get(name).copied();
        node.map(|id| root.tensor(Some(id)))
    }

    /// What a state will be after the run, by what has been declared so far: the last update, or what it was before. Statistics that follow several applications
    /// of one layer start from here.
    pub fn updated_state(&self, name: &str) -> Option<Tensor> {
        let root = self.root();
        let update = root.inner().graph.update(name);
        update.map(|id| root.tensor(Some(id))).or_else(|| root.find_state(name))
    }

    /// Says what a state is after the run. All ops read it as it was before.
    #[track_caller]
    pub fn set_update(&self, state: &str, new: &Tensor) {
        let Some(old) = self.find_state(state) else {
            self.fail(&format!("update of state {state:?}"), &[], "the graph has no such state");
            return;
        };
        if new.node().is_some() && old.ty() != new.ty() {
            self.fail(&format!("update of state {state:?}"), &[&old, new], "old and new value must have one type");
            return;
        }
        let checked = self.build(&[&old, new], |_, nodes| Ok(nodes[1]));
        if let Some(node) = self.own(&checked, &format!("update of state {state:?}")) {
            self.inner_mut().graph.set_update(state, node);
        }
    }

    /// Whether it has been said what a state is after the run.
    pub(crate) fn is_updated(&self, state: &str) -> bool {
        self.inner().graph.update(state).is_some()
    }

    /// Names a result of the run.
    #[track_caller]
    pub fn output(&self, name: &str, value: &Tensor) {
        if self.has_output(name) {
            self.fail(&format!("output {name:?}"), &[value], "the graph has an output of that name already");
            return;
        }
        let checked = self.build(&[value], |_, nodes| Ok(nodes[0]));
        if let Some(node) = self.own(&checked, &format!("output {name:?}")) {
            self.inner_mut().graph.set_output(name, node);
        }
    }

    /// The node of a tensor of this very graph, not of a body in it.
    #[track_caller]
    fn own(&self, tensor: &Tensor, what: &str) -> Option<NodeId> {
        if !tensor.is_poisoned() && !self.same(tensor.builder()) {
            self.fail(what, &[tensor], "the tensor belongs to the body of a scan");
            return None;
        }
        tensor.node()
    }

    /// True if a result of that name has been set.
    pub fn has_output(&self, name: &str) -> bool {
        self.inner().graph.output(name).is_some()
    }

    /// `value` everywhere.
    #[track_caller]
    pub fn full(&self, value: f64, ty: impl Into<TypeSpec>) -> Tensor {
        let Some(ty) = self.check("full", &ty.into()) else { return self.tensor(None) };
        self.emit(Op::Full(Full { value: Scalar::from_f64(value, ty.dtype), shape: ty.shape }), &[])
    }

    /// Zeros.
    #[track_caller]
    pub fn zeros(&self, ty: impl Into<TypeSpec>) -> Tensor {
        self.full(0.0, ty)
    }

    /// Ones.
    #[track_caller]
    pub fn ones(&self, ty: impl Into<TypeSpec>) -> Tensor {
        self.full(1.0, ty)
    }

    /// A scalar constant.
    #[track_caller]
    pub fn scalar(&self, value: f64, dtype: DType) -> Tensor {
        self.full(value, TypeSpec::new(dtype, []))
    }

    /// Given elements.
    #[track_caller]
    pub fn constant(&self, value: Value) -> Tensor {
        self.emit(Op::Constant(Constant { value }), &[])
    }

    /// The coordinate along `axis`, as elements of the type's element type.
    #[track_caller]
    pub fn iota(&self, ty: impl Into<TypeSpec>, axis: usize) -> Tensor {
        let Some(ty) = self.check("iota", &ty.into()) else { return self.tensor(None) };
        self.emit(Op::Iota(Iota { ty, axis }), &[])
    }

    /// The gradient of a scalar with respect to each tensor, which may be any node; zero where the loss doesn't depend on it.
    #[track_caller]
    pub fn gradients(&self, loss: &Tensor, wrt: &[&Tensor]) -> Vec<Tensor> {
        let mut gradients = Vec::with_capacity(wrt.len());
        for tensor in wrt {
            gradients.push(self.emit(Op::Gradient(Gradient), &[loss, tensor]));
        }
        gradients
    }

    /// The number of steps taken before this one, `i64[]`: the state [`STEP`], declared at first use. It counts up by itself.
    #[track_caller]
    pub fn step_count(&self) -> Tensor {
        let ty = TypeSpec::new(DType::I64, []);
        match self.find_state(STEP) {
            Some(step) => step,
            None => self.port(STEP, ty, super::zeros(), StateRole::Runtime),
        }
    }

    /// The key of the random ops, `i64[]`: the state [`KEY`], declared at first use; initially the seed.
    #[track_caller]
    pub fn random_key(&self) -> Tensor {
        let ty = TypeSpec::new(DType::I64, []);
        let key = match self.find_state(KEY) {
            Some(key) => key,
            None => self.port(KEY, ty, Initializer::Seed, StateRole::Runtime),
        };
        self.key_of_rank(key)
    }

    /// A number that no other random op of this graph has.
    pub(crate) fn next_stream(&self) -> u32 {
        let root = self.root();
        let mut inner = root.inner_mut();
        inner.next_stream += 1;
        inner.next_stream - 1
    }

    /// The trainable parameters declared so far, in order.
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        let names: Vec<String> = {
            let inner = self.inner();
            inner.states.iter().filter(|s| s.role == StateRole::Parameter).map(|s| s.name.clone()).collect()
        };
        names.into_iter().filter_map(|name| self.find_state(&name).map(|t| (name, t))).collect()
    }

    /// The trainable parameters declared so far that are meant, in order.
    pub fn select(&self, select: &Select) -> Vec<(String, Tensor)> {
        let mut chosen = self.parameters();
        chosen.retain(|(name, tensor)| Parameter::of(name, tensor).is_some_and(|p| select.holds(&p)));
        chosen
    }

    /// The graph with its states, if no rule was broken. The builder can go on: a later call returns what was added since.
    ///
    /// # Errors
    /// All diagnostics recorded so far.
    #[track_caller]
    pub fn finish(&self) -> Result<Step, ModelErrors> {
        if let Some(step) = self.find_state(STEP)
            && !self.is_updated(STEP)
        {
            self.set_update(STEP, &(step + 1));
        }
        for (select, loc) in self.still_missing() {
            let rule = format!("no batch normalization after it is meant by {select}");
            self.at(loc, || self.fail("freeze_statistics", &[], rule));
        }
        let inner = self.inner();
        if !inner.diagnostics.is_empty() {
            return Err(ModelErrors { diagnostics: inner.diagnostics.clone() });
        }
        Ok(Step {
            graph: inner.graph.clone(),
            states: inner.states.clone(),
            layers: inner.scope.layers.records.clone(),
        })
    }
}
