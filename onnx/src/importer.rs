//! The walk over a model's nodes: each is looked up in the table, and becomes ops of the graph, or a value where all of its operands are known.

use crate::call::{Call, Results};
use crate::error::{ImportError, Refusal};
use crate::fold;
use crate::item::{ImportItem, KnownTensor};
use crate::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto};
use crate::stored;
use crate::table::{self, OpEntry};
use gradc::dsl::{GraphBuilder, Initializer, Parameter, Select};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How deep graphs and functions may be nested.
const MAX_DEPTH: usize = 16;
/// The most nodes that an import visits, with those of unrolled loops.
const MAX_NODES: usize = 1 << 18;

/// So many elements that a graph inside of a node stores are read in the time of a node.
const READ_AS_ONE: usize = 1 << 14;

/// Names in one graph.
pub(crate) type NamesInGraph = BTreeMap<String, ImportItem>;

/// An import that is going on.
pub(crate) struct Importer<'m> {
    /// The graph that is made.
    pub(crate) g: GraphBuilder,
    /// Where external data may lie.
    pub(crate) folder: Option<PathBuf>,
    /// Versions of operators by domain.
    pub(crate) opsets: BTreeMap<String, i64>,
    /// Functions of the model's own, by domain and name.
    pub(crate) functions: BTreeMap<(&'m str, &'m str), &'m FunctionProto>,
    /// Names, those of the innermost graph last.
    pub(crate) scopes: Vec<NamesInGraph>,
    /// Which stored tensors are parameters.
    parameters: Option<Select>,
    /// What may still be computed at import.
    pub(crate) budget: usize,
    /// How many nodes have been visited.
    visited: usize,
    /// How many graphs and functions are around.
    depth: usize,
}

/// The domain as it is looked up: the default one has two names.
pub(crate) fn domain_of(node: &NodeProto) -> &str {
    if node.domain == "ai.onnx" { "" } else { &node.domain }
}

/// The operator as messages name it.
pub(crate) fn op_name(node: &NodeProto) -> String {
    match domain_of(node) {
        "" => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    }
}

/// The node as messages name it.
pub(crate) fn node_name(node: &NodeProto) -> String {
    let first = node.output.first().cloned().unwrap_or_default();
    if node.name.is_empty() { first } else { node.name.clone() }
}

impl<'m> Importer<'m> {
    /// An import into a graph, before its first node.
    pub(crate) fn new(
        g: GraphBuilder,
        folder: Option<PathBuf>,
        opsets: BTreeMap<String, i64>,
        parameters: Option<Select>,
    ) -> Self {
        Self {
            g,
            folder,
            opsets,
            parameters,
            functions: BTreeMap::new(),
            scopes: vec![NamesInGraph::new()],
            budget: fold::BUDGET,
            visited: 0,
            depth: 0,
        }
    }

    /// What a name stands for, in the innermost graph that has it.
    pub(crate) fn find(&self, name: &str) -> Option<&ImportItem> {
        self.scopes.iter().rev().find_map(|names| names.get(name))
    }

    /// Gives a name in the innermost graph.
    pub(crate) fn bind(&mut self, name: &str, item: ImportItem) {
        if let Some(names) = self.scopes.last_mut() {
            names.insert(name.into(), item);
        }
    }

    /// What a tensor stored under that name stands for: a parameter, if it is to be one.
    pub(crate) fn stored(&self, name: &str, known: KnownTensor) -> ImportItem {
        let (Some(select), KnownTensor::Value(value)) = (&self.parameters, &known) else { return known.into() };
        let ty = value.ty();
        let parameter = Parameter { name: name.into(), shape: ty.shape.clone(), dtype: ty.dtype };
        match ty.dtype.is_float() && select.holds(&parameter) {
            true => self.g.param(name, ty, Initializer::Given(value.clone())).into(),
            false => known.into(),
        }
    }

