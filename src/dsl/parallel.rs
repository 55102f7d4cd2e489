//! Steps that several processes take together: what of a graph is summed over them.
//!
//! A sum over processes is a pair in the graph: the output [`LOCAL`]`k` is this process's term, the input [`SUM`]`k` is the sum of all. Whoever runs the graph sees to it that the one becomes
//! the other, in programs one after the other ([`crate::compile::stages`]). What is learnt of a loss beyond such a pair is a pair, too: the derivative by the sum, added over processes,
//! is the derivative by each term.

use super::{DType, GraphBuilder, Tensor, TypeSpec};
use crate::dsl::StateRole;
use ir::NodeId;

/// How outputs begin that are a process's terms of sums, before their number.
pub(crate) const LOCAL: &str = "parallel/local/";
/// How inputs begin that are sums over processes.
pub(crate) const SUM: &str = "parallel/sum/";
/// The input that is the number of the process, `i64[]`.
pub(crate) const RANK: &str = "parallel/rank";
/// The input that is the part of the batch's loss that a process has, by what its samples count, `f64[]`; all parts together are 1.
pub(crate) const LOSS_SHARE: &str = "parallel/loss_share";
/// The input that is the part of the batch's samples that a process has, `f64[]`.
pub(crate) const SAMPLE_SHARE: &str = "parallel/sample_share";

/// What is summed in a graph so far.
#[derive(Default)]
pub(super) struct ProcessSums {
    /// The pairs.
    count: usize,
    /// Terms and sums that losses may depend on.
    differentiable: Vec<(NodeId, NodeId)>,
}

impl GraphBuilder {
    /// Says that several processes will take the step, each on a part of the batch. Before anything is declared.
    pub(crate) fn set_parallel(&self) {
        self.root().inner_mut().scope.sums = Some(ProcessSums::default());
    }

    /// Whether several processes will take the step.
    pub(crate) fn is_parallel(&self) -> bool {
        self.root().inner().scope.sums.is_some()
    }

    /// An input for what a process is told, declared at its first use.
    #[track_caller]
    fn told(&self, name: &str, dtype: DType) -> Tensor {
        let root = self.root();
        let known = root.inner().graph.inputs().find(|(_, input)| input.name == name).map(|(id, _)| id);
        match known {
            Some(id) => Tensor::new(root, Some(id)),
            None => root.input(name, TypeSpec::new(dtype, [])),
        }
    }

    /// The part of the batch's samples that this process has.
    #[track_caller]
    fn sample_share(&self) -> Tensor {
        self.told(SAMPLE_SHARE, DType::F64)
    }

    /// The key of this process's random ops: that of the run for rank 0, another one for each other rank.
    #[track_caller]
    pub(super) fn key_of_rank(&self, key: Tensor) -> Tensor {
        // Odd, so that no two ranks have one key, and no multiple by a small number of the step between iterations of a scan.
        const STEP: i64 = 0xBF58_476D_1CE4_E5B9_u64 as i64;
        if self.is_parallel() { key + self.told(RANK, DType::I64) * STEP } else { key }
    }

    /// Declares a pair; its number, and the sum.
    #[track_caller]
    fn new_sum(&self, ty: TypeSpec) -> (usize, Tensor) {
        let number = {
            let mut inner = self.inner_mut();
            let sums = inner.scope.sums.get_or_insert_default();
            sums.count += 1;
            sums.count - 1
        };
        (number, self.input(&format!("{SUM}{number}"), ty))
    }

    /// The sum of a float tensor over the processes, in `f32` at least; gradients go through it. The tensor itself in a step that one process takes.
    #[track_caller]
    pub(crate) fn all_reduce(&self, term: &Tensor) -> Tensor {
        let (true, Some(ty)) = (self.is_parallel(), term.ty()) else { return term.clone() };
        if !self.same(&self.root()) || !self.same(term.builder()) {
            return self.fail("all_reduce", &[term], "processes can't meet within a scan's steps");
        }
        let wide = if ty.dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let term = term.cast(wide);
        let (number, sum) = self.new_sum(TypeSpec { dtype: wide, ..ty.clone().into() });
        self.output(&format!("{LOCAL}{number}"), &term);
        if let (Some(term), Some(sum)) = (term.node(), sum.node())
            && let Some(sums) = &mut self.inner_mut().scope.sums
        {
            sums.differentiable.push((term, sum));
        }
        sum.cast(ty.dtype)
    }

