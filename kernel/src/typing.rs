//! Types of expressions: element type and lanes, found from a kernel's parameters and the values bound so far.

use crate::{BufRef, DType, Expr, IndexExpr, IndexVar, Interval, Kernel, Ranges, Reg, ScalarOp, Stmt};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::fmt;

/// Element type and lanes of a value. Text: `f32`, `f32x4`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ValueType {
    /// The element type.
    pub dtype: DType,
    /// How many elements, 1 for a scalar.
    pub lanes: u16,
}

impl ValueType {
    /// One element.
    pub fn scalar(dtype: DType) -> Self {
        Self { dtype, lanes: 1 }
    }

    /// The same lanes of another type.
    #[must_use]
    pub fn with_dtype(self, dtype: DType) -> Self {
        Self { dtype, ..self }
    }

    /// True if there is more than one lane.
    pub fn is_vector(self) -> bool {
        self.lanes > 1
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lanes == 1 { write!(f, "{}", self.dtype) } else { write!(f, "{}x{}", self.dtype, self.lanes) }
    }
}

/// The most lanes of a value: bytes in the widest vector register there is.
pub const MAX_LANES: u16 = 64;

/// The typing rule that an expression breaks, as a sentence.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct TypeError(pub String);

fn broken<T>(rule: String) -> Result<T, TypeError> {
    Err(TypeError(rule))
}

/// What is known at a point of a kernel: its buffers, the types of bound values, the ranges of index variables.
#[derive(Clone, Debug, Default)]
pub struct Types {
    params: Vec<(DType, usize)>,
    locals: Vec<(DType, usize)>,
    regs: RegTypes,
    ranges: Ranges,
    /// What names meant before they were bound, in the order of their binding, while scopes are kept apart.
    undo: Option<Vec<Before>>,
}

/// The types of values by their numbers.
#[derive(Clone, Debug, Default)]
struct RegTypes {
    /// Of numbers below [`RegTypes::LISTED`]: nearly all are, and need no search.
    listed: Vec<Option<ValueType>>,
    others: BTreeMap<Reg, ValueType>,
}

impl RegTypes {
    /// A kernel's text may have any numbers; the list shan't be as long as the largest of them.
    const LISTED: u32 = 1 << 14;

    fn get(&self, reg: Reg) -> Option<ValueType> {
        if reg.0 < Self::LISTED { *self.listed.get(reg.0 as usize)? } else { self.others.get(&reg).copied() }
    }

    /// Gives or takes a value's type; the result is the one before.
    fn replace(&mut self, reg: Reg, ty: Option<ValueType>) -> Option<ValueType> {
        if reg.0 >= Self::LISTED {
            return match ty {
                Some(ty) => self.others.insert(reg, ty),
                None => self.others.remove(&reg),
            };
        }
        let at = reg.0 as usize;
        if at >= self.listed.len() {
            self.listed.resize(at + 1, None);
        }
        std::mem::replace(&mut self.listed[at], ty)
    }
}

/// What a name meant before it was bound.
#[derive(Clone, Debug)]
enum Before {
    Reg(Reg, Option<ValueType>),
    Index(IndexVar, Option<Interval>),
}

/// A point in the course of binding.
#[derive(Clone, Copy)]
pub(crate) struct Mark(usize);

impl Types {
    /// The buffers of a kernel; nothing is bound yet.
    pub fn of_buffers(kernel: &Kernel) -> Self {
        Self {
            params: kernel.params.iter().map(|p| (p.dtype, p.len)).collect(),
            locals: kernel.locals.iter().map(|l| (l.dtype, l.len)).collect(),
            ..Self::default()
        }
    }

    /// Everything a kernel binds anywhere; names are unique, so one table serves the whole kernel.
    ///
    /// # Errors
    /// The first expression that has no type, or index that has no range.
    pub fn of_kernel(kernel: &Kernel) -> Result<Self, TypeError> {
        let mut types = Self::of_buffers(kernel);
        types.bind_all(&kernel.body)?;
        Ok(types)
    }

