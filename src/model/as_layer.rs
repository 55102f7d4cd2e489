//! Models as layers of other models.

use super::{FeatureExtractor, Functional, LanguageModel, Model, Sequential};
use crate::dsl::{Tensor, TypeSpec};
use crate::nn::{Layer, LayerId};

/// Applies a model inside another one, to inputs whose samples must be of its inputs' types.
#[track_caller]
fn call(model: &dyn Model, inputs: &[Tensor]) -> Vec<Tensor> {
    let (wanted, g) = (model.inputs(), inputs[0].builder());
    let operands: Vec<&Tensor> = inputs.iter().collect();
    if wanted.len() != inputs.len() {
        let rule = format!("the model takes {} inputs, not {}", wanted.len(), inputs.len());
        return vec![g.fail(model.name(), &operands, rule)];
    }
    for ((name, wanted), input) in wanted.iter().zip(inputs) {
        let Some(ty) = input.ty() else { return vec![input.clone()] };
        // A policy that holds has cast floats: they have what extents they had.
        let dtype = if g.policy().is_some() && ty.dtype.is_float() { wanted.dtype } else { ty.dtype };
        let sample = TypeSpec::new(dtype, ty.shape.get(1..).unwrap_or_default());
        if ty.shape.rank() == 0 || sample != *wanted {
            let rule = format!("samples of the model's input {name:?} are {}{:?}", wanted.dtype, wanted.dims);
            return vec![g.fail(model.name(), &operands, rule)];
        }
    }
    g.open_model();
    model.forward(inputs)
}

macro_rules! layers {
    ($($model:ty, $kind:literal;)*) => { $(
        impl Layer for $model {
            fn base(&self) -> &str {
                self.name()
            }

            fn kind(&self) -> &str {
                $kind
            }

            fn id(&self) -> Option<&LayerId> {
                Some(&self.id)
            }

            #[track_caller]
            fn call(&self, x: &Tensor, name: &str) -> Tensor {
                self.call_many(std::slice::from_ref(x), name).swap_remove(0)
            }

            #[track_caller]
            fn call_many(&self, inputs: &[Tensor], _: &str) -> Vec<Tensor> {
                call(self, inputs)
            }
        }
    )* };
}

layers! {
    Sequential, "Sequential";
    Functional, "Functional";
    LanguageModel, "LanguageModel";
    FeatureExtractor, "FeatureExtractor";
}
