//! Group normalization.

use super::{center_option, features, norm_options, scale_and_center, standardize};
use crate::dsl::Tensor;
use crate::nn::{Layer, LayerId};

/// `gamma (x - mean) / sqrt(variance + epsilon) + beta`, mean and (biased) variance over each sample's positions and a group of its channels
/// (Wu and He, arXiv 1803.08494): `[batch, ..., channels]` to the same. Channels that follow each other make a group. Parameters
/// `gamma [channels]` and `beta [channels]`. One group normalizes a whole sample; as many groups as channels is instance normalization.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    groups: usize,
    name: String,
    id: LayerId,
    epsilon: f64,
    scale: bool,
    center: bool,
}

impl GroupNorm {
    /// Of that many groups, which must divide the channels; epsilon 1e-3 (Keras's; PyTorch has 1e-5), gamma and beta.
    pub fn new(groups: usize) -> Self {
        Self {
            groups,
            name: "group_normalization".into(),
            id: LayerId::new(),
            epsilon: 1e-3,
            scale: true,
            center: true,
        }
    }
}

norm_options!(GroupNorm);
center_option!(GroupNorm);

impl Layer for GroupNorm {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "GroupNormalization"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let ty = match features("group_normalization", x, self.epsilon) {
            Ok(ty) => ty,
            Err(poisoned) => return poisoned,
        };
        let dims: Vec<isize> = ty.shape.iter().map(|&d| d as isize).collect();
        let channels = ty.shape[dims.len() - 1];
        if self.groups == 0 || !channels.is_multiple_of(self.groups) {
            let rule = format!("{} groups must divide {channels} channels", self.groups);
            return x.fail("group_normalization", rule);
        }
        let mut split = dims[..dims.len() - 1].to_vec();
        split.extend([self.groups as isize, (channels / self.groups) as isize]);
        // All axes but the batch and the groups.
        let groups_at = split.len() as isize - 2;
        let axes: Vec<isize> = (1..split.len() as isize).filter(|&axis| axis != groups_at).collect();
        let y = standardize(&x.reshape(split), &axes, self.epsilon).reshape(dims).with_mask_of(x);
        scale_and_center(y, x, name, channels, self.scale, self.center)
    }
}
