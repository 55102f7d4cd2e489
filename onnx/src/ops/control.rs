//! Nodes with graphs of their own: branches whose condition is known, and loops of a known number of steps, which become the graph's own loops, or their steps one after the other.

use crate::call::{Call, Results};
use crate::error::Refusal;
use crate::item::{ImportItem, KnownTensor};
use crate::proto::GraphProto;
use crate::table::{OpEntry, control};
use gradc::dsl::{DType, Tensor, TypeSpec};
use ir::Value;

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    control("If", &[1, 11, 13, 16, 19, 21, 23, 24, 25], |c| {
        let holds = c.ints(0)?.first().is_some_and(|&v| v != 0);
        let branch = c.graph(if holds { "then_branch" } else { "else_branch" })?;
        c.importer.inner(&branch, vec![])
    }),
    control("Loop", &[1, 11, 13, 16, 19, 21, 23, 24, 25], repeat),
    control("Scan", &[8, 9, 11, 16, 19, 21, 23, 24, 25], scan),
];

/// Loops of at most so many steps are written out, so that what is known in a step is computed at import.
const UNROLLED: i64 = 32;
/// The most steps of a loop whose number nothing but its condition gives.
const MOST_STEPS: i64 = 1 << 14;

/// Parts of one type, one after the other along a new leading axis.
fn stacked(c: &Call<'_, '_>, parts: &[ImportItem]) -> Result<ImportItem, Refusal> {
    let known: Option<Vec<Value>> = parts
        .iter()
        .map(|item| match item {
            ImportItem::Known(KnownTensor::Value(value)) => Some(value.clone()),
            _ => None,
        })
        .collect();
    if let Some(value) = known.as_deref().and_then(Value::stack) {
        return Ok(KnownTensor::Value(value).into());
    }
    let tensors = parts.iter().map(|item| c.tensor_of(item, "a step's result")).collect::<Result<Vec<_>, _>>()?;
    match tensors.split_first() {
        Some((first, others)) => Ok(first.stack(&others.iter().collect::<Vec<_>>(), 0).into()),
        None => Err(Refusal::Empty("what a loop without steps gathers".into())),
    }
}

/// A loop of a number of steps, or until its condition fails.
fn repeat(c: &mut Call<'_, '_>) -> Results {
    let body = c.graph("body")?;
    let most = if c.has(0) { Some(c.single_int(0)?.max(0)) } else { None };
    let goes_on = !c.has(1) || c.ints(1)?.first().is_some_and(|&v| v != 0);
    let carried: Vec<ImportItem> =
        c.operands.iter().skip(2).map(|item| item.clone().unwrap_or(ImportItem::Nothing)).collect();
    let is_sequence = carried.iter().any(|item| matches!(item, ImportItem::Sequence(_) | ImportItem::Nothing));
    match most {
        Some(count) if count > UNROLLED && goes_on && !is_sequence => {
            // A body whose condition isn't always true, or whose carries change their shapes, is written out after all.
            looped(c, &body, count, &carried).or_else(|refusal| match count <= MOST_STEPS {
                true => unrolled(c, &body, most, goes_on, carried),
                false => Err(refusal),
            })
        }
        _ => unrolled(c, &body, most, goes_on, carried),
    }
}

/// The steps one after the other.
fn unrolled(
    c: &mut Call<'_, '_>,
    body: &GraphProto,
    most: Option<i64>,
    goes_on: bool,
    carried: Vec<ImportItem>,
) -> Results {
    c.importer.open(body)?;
    let steps = each_step(c, body, most, goes_on, carried);
    c.importer.close();
    let (carried, gathered) = steps?;
    let gathered = gathered.iter().map(|parts| stacked(c, parts)).collect::<Result<Vec<_>, _>>()?;
    Ok(carried.into_iter().chain(gathered).collect())
}

