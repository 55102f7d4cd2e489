//! Losses of classes, and dropout.

use crate::call::{Call, Results, one};
use crate::error::Refusal;
use crate::item::ImportItem;
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Tensor};

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("Dropout", &[1, 6, 7, 10, 12, 13, 22], dropout),
    op("NegativeLogLikelihoodLoss", &[12, 13, 22], |c| {
        let x = c.tensor(0)?;
        Ok(vec![likelihood(c, &x)?.into()])
    }),
    op("SoftmaxCrossEntropyLoss", &[12, 13], |c| {
        let logits = c.tensor(0)?.log_softmax(1);
        let loss = likelihood(c, &logits)?;
        Ok(vec![ImportItem::from(loss), logits.into()])
    }),
];

/// The negative logarithms at the targets, weighed by class, reduced as the node says.
fn likelihood(c: &Call<'_, '_>, logs: &Tensor) -> Result<Tensor, Refusal> {
    let dims = c.dims(0)?;
    let Some(&classes) = dims.get(1) else { return Err(Refusal::broken("it is of [n, classes, ...]")) };
    let targets = c.tensor(1)?;
    let Some(dtype) = logs.dtype() else { return Ok(logs.clone()) };
    // Classes last, so that the targets' places are those of the rows.
    let mut order: Vec<isize> = (0..dims.len() as isize).filter(|&axis| axis != 1).collect();
    order.push(1);
    let rows = logs.permute(order);
    let ignored =
        c.attribute("ignore_index").map(|a| targets.eq(c.g.scalar(a.i as f64, targets.dtype().unwrap_or(DType::I64))));
    let safe = targets.maximum(0).minimum((classes - 1) as i32);
    let mut weights = match c.optional(2)? {
        Some(weights) => weights.gather(&safe),
        None => super::full_like(&safe, 1.0).cast(dtype),
    };
    if let Some(ignored) = ignored {
        weights = ignored.select(&super::full_like(&weights, 0.0), &weights);
    }
    let losses = -rows.pick(&safe) * &weights;
    Ok(match c.text("reduction", "mean").as_str() {
        "none" => losses,
        "sum" => losses.sum(),
        _ => losses.sum() / weights.sum(),
    })
}

/// The first operand as it is, with a mask of what was kept: nothing is dropped where nothing is trained.
fn dropout(c: &mut Call<'_, '_>) -> Results {
    let training = c.version >= 12 && c.has(2) && c.ints(2)?.first().is_some_and(|&v| v != 0);
    let ratio = match c.version {
        ..12 => 0.0,
        _ => c.optional_floats(1)?.and_then(|list| list.first().copied()).unwrap_or(c.float("ratio", 0.5)),
    };
    if training && ratio != 0.0 {
        let x = c.tensor(0)?;
        let Some(ty) = x.ty() else { return one(x) };
        let kept = c.g.random_uniform(gradc::dsl::TypeSpec::new(DType::F32, ty.shape.dims())).ge(ratio);
        let y = kept.select(&(&x / (1.0 - ratio)), 0.0);
        return Ok(vec![y.into(), kept.into()]);
    }
    let dims = c.dims(0)?;
    let mask = c.g.full(1.0, gradc::dsl::TypeSpec::new(DType::I32, dims)).ne(0);
    Ok(vec![c.item(0)?.clone(), mask.into()])
}
