//! The op table: one struct per kind of op, each in the file of its family, with its record ([`OpDef`]) and its rules ([`OpRules`]) beside it.
//!
//! The list below is the one place that names all ops. Everything else, text too, asks the record or the rules, or matches a family.

pub mod argsort;
pub mod attr;
mod axes;
pub mod batch;
pub mod contraction;
pub mod control;
pub mod cumsum;
pub mod elementwise;
pub mod index;
pub mod movement;
mod number;
pub mod parse;
pub mod random;
pub mod reduce;
mod reduce_gradient;
pub mod scan;
pub mod source;
pub mod take;
pub(crate) mod walk;
pub mod window;

use crate::{BuildError, Builder, EvalError, NodeId, RuleError, ScalarOp, TensorType, Value};
use argsort::ArgSort;
use attr::{Attr, AttrMap};
use batch::Batching;
use contraction::{Conv, ConvInputGrad, ConvWeightGrad, Dot, Pair, PairProduct, QuadProduct, WeightedMean};
use control::{Gradient, StopGradient};
use cumsum::CumSum;
use elementwise::Cast;
use index::{CheckIndex, Gather, ScatterAdd};
use movement::{Broadcast, Concat, Pad, Permute, Reshape, Reverse, Slice};
use random::Random;
use reduce::{ArgReduce, Reduce};
use scan::Scan;
use source::{Constant, Full, Input, Iota, State};
use take::TakeAlongAxis;
use window::{Pool, PoolArgMax, PoolMaxGrad, PoolMaxTake, PoolSumGrad, Unpool};

/// What kind of op it is: passes decide by family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    /// No operands, or none that are tensors: inputs, state, constants, iota.
    Source,
    /// Each element of the result from the elements at the same place.
    Elementwise,
    /// Axes folded by an associative op; or each element with those before it, or with all along an axis.
    Reduce,
    /// A reduction over a sliding window, or the gradient of one.
    Window,
    /// The same elements in another place: index arithmetic.
    Movement,
    /// Sums of products: dot products and convolutions.
    Contraction,
    /// Places given by the values of a tensor.
    Index,
    /// Random numbers.
    Random,
    /// A body that runs again and again.
    Loop,
    /// Gradients to be derived, barriers to them.
    Control,
}

/// How many operands an op takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arity {
    /// That many.
    Exactly(usize),
    /// That many or more.
    AtLeast(usize),
}

impl Arity {
    /// True if `n` operands are right.
    pub fn accepts(self, n: usize) -> bool {
        match self {
            Self::Exactly(k) => n == k,
            Self::AtLeast(k) => n >= k,
        }
    }
}

/// What a derivative rule sees: the op's operands and result, and the gradient of the loss by the result.
pub struct Cotangent<'a> {
    /// Adds ops to the graph.
    pub build: Builder<'a>,
    /// The operands.
    pub operands: Vec<NodeId>,
    /// The op's own result.
    pub result: NodeId,
    /// The gradient of the loss with respect to the result; same type as the result.
    pub dy: NodeId,
}

/// The gradients to the operands, in their order; `None` where no gradient flows.
pub type OperandGradients = Result<Vec<Option<NodeId>>, BuildError>;

/// The record of an op: what is known of it by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpDef {
    /// The name in text.
    pub name: &'static str,
    /// One line on what it computes.
    pub doc: &'static str,
    /// Its family.
    pub family: Family,
    /// How many operands it takes.
    pub arity: Arity,
}

/// What stands beside the struct of an op: its records, and how it is made from text.
trait OpRecord: Sized {
    /// The record; several where the struct says which op it is.
    const DEFS: &'static [OpDef];

    /// The op of record `number` from its attributes and the type that the text gives its result.
    fn from_attrs(number: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError>;

    /// Which of the records is the op's.
    fn number(&self) -> usize {
        0
    }

    /// The op's record.
    fn def(&self) -> &'static OpDef {
        &Self::DEFS[self.number()]
    }
}

