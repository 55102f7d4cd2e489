//! A node being imported, as the functions of operators see it: attributes, operands, the version of the operators.

use crate::error::Refusal;
use crate::importer::Importer;
use crate::item::{ImportItem, KnownTensor, Laid};
use crate::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};
use gradc::dsl::{DType, GraphBuilder, Tensor, TypeSpec};

/// What an operator's function gives: its results in order.
pub(crate) type Results = Result<Vec<ImportItem>, Refusal>;

/// A node being imported.
pub(crate) struct Call<'c, 'm> {
    /// The node.
    pub(crate) node: &'c NodeProto,
    /// Its operands; `None` for one that is left out.
    pub(crate) operands: Vec<Option<ImportItem>>,
    /// The version of its domain's operators.
    pub(crate) version: i64,
    /// What the results are added to.
    pub(crate) g: GraphBuilder,
    /// The import around, for nodes with graphs of their own.
    pub(crate) importer: &'c mut Importer<'m>,
}

/// One result.
pub(crate) fn one(x: impl Into<ImportItem>) -> Results {
    Ok(vec![x.into()])
}

impl Call<'_, '_> {
    /// Whether there is an operand of that number.
    pub(crate) fn has(&self, i: usize) -> bool {
        self.operands.get(i).is_some_and(Option::is_some)
    }

    /// How many operands there are, those left out in between too.
    pub(crate) fn count(&self) -> usize {
        self.operands.len()
    }

    /// An operand.
    pub(crate) fn item(&self, i: usize) -> Result<&ImportItem, Refusal> {
        let missing = || Refusal::broken(format!("operand {i} is missing"));
        self.operands.get(i).and_then(Option::as_ref).ok_or_else(missing)
    }

    /// An operand's name in the model.
    pub(crate) fn name(&self, i: usize) -> &str {
        self.node.input.get(i).map_or("", String::as_str)
    }

    /// An operand as a tensor of the graph, in the model's order of axes.
    #[track_caller]
    pub(crate) fn tensor(&self, i: usize) -> Result<Tensor, Refusal> {
        self.tensor_of(self.item(i)?, self.name(i))
    }

    /// An item as a tensor of the graph.
    #[track_caller]
    pub(crate) fn tensor_of(&self, item: &ImportItem, name: &str) -> Result<Tensor, Refusal> {
        match item {
            ImportItem::Known(known) => known.in_graph(&self.g, name),
            ImportItem::Graph(laid) => Ok(laid.plain()),
            ImportItem::Sequence(_) => Err(Refusal::broken(format!("{name:?} is a sequence where a tensor is wanted"))),
            ImportItem::Nothing => Err(Refusal::broken(format!("{name:?} is an optional without a value"))),
        }
    }

    /// All operands as tensors of the graph.
    #[track_caller]
    pub(crate) fn tensors(&self) -> Result<Vec<Tensor>, Refusal> {
        (0..self.count()).map(|i| self.tensor(i)).collect()
    }

    /// An operand that may be left out.
    #[track_caller]
    pub(crate) fn optional(&self, i: usize) -> Result<Option<Tensor>, Refusal> {
        if self.has(i) { self.tensor(i).map(Some) } else { Ok(None) }
    }

    /// An operand with its channels last.
    #[track_caller]
    pub(crate) fn channels_last(&self, i: usize) -> Result<Tensor, Refusal> {
        match self.item(i)? {
            ImportItem::Graph(laid) => Ok(laid.channels_last()),
            _ => Ok(Laid::Plain(self.tensor(i)?).channels_last()),
        }
    }

    /// The element type and extents of an operand.
    pub(crate) fn ty(&self, i: usize) -> Result<(DType, Vec<usize>), Refusal> {
        let no_tensor = || Refusal::broken(format!("operand {i} is no tensor"));
        self.item(i)?.ty().ok_or_else(no_tensor)
    }

    /// The extents of an operand.
    pub(crate) fn dims(&self, i: usize) -> Result<Vec<usize>, Refusal> {
        self.ty(i).map(|(_, dims)| dims)
    }