    /// All nodes of a graph, in their order.
    pub(crate) fn nodes(&mut self, nodes: &[NodeProto]) -> Result<(), (String, String, Refusal)> {
        for node in nodes {
            let items = self.node(node).map_err(|reason| (op_name(node), node_name(node), reason))?;
            let is_stored = self.depth == 0 && op_name(node) == "Constant";
            for (name, item) in node.output.iter().zip(items).filter(|(name, _)| !name.is_empty()) {
                let item = match item {
                    ImportItem::Known(known) if is_stored => self.stored(name, known),
                    item => item,
                };
                self.bind(name, item);
            }
        }
        Ok(())
    }

    /// All nodes of the model's own graph.
    pub(crate) fn main(&mut self, nodes: &[NodeProto]) -> Result<(), ImportError> {
        self.nodes(nodes).map_err(|(op, node, reason)| ImportError::Node { op, node, reason })
    }

    /// A graph inside of a node, whose inputs are these: its results. It sees the names around.
    pub(crate) fn inner(&mut self, graph: &GraphProto, inputs: Vec<ImportItem>) -> Results {
        self.open(graph)?;
        let results = self.step(graph, inputs);
        self.close();
        results
    }

    /// Reads what a graph inside of a node stores, once for all its steps.
    pub(crate) fn open(&mut self, graph: &GraphProto) -> Result<(), Refusal> {
        let mut names = NamesInGraph::new();
        for tensor in &graph.initializer {
            let (_, numel) = stored::extents(&tensor.dims)?;
            self.visit(1 + numel / READ_AS_ONE)?;
            names.insert(tensor.name.clone(), stored::read(tensor, self.folder.as_deref())?.into());
        }
        self.scopes.push(names);
        Ok(())
    }

    /// Forgets what a graph stores.
    pub(crate) fn close(&mut self) {
        self.scopes.pop();
    }

    /// One time a graph that is open, with these inputs. It counts as a node, so that loops of nothing end too.
    pub(crate) fn step(&mut self, graph: &GraphProto, inputs: Vec<ImportItem>) -> Results {
        self.visit(1)?;
        let ports = graph.input.iter().map(|port| port.name.clone());
        self.scopes.push(ports.zip(inputs).collect());
        let results = self.results(&graph.node, graph.output.iter().map(|port| port.name.as_str()));
        self.scopes.pop();
        results
    }

