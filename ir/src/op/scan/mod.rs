//! A loop over the leading axis of tensors that carries state from step to step: recurrent layers are made of it.
//!
//! The body is a [`Graph`](crate::Graph), held once however long the loop is; see [`Body`] for what it must look like.
//!
//! # Several results
//!
//! A node has one result, and so has a scan: `select` says which. Nodes that agree in everything but `select` and have the same operands are
//! *one scan*: each of them has a meaning of its own, and a compiler runs them as one loop.

mod body;
mod eval;

pub use body::{Body, BodyError, BodyPort, MAX_NESTING, PortRole};
pub(crate) use eval::results;

use super::attr::{Attr, AttrMap};
use super::batch::Batching;
use super::{Arity, Cotangent, Family, OpDef, OpRecord, OpRules, OperandGradients};
use crate::{BuildError, EvalError, RuleError, TensorType, Value};

/// One result of a loop of `length` steps. Operands: a first value for each of the body's carries, then its sequences `[length, ...]`,
/// then its invariants. Results, by `select`: for each carry its value after the last step, then each step's results, stacked `[length, ...]`.
///
/// Text: `scan %h0, %xs, %w {length=100, reverse=0, recompute=0, select=0, body=graph "cell" { ... }}`; where an earlier line has the same
/// body, its id stands instead: `body=%5`.
#[derive(Clone, PartialEq, Debug)]
pub struct Scan {
    /// How many steps; at least 1.
    pub length: usize,
    /// Whether the steps go from the last element of the sequences to the first. A step's results stand where its inputs stood, so the order of
    /// a stacked result is that of the sequences in either direction.
    pub reverse: bool,
    /// Whether the derivative computes a step again from what it carried, instead of keeping what it computed.
    pub recompute: bool,
    /// Which result this node is: below the number of carries a final carry, else a stacked result.
    pub select: usize,
    /// What one step does.
    pub body: Body,
}

impl Scan {
    /// The same scan, but for another result.
    #[must_use]
    pub fn selecting(&self, select: usize) -> Self {
        Self { select, ..self.clone() }
    }

    /// True if two nodes with the same operands and these ops are one scan.
    pub fn is_same_scan(&self, other: &Self) -> bool {
        (self.length, self.reverse, self.recompute) == (other.length, other.reverse, other.recompute)
            && self.body == other.body
    }

    /// How many results the scan has.
    pub fn result_count(&self) -> usize {
        self.body.carries().len() + self.body.stacked().len()
    }

    /// The types of the operands.
    ///
    /// # Errors
    /// If a sequence would be too large.
    pub fn operand_types(&self) -> Result<Vec<TensorType>, RuleError> {
        let graph = self.body.graph();
        let mut types: Vec<TensorType> = self.body.carries().iter().map(|&id| graph.ty(id).clone()).collect();
        for &id in self.body.sequences() {
            types.push(self.over_time(graph.ty(id))?);
        }
        types.extend(self.body.invariants().iter().map(|&id| graph.ty(id).clone()));
        Ok(types)
    }

    /// The type of a stack of one tensor a step.
    fn over_time(&self, step: &TensorType) -> Result<TensorType, RuleError> {
        Ok(step.with_shape(step.shape.stacked(self.length)?))
    }

    /// The type of result number `select`.
    fn result_type(&self) -> Result<TensorType, RuleError> {
        let (graph, carries) = (self.body.graph(), self.body.carries());
        if let Some(&carry) = carries.get(self.select) {
            return Ok(graph.ty(carry).clone());
        }
        match self.body.stacked().get(self.select - carries.len()) {
            Some(&step) => self.over_time(graph.ty(step)),
            None => Err(format!("there is no result {}, the scan has {}", self.select, self.result_count()).into()),
        }
    }
}

impl OpRecord for Scan {
    const DEFS: &'static [OpDef] = &[OpDef {
        name: "scan",
        doc: "a loop over the leading axis that carries tensors from step to step; one of its results",
        family: Family::Loop,
        arity: Arity::AtLeast(0),
    }];

    fn from_attrs(_: usize, attrs: &mut AttrMap, _: &TensorType) -> Result<Self, RuleError> {
        Ok(Self {
            length: attrs.usize("length")?,
            reverse: attrs.flag("reverse")?,
            recompute: attrs.flag("recompute")?,
            select: attrs.usize("select")?,
            body: attrs.body("body")?,
        })
    }
}

impl OpRules for Scan {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        let flag = |on: bool| Attr::Int(i64::from(on));
        vec![
            ("length", Attr::Int(self.length as i64)),
            ("reverse", flag(self.reverse)),
            ("recompute", flag(self.recompute)),
            ("select", Attr::Int(self.select as i64)),
            ("body", Attr::Body(self.body.clone())),
        ]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Whole
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        if self.length == 0 {
            return Err("a scan has at least one step".into());
        }
        let names = self.body.inputs();
        if operands.len() != names.len() {
            return Err(format!("{} operands given, the body takes {}", operands.len(), names.len()).into());
        }
        for ((want, got), BodyPort { role, number }) in self.operand_types()?.iter().zip(operands).zip(names) {
            if want != *got {
                return Err(format!("{role} {number} must be {want}, it is {got}").into());
            }
        }
        self.result_type()
    }

    fn eval(&self, operands: &[&Value], _: &TensorType) -> Result<Value, EvalError> {
        Ok(results(self, operands, &mut |_, _, _, _| Ok(()))?.swap_remove(self.select))
    }

    fn derivative(&self, cx: &mut Cotangent<'_>) -> OperandGradients {
        let operands = cx.operands.iter().map(|&id| cx.build.ty(id).clone()).collect();
        let rule =
            "a scan has no derivative rule of one result: the pass `autodiff` differentiates all results together";
        let loc = cx.build.graph().loc(cx.result).cloned();
        Err(BuildError { op: self.def().name.into(), operands, rule: rule.into(), loc })
    }
}