    /// The element type of an operand.
    pub(crate) fn dtype(&self, i: usize) -> Result<DType, Refusal> {
        self.ty(i).map(|(dtype, _)| dtype)
    }

    /// An operand that must be known.
    pub(crate) fn known(&self, i: usize) -> Result<&KnownTensor, Refusal> {
        match self.item(i)? {
            ImportItem::Known(known) => Ok(known),
            ImportItem::Graph(_) => Err(Refusal::NeedsValue { tensor: self.name(i).into() }),
            ImportItem::Sequence(_) | ImportItem::Nothing => Err(Refusal::broken(format!("operand {i} is no tensor"))),
        }
    }

    /// The integers of an operand that must be known.
    pub(crate) fn ints(&self, i: usize) -> Result<Vec<i64>, Refusal> {
        self.known(i).map(KnownTensor::to_ints)
    }

    /// The integers of an operand that may be left out.
    pub(crate) fn optional_ints(&self, i: usize) -> Result<Option<Vec<i64>>, Refusal> {
        if self.has(i) { self.ints(i).map(Some) } else { Ok(None) }
    }

    /// The floats of an operand that may be left out.
    pub(crate) fn optional_floats(&self, i: usize) -> Result<Option<Vec<f64>>, Refusal> {
        if self.has(i) { self.known(i).map(|known| Some(known.to_floats())) } else { Ok(None) }
    }

    /// One integer of an operand that must be known.
    pub(crate) fn single_int(&self, i: usize) -> Result<i64, Refusal> {
        let one = || Refusal::broken(format!("operand {i} must have one element"));
        self.ints(i)?.first().copied().ok_or_else(one)
    }

