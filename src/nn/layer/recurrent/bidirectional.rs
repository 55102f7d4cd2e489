//! A recurrent layer in both directions (Schuster and Paliwal, IEEE Transactions on Signal Processing 45, 1997).

use super::cell::{Recurrent, zero_where_masked};
use crate::dsl::Tensor;
use crate::nn::layer::{Layer, LayerId, Merge};

/// Two layers alike, one from the first step to the last and one the other way, with weights of their own: `forward_..` and `backward_..` under the layer's name.
/// With `return_sequences` the results at steps that don't count are 0, as in Keras: the two directions would carry different ones there.
/// Without it the result is that of each one's last step: for the second that is the first of the sequence.
#[derive(Clone, Debug)]
pub struct Bidirectional<R> {
    layer: R,
    name: String,
    id: LayerId,
    merge: Merge,
}

impl<R: Recurrent> Bidirectional<R> {
    /// Two of these, side by side.
    pub fn new(layer: R) -> Self {
        Self { layer, name: "bidirectional".into(), id: LayerId::new(), merge: Merge::Concat }
    }

    /// With another name than the kind's.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// With another way to put the results together.
    pub fn merge(mut self, merge: Merge) -> Self {
        self.merge = merge;
        self
    }
}

impl<R: Recurrent> Layer for Bidirectional<R> {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "Bidirectional"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let direction = |backward: bool| {
            let which = if backward { "backward" } else { "forward" };
            let name = format!("{name}/{which}_{}", self.layer.base());
            let returned = self.layer.run(x, &name, &[], backward);
            match x.mask() {
                _ if !self.layer.returns_sequences() => returned.last(),
                Some(mask) if !x.is_poisoned() => zero_where_masked(&returned.sequence, &mask),
                _ => returned.sequence,
            }
        };
        let (a, b) = (direction(false), direction(true));
        let merged = self.merge.join(&a, &[b]);
        if self.layer.returns_sequences() { merged.with_mask_of(x) } else { merged }
    }
}
