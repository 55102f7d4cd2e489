//! Layers while they are applied: which object it is, its name, whose states it uses, the place that errors name.
//!
//! Names are paths: a layer applied inside another one has that one's name before its own, `encoder/dense`. A graph knows each layer object by its
//! [`LayerId`]: applied again, it has the name that it had, and finds the states that it declared then.

use super::{GraphBuilder, Tensor};
use ir::{Loc, NodeId, TensorType};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which layer object a description is. Each has its own; a clone gets a new one, since a copy of a layer's description is another layer.
///
/// ```
/// use gradc::dsl::LayerId;
/// let id = LayerId::new();
/// assert_ne!(id, id.clone());
/// ```
#[derive(PartialEq, Eq, Debug)]
pub struct LayerId(u64);

impl LayerId {
    /// One that no other layer of this process has.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for LayerId {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for LayerId {
    fn clone(&self) -> Self {
        Self::new()
    }
}

/// A layer that was applied, once or several times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LayerRecord {
    /// Its unique name, a path: `conv2d`, `conv2d_1`, `encoder/conv2d`.
    pub name: String,
    /// Its kind, for people: `Conv2D`.
    pub kind: String,
    /// The types of its first application's results, with the batch axis.
    pub outputs: Vec<TensorType>,
    /// Which states it uses, layers in it included, by their positions in [`Step::states`](super::Step::states).
    pub states: BTreeSet<usize>,
    /// How often it was applied.
    pub uses: usize,
}

/// The names of layers that were given out in one place: in the graph, or in one application of a layer.
#[derive(Default)]
struct Names {
    taken: BTreeSet<String>,
    /// For each base the last number tried.
    numbers: BTreeMap<String, usize>,
}

/// A layer while it is applied.
struct Application {
    /// Where it stands in the records.
    record: usize,
    /// Whether it was applied before, so that its states are there.
    is_further: bool,
    /// Whether it is an object that can be known again.
    has_id: bool,
    /// Whether a state was declared while it is applied.
    declares: bool,
    /// The names of layers applied in it.
    names: Names,
    /// The states that it has asked for, layers in it included.
    states: BTreeSet<usize>,
}

/// What is under way: the application of a layer, or a place given by hand.
struct LayerFrame {
    loc: Loc,
    /// The path of the layer that nodes are of.
    path: Option<Arc<str>>,
    layer: Option<Application>,
    /// Whether what is inside has places of its own: a model's layers do, those that a layer is made of don't.
    is_open: bool,
}

/// Who declared a state.
struct Declaration {
    /// The layer's record.
    record: usize,
    /// The state's position.
    state: usize,
}

/// All layers of a graph.
#[derive(Default)]
pub(crate) struct LayerScope {
    pub(crate) records: Vec<LayerRecord>,
    /// The results of each layer's last application, by its record, if they are tensors of the graph itself.
    results: BTreeMap<usize, Vec<NodeId>>,
    /// The record of each path, and of each object.
    paths: BTreeMap<String, usize>,
    ids: BTreeMap<u64, usize>,
    names: Names,
    declared: BTreeMap<String, Declaration>,
    stack: Vec<LayerFrame>,
}

impl LayerScope {
    fn innermost(&self) -> Option<&Application> {
        self.stack.iter().rev().find_map(|frame| frame.layer.as_ref())
    }

    fn innermost_mut(&mut self) -> Option<&mut Application> {
        self.stack.iter_mut().rev().find_map(|frame| frame.layer.as_mut())
    }

    /// The path of the innermost layer being applied.
    pub(crate) fn path(&self) -> Option<String> {
        self.innermost().map(|layer| self.records[layer.record].name.clone())
    }

    /// Whether the innermost layer being applied was applied before.
    pub(crate) fn is_further(&self) -> bool {
        self.innermost().is_some_and(|layer| layer.is_further)
    }

    /// Whether it was, with a result, so that it has all the weights that it can have.
    pub(crate) fn is_complete(&self) -> bool {
        self.innermost().is_some_and(|layer| layer.is_further && !self.records[layer.record].outputs.is_empty())
    }

    /// Where the outermost layer being applied was declared, of those that are no models: their layers have places themselves.
    pub(crate) fn place(&self) -> Option<Loc> {
        let inside = self.stack.iter().rposition(|frame| frame.is_open).map_or(0, |open| open + 1);
        self.stack.get(inside).map(|frame| frame.loc.clone())
    }

