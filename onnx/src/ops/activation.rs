//! Activations.

use crate::call::{Call, Results, one};
use crate::error::Refusal;
use crate::table::{OpEntry, op};
use gradc::dsl::{Tensor, TypeSpec};

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("Celu", &[12], |c| {
        let alpha = c.float("alpha", 1.0);
        c.map(|x| x.maximum(0.0) + ((x / alpha).expm1() * alpha).minimum(0.0))
    }),
    op("Elu", &[1, 6, 22], |c| {
        let alpha = c.float("alpha", 1.0);
        c.map(|x| x.gt(0.0).select(x, &(x.minimum(0.0).expm1() * alpha)))
    }),
    op("Gelu", &[20], |c| match c.text("approximate", "none").as_str() {
        "none" => c.map(|x| x * x.normal_cdf()),
        "tanh" => c.map(|x| {
            let inner = (x + x.square() * x * 0.044715) * (2.0 / std::f64::consts::PI).sqrt();
            x * 0.5 * (inner.tanh() + 1.0)
        }),
        other => Err(Refusal::broken(format!("`approximate` is {other:?}"))),
    }),
    op("HardSigmoid", &[1, 6, 22], |c| {
        let (alpha, beta) = (c.float("alpha", 0.2), c.float("beta", 0.5));
        c.map(|x| (x * alpha + beta).clamp(0.0, 1.0))
    }),
    op("HardSwish", &[14, 22], |c| c.map(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0))),
    op("Hardmax", &[1, 11, 13], hardmax),
    op("LeakyRelu", &[1, 6, 16], |c| {
        let alpha = c.float("alpha", 0.01);
        c.map(|x| x.ge(0.0).select(x, &(x * alpha)))
    }),
    op("LogSoftmax", &[1, 11, 13], |c| by_rows(c, Tensor::log_softmax)),
    op("Mish", &[18, 22], |c| c.map(|x| x * x.softplus().tanh())),
    op("PRelu", &[1, 6, 7, 9, 16], prelu),
    op("Relu", &[1, 6, 13, 14], |c| c.map(Tensor::relu)),
    op("Selu", &[1, 6, 22], |c| {
        let (alpha, gamma) = (c.float("alpha", 1.6732632423543772), c.float("gamma", 1.0507009873554805));
        c.map(|x| x.gt(0.0).select(x, &(x.minimum(0.0).expm1() * alpha)) * gamma)
    }),
    op("Shrink", &[9], |c| {
        let (limit, bias) = (c.float("lambd", 0.5), c.float("bias", 0.0));
        c.map(|x| {
            let dtype = x.dtype().unwrap_or(gradc::dsl::DType::F32);
            let wide = if dtype.is_float() { x.clone() } else { x.cast(gradc::dsl::DType::F32) };
            let inside = wide.gt(limit).select(&(&wide - bias), 0.0);
            wide.lt(-limit).select(&(&wide + bias), &inside).cast(dtype)
        })
    }),
    op("Sigmoid", &[1, 6, 13], |c| c.map(Tensor::sigmoid)),
    op("Softmax", &[1, 11, 13], |c| by_rows(c, Tensor::softmax)),
    op("Softplus", &[1, 22], |c| c.map(Tensor::softplus)),
    op("Softsign", &[1, 22], |c| c.map(|x| x / (x.abs() + 1.0))),
    op("Swish", &[24], |c| {
        let alpha = c.float("alpha", 1.0);
        c.map(|x| x * (x * alpha).sigmoid())
    }),
    op("ThresholdedRelu", &[10, 22], |c| {
        let alpha = c.float("alpha", 1.0);
        c.map(|x| x.gt(alpha).select(x, 0.0))
    }),
];

/// A function along an axis. Before version 13 it was one of rows: of all axes from that one on as one.
fn by_rows(c: &Call<'_, '_>, f: fn(&Tensor, isize) -> Tensor) -> Results {
    let dims = c.dims(0)?;
    if c.version >= 13 {
        let axis = c.axis_attribute(-1, dims.len())?;
        return one(f(&c.tensor(0)?, axis as isize));
    }
    let axis = c.split_attribute(1, dims.len())?;
    let before: usize = dims[..axis].iter().product();
    let back: Vec<isize> = dims.iter().map(|&d| d as isize).collect();
    one(f(&c.tensor(0)?.reshape([before as isize, -1]), 1).reshape(back))
}

fn hardmax(c: &mut Call<'_, '_>) -> Results {
    by_rows(c, |x, axis| {
        let Some(ty) = x.ty() else { return x.clone() };
        let places = x.builder().iota(TypeSpec::new(gradc::dsl::DType::I32, ty.shape.dims()), axis as usize);
        x.argmax(axis).unsqueeze(axis).eq(places).cast(ty.dtype)
    })
}

/// Slopes that broadcast, before version 7 one for each channel.
fn prelu(c: &mut Call<'_, '_>) -> Results {
    let (dims, slopes) = (c.dims(0)?, c.dims(1)?);
    if c.version < 7 && slopes.len() == 1 && slopes[0] > 1 && dims.len() > 2 {
        let along = [&slopes[..], &vec![1; dims.len() - 2]].concat();
        let slope = c.tensor(1)?.reshape(super::shape::signed(&along));
        return Ok(vec![c.zip(c.item(0)?, &slope.into(), sloped)?]);
    }
    super::elementwise::binary(c, sloped)
}

fn sloped(x: &Tensor, slope: &Tensor) -> Tensor {
    x.ge(0.0).select(x, &(x * slope))
}