/// The rules of an op. No method has a default: a forgotten rule doesn't compile.
pub trait OpRules {
    /// How axes run through it: which axis of an operand is which axis of the result.
    fn batching(&self) -> Batching<'_>;
    /// Its attributes in printing order; [`parse::parse_op`] reads them back.
    fn attrs(&self) -> Vec<(&'static str, Attr)>;
    /// The result's type. The number of operands has been checked against [`OpDef::arity`].
    ///
    /// # Errors
    /// The rule that the operands or the attributes break.
    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError>;
    /// The reference evaluation. Operands have the types that `infer` accepted, `ty` is what it gave.
    ///
    /// # Errors
    /// What only values can break: an index out of range.
    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError>;
    /// The derivative rule, reverse mode.
    ///
    /// # Errors
    /// If a rule builds an op that doesn't type, which is a defect of the rule; or the op can't be differentiated.
    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients;
}

/// Declares [`Op`] and the access to its records from one list, so that neither can lack an op.
macro_rules! ops {
    ($($variant:ident($record:ty)),* $(,)?) => {
        /// An op with its attributes.
        #[derive(Clone, PartialEq, Debug)]
        #[allow(missing_docs)] // Each variant is documented at its struct.
        pub enum Op {
            /// A scalar op applied to tensors, element by element.
            Elementwise(ScalarOp),
            $($variant($record),)*
        }

        impl Op {
            /// The names of the variants, for tests that must have a case for each.
            pub const VARIANTS: &'static [&'static str] = &["Elementwise", $(stringify!($variant)),*];

            /// The records of all ops but the scalar ones.
            const DEFS: &'static [&'static [OpDef]] = &[$(<$record>::DEFS),*];

            /// The op's record.
            pub fn def(&self) -> OpDef {
                match self {
                    Self::Elementwise(op) => elementwise::record(*op),
                    $(Self::$variant(op) => *OpRecord::def(op),)*
                }
            }

            /// The op's rules.
            pub fn rules(&self) -> &dyn OpRules {
                match self {
                    Self::Elementwise(op) => op,
                    $(Self::$variant(op) => op,)*
                }
            }

            /// The op of that name from its attributes in text and the type of its result; `None` if there is none but, maybe, a scalar op.
            fn from_attrs(name: &str, attrs: &mut AttrMap, ty: &TensorType) -> Option<Result<Self, RuleError>> {
                $(
                    if let Some(number) = parse::number_of(name, <$record>::DEFS) {
                        return Some(<$record>::from_attrs(number, attrs, ty).map(Self::$variant));
                    }
                )*
                None
            }
        }
    };
}

ops! {
    Input(Input),
    State(State),
    Full(Full),
    Constant(Constant),
    Iota(Iota),
    Cast(Cast),
    Reduce(Reduce),
    ArgReduce(ArgReduce),
    ArgSort(ArgSort),
    CumSum(CumSum),
    Pool(Pool),
    PoolSumGrad(PoolSumGrad),
    PoolMaxGrad(PoolMaxGrad),
    PoolMaxTake(PoolMaxTake),
    PoolArgMax(PoolArgMax),
    Unpool(Unpool),
    Reshape(Reshape),
    Permute(Permute),
    Broadcast(Broadcast),
    Slice(Slice),
    Pad(Pad),
    Concat(Concat),
    Reverse(Reverse),
    Dot(Dot),
    Conv(Conv),
    ConvInputGrad(ConvInputGrad),
    ConvWeightGrad(ConvWeightGrad),
    Gather(Gather),
    TakeAlongAxis(TakeAlongAxis),
    ScatterAdd(ScatterAdd),
    CheckIndex(CheckIndex),
    Random(Random),
    Scan(Scan),
    Gradient(Gradient),
    StopGradient(StopGradient),
    WeightedMean(WeightedMean),
    Pair(Pair),
    PairProduct(PairProduct),
    QuadProduct(QuadProduct),
}

impl Op {
    /// The name in text.
    pub fn name(&self) -> &'static str {
        self.def().name
    }

    /// The family.
    pub fn family(&self) -> Family {
        self.def().family
    }
}

/// Name and attributes, as in the text of a graph: `reduce_sum {axes=[0]}`.
impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())?;
        attr::write_attrs(f, &self.rules().attrs())
    }
}
