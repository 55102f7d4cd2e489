//! Sources: inputs, state, constants, iota.

use super::attr::{Attr, AttrMap};
use super::axes::check_axis;
use super::batch::{Along, AxisRule, Batching};
use super::{Arity, Cotangent, Family, OpDef, OpRecord, OpRules, OperandGradients};
use crate::{EvalError, Op, RuleError, Scalar, Shape, ShapeError, TensorType, Value};

/// A tensor that each run brings. Text: `input {name="x"} : f32[32,784]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Input {
    /// The port's name, unique among the graph's inputs.
    pub name: String,
    /// The type.
    pub ty: TensorType,
}

/// A tensor that outlives a run: a parameter, an optimizer's moment, a running mean. A graph says what it is after the run by an
/// update (see [`crate::Graph::set_update`]); without one it stays as it is. Text: `state {name="w"} : f32[784,10]`.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    /// The port's name, unique among the graph's states.
    pub name: String,
    /// The type.
    pub ty: TensorType,
}

/// One element everywhere. Text: `full {value=(0.5)} : f32[2,3]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Full {
    /// The element; its type is the result's.
    pub value: Scalar,
    /// The shape.
    pub shape: Shape,
}

/// Given elements, row-major. Text: `constant {values=(1.0, 2.0)} : f32[2]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Constant {
    /// The elements.
    pub value: Value,
}

/// The coordinate along an axis. Text: `iota {axis=1} : i32[4,10]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Iota {
    /// The result's type.
    pub ty: TensorType,
    /// The axis.
    pub axis: usize,
}

impl OpRecord for Input {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "input",
        doc: "a tensor that each run brings",
        family: Family::Source,
        arity: Arity::Exactly(0),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { name: attrs.string("name")?, ty: ty.clone() })
    }
}

impl OpRules for Input {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("name", Attr::Str(self.name.clone()))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Whole
    }

    fn infer(&self, _: &[&TensorType]) -> Result<TensorType, RuleError> {
        Ok(self.ty.clone())
    }

    fn eval(&self, _: &[&Value], _: &TensorType) -> Result<Value, EvalError> {
        Err(EvalError::NotEvaluable { op: "input", why: "its value comes with the run" })
    }

    fn derivative(&self, _: &mut Cotangent<'_>) -> OperandGradients {
        Ok(vec![])
    }
}

impl OpRecord for State {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "state",
        doc: "a tensor that outlives a run",
        family: Family::Source,
        arity: Arity::Exactly(0),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { name: attrs.string("name")?, ty: ty.clone() })
    }
}

impl OpRules for State {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("name", Attr::Str(self.name.clone()))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Whole
    }

    fn infer(&self, _: &[&TensorType]) -> Result<TensorType, RuleError> {
        Ok(self.ty.clone())
    }

    fn eval(&self, _: &[&Value], _: &TensorType) -> Result<Value, EvalError> {
        Err(EvalError::NotEvaluable { op: "state", why: "its value comes with the run" })
    }

    fn derivative(&self, _: &mut Cotangent<'_>) -> OperandGradients {
        Ok(vec![])
    }
}

impl OpRecord for Full {
    const DEFS: &'static [OpDef] =
        &[OpDef { name: "full", doc: "one element everywhere", family: Family::Source, arity: Arity::Exactly(0) }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { value: attrs.scalar("value", ty.dtype)?, shape: ty.shape.clone() })
    }
}

impl OpRules for Full {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("value", Attr::Literals(vec![self.value.to_string()]))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, _: &[&TensorType]) -> Result<TensorType, RuleError> {
        Ok(TensorType::new(self.value.dtype(), self.shape.clone()))
    }

    fn eval(&self, _: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        Ok(Value::splat(self.value, ty.shape.clone()))
    }

    fn derivative(&self, _: &mut Cotangent<'_>) -> OperandGradients {
        Ok(vec![])
    }
}

impl AxisRule for Full {
    fn along(&self, _: usize, _: &[&TensorType]) -> Option<Along> {
        Some(Along::new())
    }

    fn resized(&self, axis: usize, extent: usize) -> Result<Option<Op>, ShapeError> {
        Ok(Some(Op::Full(Self { shape: self.shape.with_extent(axis, extent)?, ..self.clone() })))
    }
}

impl OpRecord for Constant {
    const DEFS: &'static [OpDef] =
        &[OpDef { name: "constant", doc: "given elements", family: Family::Source, arity: Arity::Exactly(0) }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        let values = attrs.scalars("values", ty.dtype)?;
        let (given, numel) = (values.len(), ty.shape.numel());
        if given != numel {
            return Err(format!("attribute `values` has {given} elements, {ty} has {numel}").into());
        }
        Ok(Self { value: Value::from_fn(ty.clone(), |i| values[i]) })
    }
}

impl OpRules for Constant {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        let numel = self.value.data().len();
        vec![("values", Attr::Literals((0..numel).map(|i| self.value.get(i).to_string()).collect()))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Whole
    }

    fn infer(&self, _: &[&TensorType]) -> Result<TensorType, RuleError> {
        Ok(self.value.ty().clone())
    }

    fn eval(&self, _: &[&Value], _: &TensorType) -> Result<Value, EvalError> {
        Ok(self.value.clone())
    }

    fn derivative(&self, _: &mut Cotangent<'_>) -> OperandGradients {
        Ok(vec![])
    }
}

impl OpRecord for Iota {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "iota",
        doc: "the coordinate along an axis",
        family: Family::Source,
        arity: Arity::Exactly(0),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        Ok(Self { axis: attrs.usize("axis")?, ty: ty.clone() })
    }
}

impl OpRules for Iota {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("axis", Attr::Int(self.axis as i64))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Axes(self)
    }

    fn infer(&self, _: &[&TensorType]) -> Result<TensorType, RuleError> {
        let TensorType { dtype, shape } = &self.ty;
        check_axis("axis", self.axis, shape.rank())?;
        if !dtype.is_number() {
            return Err(format!("coordinates need a float or integer type, not {dtype}").into());
        }
        let last = shape[self.axis] - 1;
        if dtype.is_int() && Scalar::from_i64(last as i64, *dtype).as_i64() != last as i64 {
            return Err(format!("{dtype} does not hold the coordinate {last} of axis {}", self.axis).into());
        }
        Ok(self.ty.clone())
    }

    fn eval(&self, _: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let (stride, extent) = (ty.shape.strides()[self.axis], ty.shape[self.axis]);
        Ok(Value::from_fn(ty.clone(), |i| Scalar::from_i64((i / stride % extent) as i64, ty.dtype)))
    }

    fn derivative(&self, _: &mut Cotangent<'_>) -> OperandGradients {
        Ok(vec![])
    }
}

impl AxisRule for Iota {
    fn along(&self, axis: usize, _: &[&TensorType]) -> Option<Along> {
        (axis != self.axis).then(Along::new)
    }

    fn resized(&self, axis: usize, extent: usize) -> Result<Option<Op>, ShapeError> {
        let shape = self.ty.shape.with_extent(axis, extent)?;
        Ok(Some(Op::Iota(Self { ty: self.ty.with_shape(shape), axis: self.axis })))
    }
}