    /// The layer that new nodes are of.
    pub(crate) fn layer_of_nodes(&self) -> Option<Arc<str>> {
        self.stack.iter().rev().find_map(|frame| frame.path.clone())
    }

    /// The record of a layer that is to be applied, and whether it was before.
    fn find(&mut self, id: Option<&LayerId>, base: &str, kind: &str) -> (usize, bool) {
        if let Some(&record) = id.and_then(|id| self.ids.get(&id.0)) {
            let name = self.records[record].name.clone();
            self.names_here().taken.insert(name);
            return (record, true);
        }
        let name = self.unique(base);
        let is_further = self.paths.contains_key(&name);
        let record = *self.paths.entry(name.clone()).or_insert_with(|| {
            let (outputs, states) = (vec![], BTreeSet::new());
            self.records.push(LayerRecord { name, kind: kind.into(), outputs, states, uses: 0 });
            self.records.len() - 1
        });
        if let Some(id) = id {
            self.ids.insert(id.0, record);
        }
        (record, is_further)
    }

    fn names_here(&mut self) -> &mut Names {
        match self.stack.iter_mut().rev().find_map(|frame| frame.layer.as_mut()) {
            Some(layer) => &mut layer.names,
            None => &mut self.names,
        }
    }

    /// `base`, or the first of `base_1`, `base_2`, ... that no layer has, below the path of the layer being applied. If that was applied before, the layers
    /// that it is made of are those that it was made of then, in the same order, and have their names.
    fn unique(&mut self, base: &str) -> String {
        let base = self.path().map_or_else(|| base.to_string(), |path| format!("{path}/{base}"));
        let is_further = self.is_further();
        let mut name = base.clone();
        loop {
            let is_known = !is_further && self.paths.contains_key(&name);
            let names = self.names_here();
            if !is_known && names.taken.insert(name.clone()) {
                return name;
            }
            let number = names.numbers.entry(base.clone()).or_default();
            *number += 1;
            name = format!("{base}_{number}");
        }
    }

    fn enter(&mut self, loc: Loc, id: Option<&LayerId>, base: &str, kind: &str) -> String {
        let (record, is_further) = self.find(id, base, kind);
        let (names, states) = (Names::default(), BTreeSet::new());
        let layer = Application { record, is_further, has_id: id.is_some(), declares: false, names, states };
        let path = Some(Arc::from(self.records[record].name.as_str()));
        self.stack.push(LayerFrame { loc, path, layer: Some(layer), is_open: false });
        self.records[record].uses += 1;
        self.records[record].name.clone()
    }

    /// Whether the layer being applied declares states that nobody could find again.
    fn is_lost(&self) -> bool {
        self.innermost().is_some_and(|layer| layer.declares && !layer.has_id)
    }

    /// Ends the application of the innermost layer, whose results have these types, and are these nodes of the graph.
    fn leave(&mut self, types: Vec<TensorType>, nodes: Option<Vec<NodeId>>) {
        let Some(LayerFrame { layer: Some(layer), .. }) = self.stack.pop() else { return };
        if let Some(around) = self.innermost_mut() {
            around.states.extend(&layer.states);
            around.declares |= layer.declares;
        }
        self.results.extend(nodes.map(|nodes| (layer.record, nodes)));
        let record = &mut self.records[layer.record];
        record.states.extend(&layer.states);
        if !layer.is_further {
            record.outputs = types;
        }
    }

    /// A state at that position has been declared.
    pub(crate) fn declare(&mut self, name: &str, state: usize, outlives_training: bool) {
        let Some(layer) = self.innermost_mut() else { return };
        layer.states.insert(state);
        layer.declares |= outlives_training;
        let record = layer.record;
        self.declared.insert(name.into(), Declaration { record, state });
    }

    /// Whether the layer being applied declared that state when it was applied before, and hasn't asked for it yet.
    pub(crate) fn asks_again(&mut self, name: &str) -> bool {
        let Some(&Declaration { record, state }) = self.declared.get(name) else { return false };
        let layer = self.stack.iter_mut().rev().find_map(|frame| frame.layer.as_mut());
        layer.is_some_and(|layer| layer.is_further && layer.record == record && layer.states.insert(state))
    }

    /// The last results of the layer of a path in the layer being applied, or in the graph.
    fn results(&self, path: &str) -> Option<&[NodeId]> {
        let inside = self.path().map(|around| format!("{around}/{path}"));
        let record = inside.and_then(|path| self.paths.get(&path)).or_else(|| self.paths.get(path))?;
        self.results.get(record).map(Vec::as_slice)
    }