    /// Binds what the statements define, in order, going into bodies.
    ///
    /// # Errors
    /// As [`Types::of_kernel`].
    pub fn bind_all(&mut self, body: &[Stmt]) -> Result<(), TypeError> {
        for stmt in body {
            match stmt {
                Stmt::For { var, extent, body, .. } => {
                    self.bind_extent(*var, *extent)?;
                    self.bind_all(body)?;
                }
                Stmt::LetIndex { var, value } => {
                    let range = self.index_range(value)?;
                    self.bind_index(*var, range);
                }
                Stmt::Let { reg, value } | Stmt::Decl { reg, init: value } => {
                    let ty = self.type_of(value)?;
                    self.bind_reg(*reg, ty);
                }
                Stmt::If { then, otherwise, .. } => {
                    self.bind_all(then)?;
                    self.bind_all(otherwise)?;
                }
                Stmt::Accumulate { .. } | Stmt::Assign { .. } | Stmt::Store { .. } | Stmt::Micro(_) => {}
            }
        }
        Ok(())
    }

    fn bind_extent(&mut self, var: IndexVar, extent: usize) -> Result<(), TypeError> {
        match Interval::of_extent(extent) {
            Some(range) => self.bind_index(var, range),
            None => return broken(format!("{var} can't have {extent} values: at least 1 is needed")),
        }
        Ok(())
    }

    /// The point to go back to at the end of a scope.
    pub(crate) fn mark(&mut self) -> Mark {
        Mark(self.undo.get_or_insert_default().len())
    }

    /// Forgets what was bound since.
    pub(crate) fn go_back(&mut self, mark: Mark) {
        for before in self.undo.iter_mut().flat_map(|undo| undo.drain(mark.0..).rev()) {
            match before {
                Before::Reg(reg, ty) => drop(self.regs.replace(reg, ty)),
                Before::Index(var, Some(range)) => drop(self.ranges.insert(var, range)),
                Before::Index(var, None) => drop(self.ranges.remove(&var)),
            }
        }
    }

    /// Says what a value's type is.
    pub fn bind_reg(&mut self, reg: Reg, ty: ValueType) {
        let before = self.regs.replace(reg, Some(ty));
        self.undo.iter_mut().for_each(|undo| undo.push(Before::Reg(reg, before)));
    }

    /// Says what an index may be.
    pub fn bind_index(&mut self, var: IndexVar, range: Interval) {
        let before = self.ranges.insert(var, range);
        self.undo.iter_mut().for_each(|undo| undo.push(Before::Index(var, before)));
    }

    /// The type of a bound value.
    pub fn reg(&self, reg: Reg) -> Option<ValueType> {
        self.regs.get(reg)
    }

    /// What a bound index may be.
    pub fn range(&self, var: IndexVar) -> Option<Interval> {
        self.ranges.get(&var).copied()
    }

    /// What all bound indices may be.
    pub fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    fn buffer(&self, buf: BufRef) -> Result<(DType, usize), TypeError> {
        let found = match buf {
            BufRef::Param(i) => self.params.get(i as usize),
            BufRef::Local(i) => self.locals.get(i as usize),
        };
        found.copied().ok_or_else(|| TypeError(format!("there is no {buf}")))
    }

    /// The element type of a parameter or a local buffer.
    ///
    /// # Errors
    /// If the kernel has no such buffer.
    pub fn element(&self, buf: BufRef) -> Result<DType, TypeError> {
        self.buffer(buf).map(|(dtype, _)| dtype)
    }

    /// The number of elements of a parameter or a local buffer.
    ///
    /// # Errors
    /// If the kernel has no such buffer.
    pub fn len(&self, buf: BufRef) -> Result<usize, TypeError> {
        self.buffer(buf).map(|(_, len)| len)
    }

    /// The interval of an index expression.
    ///
    /// # Errors
    /// If a variable is unbound, the value may overflow, or the expression is outside its definition.
    pub fn index_range(&self, value: &IndexExpr) -> Result<Interval, TypeError> {
        value.range(&self.ranges).ok_or_else(|| {
            TypeError(format!(
                "no range for `{value}`: a variable is unbound, the value may overflow, or a dividend may be negative"
            ))
        })
    }

