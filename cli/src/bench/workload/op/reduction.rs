//! Reductions over axes, and functions of the elements along one.

use super::{BuiltOp, RowFields};
use gradc::dsl::{GraphBuilder, Tensor};
use gradc::nn::{BatchNorm, Dropout, GroupNorm, Layer, LayerNorm, RmsNorm};

pub(super) fn build(parts: &RowFields, g: &GraphBuilder) -> Option<BuiltOp> {
    // Axes as `0x1`; none for all.
    let all = || (0..parts.dims.len()).collect();
    let axes: Vec<isize> = parts.list(0).unwrap_or_else(all).into_iter().map(|axis| axis as isize).collect();
    let first = *axes.first()?;
    let apply = |f: &dyn Fn(&Tensor) -> Tensor| {
        let x = parts.x(g);
        Some(BuiltOp { result: f(&x), by: vec![x] })
    };
    match parts.op {
        "sum" => apply(&|x| x.sum_axes(&axes)),
        "mean" => apply(&|x| x.mean_axes(&axes)),
        "max" => apply(&|x| x.max_axes(&axes)),
        "prod" => apply(&|x| x.prod_axes(&axes)),
        "var" => apply(&|x| x.var_axes(&axes)),
        "norm" => apply(&|x| x.square().sum_axes(&axes).sqrt()),
        "argmax" => apply(&|x| x.argmax(first)),
        "cumsum" => apply(&|x| x.cumsum(first)),
        "logsumexp" => apply(&|x| x.logsumexp(first)),
        "softmax" => apply(&|x| x.softmax(first)),
        "log_softmax" => apply(&|x| x.log_softmax(first)),
        "layer_norm" => apply(&|x| LayerNorm::new().epsilon(1e-5).apply(x)),
        "rms_norm" => apply(&|x| RmsNorm::new().epsilon(1e-5).apply(x)),
        "group_norm" => apply(&|x| GroupNorm::new(8).epsilon(1e-5).apply(x)),
        "batch_norm" => apply(&|x| BatchNorm::new().epsilon(1e-5).apply(x)),
        "softmax_dropout" => apply(&|x| Dropout::new(0.1).apply(&x.softmax(-1))),
        "layer_norm_dropout" => apply(&|x| Dropout::new(0.1).apply(&LayerNorm::new().epsilon(1e-5).apply(x))),
        _ => None,
    }
}