    /// Whether a state was there before the layer being applied asked for it.
    fn is_known(&self, name: &str) -> bool {
        let asked = self.declared.get(name).map(|declaration| declaration.state);
        self.innermost().zip(asked).is_some_and(|(layer, state)| layer.is_further && layer.states.contains(&state))
    }
}

impl GraphBuilder {
    /// Declares with `f`; all its nodes and diagnostics get the place `loc` (unless an outer call of this kind is under way,
    /// whose place goes first).
    pub fn at<R>(&self, loc: Loc, f: impl FnOnce() -> R) -> R {
        self.within(LayerFrame { loc, path: None, layer: None, is_open: false }, f)
    }

    /// Declares with `f` what belongs to a layer without being in it: its parameters' updates.
    #[track_caller]
    pub(crate) fn of_layer<R>(&self, path: &str, f: impl FnOnce() -> R) -> R {
        let path = Some(path).filter(|path| !path.is_empty()).map(Arc::from);
        self.within(LayerFrame { loc: Loc::caller(), path, layer: None, is_open: false }, f)
    }

    fn within<R>(&self, frame: LayerFrame, f: impl FnOnce() -> R) -> R {
        let root = self.root();
        root.inner_mut().scope.layers.stack.push(frame);
        let result = f();
        root.inner_mut().scope.layers.stack.pop();
        result
    }

    /// Applies a layer. `f` gets its unique name, a path, as prefix of its states' names: that of the layer being applied, if one is, and `base`, `base_1`, ...; or the name
    /// that the object `id` has in this graph, since it was applied before. Then the states that `f` declares are those that it declared at first.
    #[track_caller]
    pub fn layer(&self, id: Option<&LayerId>, base: &str, kind: &str, f: impl FnOnce(&str) -> Tensor) -> Tensor {
        let mut results = self.layer_of_several(id, base, kind, |name| vec![f(name)]);
        results.pop().unwrap_or_else(|| Tensor::new(self.clone(), None))
    }

    /// [`GraphBuilder::layer`] with several results.
    #[track_caller]
    pub(crate) fn layer_of_several(
        &self,
        id: Option<&LayerId>,
        base: &str,
        kind: &str,
        f: impl FnOnce(&str) -> Vec<Tensor>,
    ) -> Vec<Tensor> {
        let root = self.root();
        let name = root.inner_mut().scope.layers.enter(Loc::caller(), id, base, kind);
        let results = f(&name);
        let is_lost = root.inner().scope.layers.is_lost();
        if is_lost {
            let rule = "it declares states, so `Layer::id` must give a `LayerId` that it has had since it was made";
            root.fail(base, &[], rule);
        }
        let types = results.iter().filter_map(Tensor::ty).collect();
        let nodes = results.iter().map(|result| result.node().filter(|_| root.same(result.builder()))).collect();
        root.inner_mut().scope.layers.leave(types, nodes);
        results
    }

    /// Whether `tensor` is a state of the layer being applied, which was applied before.
    pub(crate) fn is_state_asked_for_again(&self, tensor: &Tensor) -> bool {
        let root = self.root();
        let inner = root.inner();
        match tensor.node().map(|node| inner.graph.op(node)) {
            Some(ir::Op::State(state)) if root.same(tensor.builder()) => inner.scope.layers.is_known(&state.name),
            _ => false,
        }
    }

    /// The results of the last application of a layer, by its path in the layer being applied, or in the graph.
    pub(crate) fn layer_results(&self, path: &str) -> Option<Vec<Tensor>> {
        let root = self.root();
        let nodes = root.inner().scope.layers.results(path)?.to_vec();
        Some(nodes.into_iter().map(|node| Tensor::new(root.clone(), Some(node))).collect())
    }

    /// The paths of the layers in the layer being applied, as they are there.
    pub(crate) fn layer_paths(&self) -> Vec<String> {
        let root = self.root();
        let inner = root.inner();
        let around = inner.scope.layers.path().map_or_else(String::new, |path| format!("{path}/"));
        let paths = inner.scope.layers.records.iter().filter_map(|record| record.name.strip_prefix(&around));
        paths.map(String::from).collect()
    }

    /// Says that the layer being applied is a model, whose layers have places in the user's source.
    pub(crate) fn open_model(&self) {
        if let Some(frame) = self.root().inner_mut().scope.layers.stack.last_mut() {
            frame.is_open = true;
        }
    }
}