/// What the steps of an open body carry on in the end, and what all of them gave for each further result.
fn each_step(
    c: &mut Call<'_, '_>,
    body: &GraphProto,
    most: Option<i64>,
    mut goes_on: bool,
    mut carried: Vec<ImportItem>,
) -> Result<(Vec<ImportItem>, Vec<Vec<ImportItem>>), Refusal> {
    let mut gathered: Vec<Vec<ImportItem>> = vec![vec![]; body.output.len().saturating_sub(1 + carried.len())];
    let mut step = 0;
    while goes_on && most.is_none_or(|most| step < most) {
        if step == MOST_STEPS {
            return Err(Refusal::Limit(format!("a loop has more than {MOST_STEPS} steps")));
        }
        let mut inputs: Vec<ImportItem> =
            vec![KnownTensor::scalar(ir::Scalar::I64(step)).into(), KnownTensor::scalar(ir::Scalar::Bool(true)).into()];
        inputs.extend(carried.iter().cloned());
        let mut results = c.importer.step(body, inputs)?.into_iter();
        goes_on = match results.next() {
            Some(ImportItem::Known(known)) => known.to_ints().first().is_some_and(|&v| v != 0),
            Some(_) => return Err(Refusal::case("a loop whose end depends on values that are computed")),
            None => return Err(Refusal::broken("a loop's graph gives no condition")),
        };
        carried = results.by_ref().take(carried.len()).collect();
        for (all, part) in gathered.iter_mut().zip(results) {
            all.push(part);
        }
        step += 1;
    }
    Ok((carried, gathered))
}

/// The steps as the graph's own loop.
fn looped(c: &mut Call<'_, '_>, body: &GraphProto, count: i64, carried: &[ImportItem]) -> Results {
    let count = usize::try_from(count).map_err(|_| Refusal::broken("a negative number of steps"))?;
    let first = carried.iter().map(|item| c.tensor_of(item, "a carry")).collect::<Result<Vec<_>, _>>()?;
    let numbers = c.g.iota(TypeSpec::new(DType::I64, [count]), 0);
    let mut refused = None;
    let operands: Vec<&Tensor> = first.iter().collect();
    let (carries, results) = gradc::dsl::scan(&operands, &[&numbers], |carries, parts| {
        let mut inputs: Vec<ImportItem> =
            vec![parts[0].clone().into(), KnownTensor::scalar(ir::Scalar::Bool(true)).into()];
        inputs.extend(carries.iter().map(|x| x.clone().into()));
        let step = c.importer.inner(body, inputs).and_then(|mut items| {
            let condition = if items.is_empty() { None } else { Some(items.remove(0)) };
            match condition {
                Some(ImportItem::Known(known)) if known.to_ints() == [1] => tensors(c, &items),
                _ => Err(Refusal::case("a loop whose end depends on values that are computed")),
            }
        });
        split(step, carries, parts, &mut refused)
    });
    finish(carries, results, refused)
}

/// Items as tensors.
fn tensors(c: &Call<'_, '_>, items: &[ImportItem]) -> Result<Vec<Tensor>, Refusal> {
    items.iter().map(|item| c.tensor_of(item, "a step's result")).collect()
}

/// What a step carries on, and what it gives. If it is refused, what it was given: a loop that breaks no rule, since the steps may be written out instead.
fn split(
    step: Result<Vec<Tensor>, Refusal>,
    carries: &[Tensor],
    parts: &[Tensor],
    refused: &mut Option<Refusal>,
) -> (Vec<Tensor>, Vec<Tensor>) {
    let checked = step.and_then(|all| match carries.iter().zip(&all).find(|(old, new)| old.ty() != new.ty()) {
        _ if all.len() < carries.len() => Err(Refusal::broken("a loop's graph gives too few results")),
        Some((_, new)) if new.is_poisoned() => Ok(all),
        Some((old, new)) => {
            let text = |x: &Tensor| x.ty().map_or_else(String::new, |ty| ty.to_string());
            Err(Refusal::case(format!("a loop that makes {} of a carry {}", text(new), text(old))))
        }
        None => Ok(all),
    });
    match checked {
        Ok(mut all) => {
            let results = all.split_off(carries.len());
            (all, results)
        }
        Err(refusal) => {
            *refused = Some(refusal);
            (carries.to_vec(), parts.to_vec())
        }
    }
}

fn finish(carries: Vec<Tensor>, results: Vec<Tensor>, refused: Option<Refusal>) -> Results {
    match refused {
        Some(refusal) => Err(refusal),
        None => Ok(carries.into_iter().chain(results).map(ImportItem::from).collect()),
    }
}