    /// An attribute, if the node has it.
    pub(crate) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|a| a.name == name)
    }

    /// An integer attribute.
    pub(crate) fn int(&self, name: &str, otherwise: i64) -> i64 {
        self.attribute(name).map_or(otherwise, |a| a.i)
    }

    /// An attribute that is 0 or 1.
    pub(crate) fn flag(&self, name: &str, otherwise: bool) -> bool {
        self.int(name, i64::from(otherwise)) != 0
    }

    /// A float attribute.
    pub(crate) fn float(&self, name: &str, otherwise: f64) -> f64 {
        self.attribute(name).map_or(otherwise, |a| f64::from(a.f))
    }

    /// A text attribute.
    pub(crate) fn text(&self, name: &str, otherwise: &str) -> String {
        self.attribute(name).map_or_else(|| otherwise.into(), |a| String::from_utf8_lossy(&a.s).into_owned())
    }

    /// A list of integers.
    pub(crate) fn int_list(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|a| a.ints.clone())
    }

    /// A list of floats.
    pub(crate) fn float_list(&self, name: &str) -> Option<Vec<f64>> {
        self.attribute(name).map(|a| a.floats.iter().map(|&f| f64::from(f)).collect())
    }

    /// A list of texts.
    pub(crate) fn text_list(&self, name: &str) -> Option<Vec<String>> {
        let texts = |a: &AttributeProto| a.strings.iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect();
        self.attribute(name).map(texts)
    }

    /// A stored tensor.
    pub(crate) fn tensor_attribute(&self, name: &str) -> Option<&TensorProto> {
        self.attribute(name)?.t.as_ref()
    }

    /// A graph.
    pub(crate) fn graph(&self, name: &str) -> Result<GraphProto, Refusal> {
        let missing = || Refusal::broken(format!("the node has no graph `{name}`"));
        self.attribute(name).and_then(|a| a.g.clone()).ok_or_else(missing)
    }

    /// An axis from 0 on, of a tensor of that rank.
    pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, Refusal> {
        let from_start = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        let inside = from_start.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank);
        inside.ok_or_else(|| Refusal::broken(format!("axis {axis} of a tensor of {rank} axes")))
    }

    /// Axes from 0 on, ascending.
    pub(crate) fn axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, Refusal> {
        let mut axes = axes.iter().map(|&axis| Self::axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        Ok(axes)
    }

    /// What was said of an axis in attribute `axis`.
    pub(crate) fn axis_attribute(&self, otherwise: i64, rank: usize) -> Result<usize, Refusal> {
        Self::axis(self.int("axis", otherwise), rank)
    }

    /// An axis before which a tensor is split in two, from `axis` on: one more than there are axes stands for after all of them.
    pub(crate) fn split_attribute(&self, otherwise: i64, rank: usize) -> Result<usize, Refusal> {
        let axis = self.int("axis", otherwise);
        if axis == rank as i64 { Ok(rank) } else { Self::axis(axis, rank) }
    }

    /// A function of each element of the first operand, in whichever order of axes it is.
    #[track_caller]
    pub(crate) fn map(&self, f: impl FnOnce(&Tensor) -> Tensor) -> Results {
        match self.item(0)? {
            ImportItem::Graph(laid) => Ok(vec![ImportItem::Graph(laid.like(f(laid.as_is())))]),
            ImportItem::Known(KnownTensor::Empty { dtype, dims }) => {
                // Of no elements there is still a type.
                let y = f(&self.g.zeros(TypeSpec::new(*dtype, [])));
                one(KnownTensor::Empty { dtype: y.dtype().unwrap_or(*dtype), dims: dims.clone() })
            }
            _ => one(f(&self.tensor(0)?)),
        }
    }

    /// A function of elements at the same place of two items that are broadcast. Where one of them has its channels last, so has the other, and the result.
    #[track_caller]
    pub(crate) fn zip(
        &self,
        a: &ImportItem,
        b: &ImportItem,
        f: impl FnOnce(&Tensor, &Tensor) -> Tensor,
    ) -> Result<ImportItem, Refusal> {
        if let (Some((left, a_dims)), Some((right, b_dims))) = (a.ty(), b.ty())
            && (a_dims.contains(&0) || b_dims.contains(&0))
        {
            let scalar = |dtype| self.g.zeros(TypeSpec::new(dtype, []));
            let y = f(&scalar(left), &scalar(right));
            let dims = broadcast(&a_dims, &b_dims)?;
            return Ok(KnownTensor::Empty { dtype: y.dtype().unwrap_or(left), dims }.into());
        }
        let rank = |item: &ImportItem| item.ty().map_or(0, |(_, dims)| dims.len());
        let last = |item: &ImportItem| matches!(item, ImportItem::Graph(Laid::ChannelsLast(_)));
        let top = rank(a).max(rank(b));
        let fits = |item: &ImportItem| !last(item) || rank(item) == top;
        if !(last(a) || last(b)) || !fits(a) || !fits(b) {
            return Ok(f(&self.tensor_of(a, "an operand")?, &self.tensor_of(b, "an operand")?).into());
        }
        let lifted = |item: &ImportItem| -> Result<Tensor, Refusal> {
            match item {
                ImportItem::Graph(laid @ Laid::ChannelsLast(_)) => Ok(laid.channels_last()),
                _ => {
                    let mut x = self.tensor_of(item, "an operand")?;
                    while x.shape().is_some_and(|shape| shape.rank() < top) {
                        x = x.unsqueeze(0);
                    }
                    Ok(Laid::Plain(x).channels_last())
                }
            }
        };
        Ok(ImportItem::channels_last(f(&lifted(a)?, &lifted(b)?)))
    }
}

/// The extents that two broadcast to, of which some may be 0.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Refusal> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], i: usize| (i + dims.len()).checked_sub(rank).map_or(1, |i| dims[i]);
    let common = |i: usize| match (at(a, i), at(b, i)) {
        (1, extent) | (extent, 1) => Ok(extent),
        (x, y) if x == y => Ok(x),
        _ => Err(Refusal::broken(format!("{a:?} and {b:?} don't broadcast together"))),
    };
    (0..rank).map(common).collect()
}