    /// The mean over processes, each of which counts as its samples do.
    #[track_caller]
    pub(crate) fn mean_over_processes(&self, part: &Tensor) -> Tensor {
        match part.dtype() {
            Some(dtype) if self.is_parallel() => self.all_reduce(&(part * self.sample_share().cast(dtype))),
            _ => part.clone(),
        }
    }

    /// The mean over processes, each of which counts as much as `count` says, an `f32` scalar.
    #[track_caller]
    pub(crate) fn weighted_mean_over_processes(&self, part: &Tensor, count: &Tensor) -> Tensor {
        let Some(dtype) = part.dtype() else { return part.clone() };
        // A process without samples of its own computes one that doesn't count.
        let own = count.stop_gradient() * self.sample_share().gt(0.0).cast(DType::F32);
        let share = &own / self.all_reduce(&own).stop_gradient().maximum(1.0);
        self.all_reduce(&(part * share.cast(dtype)))
    }

    /// What this process differentiates, so that the sum of all processes' gradients is that of the whole batch's loss: its part of the loss, and its terms of sums that
    /// the loss of any process depends on, each times the derivative by the sum.
    #[track_caller]
    pub(crate) fn loss_of_process(&self, loss: &Tensor) -> Tensor {
        let (true, Some(dtype)) = (self.is_parallel(), loss.dtype()) else { return loss.clone() };
        let pairs = self.inner().scope.sums.as_ref().map(|sums| sums.differentiable.clone()).unwrap_or_default();
        let mut total = loss * self.told(LOSS_SHARE, DType::F64).cast(dtype);
        let mut derivatives = Vec::with_capacity(pairs.len());
        for (term, sum) in pairs {
            let (term, sum) = (Tensor::new(self.clone(), Some(term)), Tensor::new(self.clone(), Some(sum)));
            let Some(ty) = sum.ty() else { continue };
            let (number, derivative) = self.new_sum(ty.into());
            total = total + (derivative.cast(dtype) * term.cast(dtype)).sum();
            derivatives.push((number, sum));
        }
        for (number, sum) in derivatives {
            let derivative = self.gradients(&total, &[&sum]).remove(0);
            self.output(&format!("{LOCAL}{number}"), &derivative);
        }
        total
    }

    /// Gradients by this process's part, summed over the processes.
    #[track_caller]
    pub(crate) fn gradients_of_processes(&self, gradients: Vec<Tensor>) -> Vec<Tensor> {
        let mut sums = Vec::with_capacity(gradients.len());
        for gradient in &gradients {
            sums.push(self.all_reduce(gradient));
        }
        sums
    }

    /// Running statistics become the means over processes of what each makes of them.
    #[track_caller]
    pub(crate) fn average_statistics(&self) {
        if !self.is_parallel() {
            return;
        }
        let buffers: Vec<String> = {
            let inner = self.inner();
            let of_model = inner.states.iter().filter(|state| state.role == StateRole::Buffer);
            of_model.map(|state| state.name.clone()).collect()
        };
        for name in buffers.iter().filter(|name| self.is_updated(name)) {
            let Some(new) = self.updated_state(name) else { continue };
            match new.dtype() {
                Some(dtype) if !dtype.is_float() => {
                    let rule = format!("processes take the mean of what each makes of it, and {dtype} has none");
                    self.fail(&format!("update of state {name:?}"), &[&new], rule);
                }
                _ => self.set_update(name, &self.mean_over_processes(&new)),
            }
        }
    }
}