/// A loop over axes of tensors.
fn scan(c: &mut Call<'_, '_>) -> Results {
    if c.version < 9 {
        return batched_scan(c);
    }
    let body = c.graph("body")?;
    let inputs = usize::try_from(c.int("num_scan_inputs", 0)).ok().filter(|&n| n > 0 && n <= c.count());
    let inputs = inputs.ok_or_else(|| Refusal::broken("a scan over nothing"))?;
    let carried = c.count() - inputs;
    let first = (0..carried).map(|i| c.tensor(i)).collect::<Result<Vec<_>, _>>()?;
    let list = |name: &str| c.int_list(name).unwrap_or_default();
    let at = |list: &[i64], i: usize| list.get(i).copied().unwrap_or(0);
    let (axes, back) = (list("scan_input_axes"), list("scan_input_directions"));
    let mut sequences = vec![];
    for i in 0..inputs {
        let rank = c.dims(carried + i)?.len();
        let x = to_front(&c.tensor(carried + i)?, Call::axis(at(&axes, i), rank)?);
        sequences.push(if at(&back, i) == 1 { x.reverse([0]) } else { x });
    }
    let (out_axes, out_back) = (list("scan_output_axes"), list("scan_output_directions"));
    let (carries, results) = over(c, &body, &first, &sequences)?;
    let mut items: Vec<ImportItem> = carries.into_iter().map(ImportItem::from).collect();
    for (i, x) in results.into_iter().enumerate() {
        let x = if at(&out_back, i) == 1 { x.reverse([0]) } else { x };
        let rank = x.shape().map_or(0, |shape| shape.rank());
        let axis = Call::axis(at(&out_axes, i), rank)? as isize;
        let order: Vec<isize> = (1..=axis).chain([0]).chain(axis + 1..rank as isize).collect();
        items.push(if axis == 0 { x.into() } else { x.permute(order).into() });
    }
    Ok(items)
}

/// An axis as the first one.
fn to_front(x: &Tensor, axis: usize) -> Tensor {
    let rank = x.shape().map_or(0, |shape| shape.rank());
    match axis {
        0 => x.clone(),
        _ => x.permute(
            [axis].into_iter().chain((0..rank).filter(|&i| i != axis)).map(|i| i as isize).collect::<Vec<_>>(),
        ),
    }
}

/// The graph's own loop over leading axes, with a body of the model.
fn over(
    c: &mut Call<'_, '_>,
    body: &GraphProto,
    first: &[Tensor],
    sequences: &[Tensor],
) -> Result<(Vec<Tensor>, Vec<Tensor>), Refusal> {
    let mut refused = None;
    let (first, sequences): (Vec<&Tensor>, Vec<&Tensor>) = (first.iter().collect(), sequences.iter().collect());
    let (carries, results) = gradc::dsl::Scan::new().run(&first, &sequences, |carries, parts| {
        let inputs = carries.iter().chain(parts).map(|x| x.clone().into()).collect();
        let step = c.importer.inner(body, inputs).and_then(|items| tensors(c, &items));
        split(step, carries, parts, &mut refused)
    });
    match refused {
        Some(refusal) => Err(refusal),
        None => Ok((carries, results)),
    }
}

/// The loop of version 8: one for each element of a batch, all of one length.
fn batched_scan(c: &mut Call<'_, '_>) -> Results {
    let body = c.graph("body")?;
    if c.has(0) || c.int_list("directions").is_some_and(|list| list.contains(&1)) {
        return Err(Refusal::case("a scan of version 8 with lengths or backwards"));
    }
    let inputs = usize::try_from(c.int("num_scan_inputs", 0)).ok().filter(|&n| n > 0 && n < c.count());
    let inputs = inputs.ok_or_else(|| Refusal::broken("a scan over nothing"))?;
    let carried = c.count() - 1 - inputs;
    let batch = c.dims(1)?.first().copied().unwrap_or(0).min(MOST_STEPS as usize);
    let mut all: Vec<Vec<Tensor>> = vec![];
    for b in 0..batch {
        let part = |i: usize| -> Result<Tensor, Refusal> { Ok(c.tensor(1 + i)?.slice_axis(0, b..b + 1).squeeze([0])) };
        let first = (0..carried).map(part).collect::<Result<Vec<_>, _>>()?;
        let sequences = (carried..carried + inputs).map(part).collect::<Result<Vec<_>, _>>()?;
        let (carries, results) = over(c, &body, &first, &sequences)?;
        all.push(carries.into_iter().chain(results).collect());
    }
    let count = all.first().map_or(0, Vec::len);
    let joined = |i: usize| {
        let parts: Vec<ImportItem> = all.iter().filter_map(|each| each.get(i)).map(|x| x.clone().into()).collect();
        stacked(c, &parts)
    };
    (0..count).map(joined).collect()
}
