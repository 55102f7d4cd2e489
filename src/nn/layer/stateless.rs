//! What layers without states have in common.

/// A layer without states: its type, its name, its kind, and the function of itself and a tensor that it computes.
macro_rules! stateless_layer {
    ($ty:ty, $base:literal, $kind:literal, $function:expr) => {
        impl crate::nn::layer::Layer for $ty {
            fn base(&self) -> &str {
                $base
            }

            fn kind(&self) -> &str {
                $kind
            }

            fn id(&self) -> Option<&crate::nn::layer::LayerId> {
                None
            }

            #[track_caller]
            fn call(&self, x: &crate::dsl::Tensor, _: &str) -> crate::dsl::Tensor {
                $function(self, x)
            }
        }
    };
}
pub(super) use stateless_layer;
