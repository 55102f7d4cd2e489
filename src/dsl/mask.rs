//! Masks: which steps of a sequence count, and how that is handed on.

use super::Tensor;
use super::builder::Inner;
use ir::{DType, Family, NodeId, Op};

impl Tensor {
    /// Says which steps of this tensor `[batch, time, ...]` count: `mask` is `bool[batch, time]`. What uses masks is listed at [`crate::nn::layer`].
    ///
    /// [`Tensor::mask`] finds it again for this tensor, and for what elementwise ops make of it: of several operands with masks, the first one's. Other ops lose it,
    /// since they may move steps; where they don't, [`Tensor::with_mask_of`] hands it on.
    #[track_caller]
    pub fn with_mask(&self, mask: &Tensor) -> Tensor {
        let (Some(ty), Some(mask_ty)) = (self.ty(), mask.ty()) else { return self.poisoned() };
        let steps = ty.shape.get(..2);
        if mask_ty.dtype != DType::Bool || steps != Some(&mask_ty.shape[..]) {
            let wanted = steps.map_or_else(|| "bool[batch, time]".into(), |steps| format!("bool{steps:?}"));
            let rule = format!("the mask must be {wanted}, it is {mask_ty}");
            return self.builder().fail("with_mask", &[self, mask], rule);
        }
        if let (Some(node), Some(mask)) = (self.node(), self.builder().adopt(mask)) {
            self.builder().inner_mut().scope.masks.insert(node, mask);
        }
        self.clone()
    }

    /// This tensor with the mask of another one, whose steps are the same; unchanged if that has none.
    #[track_caller]
    pub fn with_mask_of(&self, other: &Tensor) -> Tensor {
        match other.mask() {
            Some(mask) => self.with_mask(&mask),
            None => self.clone(),
        }
    }

    /// Which steps of this tensor count, if that has been said.
    pub fn mask(&self) -> Option<Tensor> {
        let mask = self.builder().inner().scope.masks.get(&self.node()?).copied()?;
        Some(Tensor::new(self.builder().clone(), Some(mask)))
    }
}

impl Inner {
    /// Hands on the first mask of the operands to the node that was made of them, if each of its elements comes from the same place.
    pub(super) fn carry_mask(&mut self, operands: &[NodeId], node: NodeId) {
        let op = self.graph.op(node);
        if self.scope.masks.is_empty() || !(op.family() == Family::Elementwise || matches!(op, Op::StopGradient(_))) {
            return;
        }
        let steps = |id: NodeId| self.graph.ty(id).shape.get(..2).map(<[usize]>::to_vec);
        let masks = &self.scope.masks;
        let mask = operands.iter().find_map(|&id| masks.get(&id).filter(|_| steps(id) == steps(node))).copied();
        if let Some(mask) = mask {
            self.scope.masks.insert(node, mask);
        }
    }
}