    /// Nodes in a scope of their own, and what these names then stand for.
    fn results<'n>(&mut self, nodes: &[NodeProto], names: impl Iterator<Item = &'n str>) -> Results {
        if self.depth == MAX_DEPTH {
            return Err(Refusal::Limit(format!("graphs and functions are nested more than {MAX_DEPTH} deep")));
        }
        self.depth += 1;
        let done = self.nodes(nodes);
        self.depth -= 1;
        done.map_err(|(op, node, reason)| Refusal::Within { op, node, reason: Box::new(reason) })?;
        let found = |name: &str| self.find(name).cloned().ok_or_else(|| unknown(name));
        names.map(found).collect()
    }

    /// Counts what costs as much time to import as so many nodes.
    fn visit(&mut self, count: usize) -> Result<(), Refusal> {
        self.visited = self.visited.saturating_add(count);
        match self.visited > MAX_NODES {
            true => Err(Refusal::Limit(format!("the model has more than {MAX_NODES} nodes, with those of its loops"))),
            false => Ok(()),
        }
    }

    /// One node: its results.
    fn node(&mut self, node: &NodeProto) -> Results {
        self.visit(1)?;
        let operand = |name: &String| match name.as_str() {
            "" => Ok(None),
            name => self.find(name).cloned().map(Some).ok_or_else(|| unknown(name)),
        };
        let operands = node.input.iter().map(operand).collect::<Result<Vec<_>, _>>()?;
        let domain = domain_of(node);
        if let Some(&function) = self.functions.get(&(domain, node.op_type.as_str())) {
            return self.function(function, node, operands);
        }
        let entry = table::find(domain, &node.op_type).ok_or(Refusal::Operator)?;
        let version = self.opsets.get(domain).copied().unwrap_or(entry.versions[0]);
        if version < entry.versions[0] {
            return Err(Refusal::Version { since: entry.versions[0], version });
        }
        self.apply(entry, node, operands, version)
    }

    /// An operator of the table on its operands.
    fn apply(&mut self, entry: &OpEntry, node: &NodeProto, operands: Vec<Option<ImportItem>>, version: i64) -> Results {
        let most = fold::MOST_ELEMENTS;
        let known = entry.folds && operands.iter().flatten().all(|item| item.is_known(most));
        let mut call = Call { node, operands, version, g: self.g.clone(), importer: self };
        if known {
            let scratch = GraphBuilder::new("known");
            call.g = scratch.clone();
            let items = (entry.import)(&mut call)?;
            check(&scratch, &items)?;
            if let Some(folded) = fold::evaluate(&scratch, &items, &mut call.importer.budget) {
                return Ok(folded);
            }
            call.g = call.importer.g.clone();
        }
        let items = (entry.import)(&mut call)?;
        check(&self.g, &items)?;
        Ok(items)
    }

    /// A function of the model's own: its nodes, with the node's attributes in the place of its parameters.
    fn function(&mut self, function: &FunctionProto, node: &NodeProto, operands: Vec<Option<ImportItem>>) -> Results {
        let mut names = NamesInGraph::new();
        for (name, item) in function.input.iter().zip(operands) {
            names.insert(name.clone(), item.unwrap_or(ImportItem::Nothing));
        }
        let mut body = function.node.clone();
        let mut given: Vec<&AttributeProto> = node.attribute.iter().collect();
        given.extend(&function.attribute_proto);
        give(&mut body, &given);
        let own = function.opset_import.iter().map(|set| (set.domain.clone(), set.version)).collect();
        let (scopes, opsets) =
            (std::mem::replace(&mut self.scopes, vec![names]), std::mem::replace(&mut self.opsets, own));
        let results = self.results(&body, function.output.iter().map(String::as_str));
        (self.scopes, self.opsets) = (scopes, opsets);
        results
    }
}

/// Puts what was given for a function's parameters into the attributes of its nodes.
fn give(nodes: &mut [NodeProto], given: &[&AttributeProto]) {
    for node in nodes {
        node.attribute.retain_mut(|attribute| is_given(attribute, given));
    }
}

/// Puts what was given for a function's parameter into an attribute that refers to it, also in a graph of the node; false if nothing was given, and the attribute falls away.
fn is_given(attribute: &mut AttributeProto, given: &[&AttributeProto]) -> bool {
    if attribute.ref_attr_name.is_empty() {
        if let Some(graph) = &mut attribute.g {
            give(&mut graph.node, given);
        }
        return true;
    }
    let Some(found) = given.iter().find(|a| a.name == attribute.ref_attr_name) else { return false };
    let name = std::mem::take(&mut attribute.name);
    *attribute = AttributeProto { name, ..(*found).clone() };
    true
}

/// A name that nothing before has given.
fn unknown(name: &str) -> Refusal {
    Refusal::broken(format!(
        "{name:?} is no tensor of what comes before: nodes must stand in their order, without cycles"
    ))
}

/// The rule of the graph that an op of the node broke, if one did.
fn check(g: &GraphBuilder, items: &[ImportItem]) -> Result<(), Refusal> {
    if !items.iter().any(ImportItem::is_poisoned) {
        return Ok(());
    }
    let rule = g.finish().err().and_then(|errors| errors.diagnostics.into_iter().next());
    Err(Refusal::Rule(rule.map_or_else(
        || "an operand broke a rule".into(),
        |diagnostic| {
            let types: Vec<String> = diagnostic.error.operands.iter().map(ToString::to_string).collect();
            format!("{} of {}: {}", diagnostic.error.op, types.join(" and "), diagnostic.error.rule)
        },
    )))
}
