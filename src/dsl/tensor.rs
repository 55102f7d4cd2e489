//! The tensor handle, and what may stand on the other side of an operator.

use super::GraphBuilder;
use super::error::Failure;
use ir::op::source::Full;
use ir::{Builder, DType, NodeId, Op, Scalar, ScalarOp, Shape, TensorType};

/// A tensor of a graph under construction. Cheap to clone.
///
/// It is poisoned if the op that should have made it broke a rule: then it has no type, and ops on it are silent.
#[derive(Clone)]
pub struct Tensor {
    builder: GraphBuilder,
    node: Option<NodeId>,
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.node, self.ty()) {
            (Some(node), Some(ty)) => write!(f, "{node}: {ty}"),
            _ => f.write_str("poisoned"),
        }
    }
}

impl AsRef<Tensor> for Tensor {
    fn as_ref(&self) -> &Tensor {
        self
    }
}

impl Tensor {
    pub(crate) fn new(builder: GraphBuilder, node: Option<NodeId>) -> Self {
        Self { builder, node }
    }

    /// The builder of the graph it belongs to.
    pub fn builder(&self) -> &GraphBuilder {
        &self.builder
    }

    /// Its node; `None` if it is poisoned.
    pub fn node(&self) -> Option<NodeId> {
        self.node
    }

    /// True if the op that should have made it broke a rule.
    pub fn is_poisoned(&self) -> bool {
        self.node.is_none()
    }

    /// Its type; `None` if it is poisoned.
    pub fn ty(&self) -> Option<TensorType> {
        self.node.map(|node| self.builder.inner().graph.ty(node).clone())
    }

    /// Its element type; `None` if it is poisoned.
    pub fn dtype(&self) -> Option<DType> {
        self.ty().map(|ty| ty.dtype)
    }

    /// Its shape; `None` if it is poisoned.
    pub fn shape(&self) -> Option<Shape> {
        self.ty().map(|ty| ty.shape)
    }

    /// A poisoned tensor of the same graph.
    pub(crate) fn poisoned(&self) -> Self {
        Self::new(self.builder.clone(), None)
    }

    /// Records a broken rule of an op on this tensor.
    #[track_caller]
    pub(crate) fn fail(&self, op: &str, rule: impl Into<String>) -> Self {
        if self.is_poisoned() { self.clone() } else { self.builder.fail(op, &[self], rule) }
    }

    /// Adds one op on this tensor.
    #[track_caller]
    pub(crate) fn emit(&self, op: Op) -> Self {
        self.builder.emit(op, &[self])
    }

    #[track_caller]
    pub(crate) fn unary(&self, op: ScalarOp) -> Self {
        self.emit(Op::Elementwise(op))
    }

    /// An elementwise op of two tensors, broadcast together.
    #[track_caller]
    pub(crate) fn binary(&self, op: ScalarOp, rhs: impl Operand) -> Self {
        let rhs = rhs.like(self);
        self.builder.build(&[self, &rhs], |b, nodes| {
            let dtypes = [b.ty(nodes[0]).dtype, b.ty(nodes[1]).dtype];
            op.def().typing.infer(&dtypes).map_err(|rule| Failure::rule(op.name(), rule))?;
            let nodes = broadcast_together(b, op.name(), nodes)?;
            Ok(b.binary(op, nodes[0], nodes[1])?)
        })
    }
}

/// Broadcasts all to their common shape by NumPy's rule.
pub(crate) fn broadcast_together(b: &mut Builder<'_>, op: &str, nodes: &[NodeId]) -> Result<Vec<NodeId>, Failure> {
    let mut shape = b.ty(nodes[0]).shape.clone();
    for &node in &nodes[1..] {
        shape = shape.broadcast(&b.ty(node).shape).map_err(|e| Failure::rule(op, e))?;
    }
    nodes.iter().map(|&node| Ok(b.broadcast_to(node, shape.clone())?)).collect()
}

/// What may stand on the right of an elementwise op: a tensor, or a Rust number, which takes the tensor's element type.
pub trait Operand {
    /// The operand as a tensor for an op with `other`.
    #[doc(hidden)]
    #[track_caller]
    fn like(&self, other: &Tensor) -> Tensor;
}

impl Operand for Tensor {
    fn like(&self, _: &Tensor) -> Tensor {
        self.clone()
    }
}

impl Operand for &Tensor {
    fn like(&self, _: &Tensor) -> Tensor {
        (*self).clone()
    }
}

/// `value` everywhere in the type of `other`, if the element type holds it.
#[track_caller]
fn literal(value: Scalar, other: &Tensor) -> Tensor {
    let Some(ty) = other.ty() else { return other.clone() };
    let element = value.cast(ty.dtype);
    let is_whole = !value.dtype().is_float() || value.as_f64().fract() == 0.0;
    let fits = match ty.dtype.is_float() {
        true => value.dtype() != DType::Bool,
        false => is_whole && element.as_i128() == value.as_i128(),
    };
    if !fits || (ty.dtype == DType::Bool) != (value.dtype() == DType::Bool) {
        let rule = format!("the literal {value} is not a value of {}: cast the tensor first", ty.dtype);
        return other.builder().fail("an op with a literal", &[other], rule);
    }
    other.builder().emit(Op::Full(Full { value: element, shape: ty.shape }), &[])
}

macro_rules! literals {
    ($($ty:ty, $variant:ident;)*) => { $(
        impl Operand for $ty {
            #[track_caller]
            fn like(&self, other: &Tensor) -> Tensor {
                literal(Scalar::$variant(*self), other)
            }
        }
    )* };
}

literals! { f32, F32; f64, F64; i64, I64; i32, I32; i16, I16; i8, I8; u64, U64; u32, U32; u16, U16; u8, U8; bool, Bool; }