    /// The type of an expression.
    ///
    /// # Errors
    /// The rule it breaks: an unbound value, operands of other types or lanes than the op takes.
    pub fn type_of(&self, expr: &Expr) -> Result<ValueType, TypeError> {
        match expr {
            Expr::Const(value) => Ok(ValueType::scalar(value.dtype())),
            Expr::Reg(reg) => self.reg(*reg).ok_or_else(|| TypeError(format!("{reg} is not bound here"))),
            Expr::Index { dtype, lanes, .. } => match dtype {
                DType::I32 | DType::I64 => checked_lanes(*dtype, *lanes),
                other => broken(format!("an index becomes i32 or i64, not {other}")),
            },
            Expr::Load { buf, lanes, stride, .. } => {
                let ty = checked_lanes(self.element(*buf)?, *lanes)?;
                match (lanes, stride) {
                    (2.., 0) => broken("a vector load with stride 0: use splat".into()),
                    _ => Ok(ty),
                }
            }
            Expr::Apply(op, args) => self.type_of_apply(*op, args),
            Expr::Cast(dtype, value) => Ok(self.type_of(value)?.with_dtype(*dtype)),
            Expr::Bitcast(dtype, value) => {
                let from = self.type_of(value)?;
                let is_bool = from.dtype == DType::Bool || *dtype == DType::Bool;
                if is_bool || from.dtype.size_bytes() != dtype.size_bytes() {
                    return broken(format!(
                        "bitcast from {from} to {dtype}: sizes must be equal, and bool has no bits"
                    ));
                }
                Ok(from.with_dtype(*dtype))
            }
            Expr::Splat(lanes, value) => match self.type_of(value)? {
                ValueType { lanes: 1, dtype } if *lanes > 1 => checked_lanes(dtype, *lanes),
                ty => broken(format!("splat.x{lanes} of {ty}: it takes a scalar to 2 lanes or more")),
            },
            Expr::Fold(op, value) => self.type_of_fold(*op, value),
        }
    }

    fn type_of_apply(&self, op: ScalarOp, args: &[Expr]) -> Result<ValueType, TypeError> {
        if args.len() != op.arity() {
            return broken(format!("`{op}` takes {} operands, not {}", op.arity(), args.len()));
        }
        // Asked for every expression of every kernel, many times: no op has more operands than fit.
        let types = args.iter().map(|a| self.type_of(a)).collect::<Result<SmallVec<[ValueType; 4]>, _>>()?;
        let lanes = types.first().map_or(1, |t| t.lanes);
        if let Some(other) = types.iter().find(|t| t.lanes != lanes) {
            return broken(format!("`{op}` on {} and {other}: lanes must agree", types[0]));
        }
        let dtypes: SmallVec<[DType; 4]> = types.iter().map(|t| t.dtype).collect();
        let dtype = op.def().typing.infer(&dtypes).map_err(|rule| TypeError(format!("`{op}`: {rule}")))?;
        Ok(ValueType { dtype, lanes })
    }

    fn type_of_fold(&self, op: ScalarOp, value: &Expr) -> Result<ValueType, TypeError> {
        let ty = self.type_of(value)?;
        if !ty.is_vector() {
            return broken(format!("fold of {ty}: it takes a vector"));
        }
        check_foldable(op, ty.dtype)?;
        Ok(ValueType::scalar(ty.dtype))
    }
}

fn checked_lanes(dtype: DType, lanes: u16) -> Result<ValueType, TypeError> {
    if lanes == 0 || lanes > MAX_LANES {
        return broken(format!("{lanes} lanes: 1 to {MAX_LANES} are possible"));
    }
    Ok(ValueType { dtype, lanes })
}

/// Checks that values of a type can be folded by an op, in any order.
///
/// # Errors
/// If the op isn't binary, associative and commutative, or its result isn't of the operands' type.
pub fn check_foldable(op: ScalarOp, dtype: DType) -> Result<(), TypeError> {
    let laws = &op.def().laws;
    if op.arity() != 2 || !laws.associative || !laws.commutative {
        return broken(format!("`{op}` can't fold: it must be binary, associative and commutative"));
    }
    match op.def().typing.infer(&[dtype, dtype]) {
        Ok(result) if result == dtype => Ok(()),
        Ok(result) => broken(format!("`{op}` can't fold {dtype}: it gives {result}")),
        Err(rule) => broken(format!("`{op}`: {rule}")),
    }
}
