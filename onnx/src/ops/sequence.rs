//! Sequences and optionals: they are there at import alone, and tensors of the graph stand in them.

use super::movement::{concat, parts};
use super::shape::reshaped_item;
use crate::call::{Call, Results};
use crate::error::{Refusal, dtype};
use crate::item::{ImportItem, KnownTensor};
use crate::table::{OpEntry, control};
use ir::Scalar;

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    control("ConcatFromSequence", &[11], join),
    control("Optional", &[15], |c| Ok(vec![if c.has(0) { c.item(0)?.clone() } else { ImportItem::Nothing }])),
    control("OptionalGetElement", &[15, 18], |c| Ok(vec![c.item(0)?.clone()])),
    control("OptionalHasElement", &[15, 18], |c| {
        let is_there = c.has(0) && !matches!(c.item(0)?, ImportItem::Nothing);
        Ok(vec![KnownTensor::scalar(Scalar::Bool(is_there)).into()])
    }),
    control("SequenceAt", &[11], |c| {
        let items = sequence(c)?;
        let at = place(c, 1, items.len())?.ok_or_else(|| Refusal::broken("a place outside of the sequence"))?;
        items.get(at).cloned().map(|item| vec![item]).ok_or_else(|| Refusal::broken("a place outside of the sequence"))
    }),
    control("SequenceConstruct", &[11], |c| {
        let items = (0..c.count()).map(|i| tensor_item(c, i)).collect::<Result<Vec<_>, _>>()?;
        Ok(vec![ImportItem::Sequence(items)])
    }),
    control("SequenceEmpty", &[11], |c| {
        dtype(i32::try_from(c.int("dtype", 1)).unwrap_or(-1))?;
        Ok(vec![ImportItem::Sequence(vec![])])
    }),
    control("SequenceErase", &[11], |c| {
        let mut items = sequence(c)?;
        let last = items.len().saturating_sub(1);
        let at = place(c, 1, items.len())?.unwrap_or(last);
        if at >= items.len() {
            return Err(Refusal::broken("a place outside of the sequence"));
        }
        items.remove(at);
        Ok(vec![ImportItem::Sequence(items)])
    }),
    control("SequenceInsert", &[11], |c| {
        let mut items = sequence(c)?;
        let at = place(c, 2, items.len())?.unwrap_or(items.len());
        if at > items.len() {
            return Err(Refusal::broken("a place outside of the sequence"));
        }
        if items.len() == MOST_ITEMS {
            return Err(Refusal::Limit(format!("a sequence has more than {MOST_ITEMS} items")));
        }
        items.insert(at, tensor_item(c, 1)?);
        Ok(vec![ImportItem::Sequence(items)])
    }),
    control("SequenceLength", &[11], |c| {
        let len = sequence(c)?.len();
        Ok(vec![KnownTensor::scalar(Scalar::I64(len as i64)).into()])
    }),
    control("SequenceMap", &[17], map),
    control("SplitToSequence", &[11, 24], split),
];

/// The most items of a sequence that grows, or that a tensor is split into.
const MOST_ITEMS: usize = 1 << 12;

/// An operand that becomes an item of a sequence: a tensor, for sequences of sequences would double at each level.
fn tensor_item(c: &Call<'_, '_>, operand: usize) -> Result<ImportItem, Refusal> {
    match c.item(operand)? {
        ImportItem::Sequence(_) | ImportItem::Nothing => Err(Refusal::broken("an item of a sequence is no tensor")),
        item => Ok(item.clone()),
    }
}

/// The first operand's items.
fn sequence(c: &Call<'_, '_>) -> Result<Vec<ImportItem>, Refusal> {
    match c.item(0)? {
        ImportItem::Sequence(items) => Ok(items.clone()),
        _ => Err(Refusal::broken("a tensor where a sequence is wanted")),
    }
}

/// A place in a sequence, those below 0 counted from its end; `None` if it is left out.
fn place(c: &Call<'_, '_>, operand: usize, len: usize) -> Result<Option<usize>, Refusal> {
    if !c.has(operand) {
        return Ok(None);
    }
    let at = c.single_int(operand)?;
    let from_start = if at < 0 { at.saturating_add(len as i64) } else { at };
    usize::try_from(from_start).map(Some).map_err(|_| Refusal::broken("a place outside of the sequence"))
}

fn join(c: &mut Call<'_, '_>) -> Results {
    let mut items = sequence(c)?;
    let rank = items.first().and_then(ImportItem::ty).map_or(0, |(_, dims)| dims.len());
    if !c.flag("new_axis", false) {
        let axis = c.axis_attribute(0, rank)?;
        return concat(c, &items, axis);
    }
    let axis = c.axis_attribute(0, rank + 1)?;
    for item in &mut items {
        let (_, mut dims) = item.ty().ok_or_else(|| Refusal::broken("a sequence of sequences"))?;
        if axis > dims.len() {
            return Err(Refusal::broken("tensors of different ranks are to be joined"));
        }
        dims.insert(axis, 1);
        *item = reshaped_item(c, item, &dims)?;
    }
    concat(c, &items, axis)
}

/// Refuses more parts than a sequence has.
fn enough(parts: usize) -> Result<(), Refusal> {
    match parts <= MOST_ITEMS {
        true => Ok(()),
        false => Err(Refusal::Limit(format!("a tensor is to be split into {parts}"))),
    }
}

fn split(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let axis = c.axis_attribute(0, dims.len())?;
    let extent = dims[axis];
    let is_scalar = c.has(1) && c.dims(1)?.is_empty();
    let sizes: Vec<usize> = match c.optional_ints(1)? {
        None => {
            enough(extent)?;
            vec![1; extent]
        }
        Some(sizes) if is_scalar => {
            let each = sizes.first().and_then(|&n| usize::try_from(n).ok()).filter(|&n| n > 0);
            let each = each.ok_or_else(|| Refusal::broken("parts without places"))?;
            enough(extent.div_ceil(each))?;
            (0..extent.div_ceil(each)).map(|i| each.min(extent - i * each)).collect()
        }
        Some(sizes) => crate::stored::extents(&sizes)?.0,
    };
    if sizes.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)) != Some(extent) {
        return Err(Refusal::broken(format!("{extent} places are to be split into {sizes:?}")));
    }
    let keeps = c.has(1) || c.flag("keepdims", true);
    let mut items = parts(c, axis, &sizes)?;
    if !keeps {
        let kept: Vec<usize> = (0..dims.len()).filter(|&i| i != axis).map(|i| dims[i]).collect();
        for item in &mut items {
            *item = reshaped_item(c, item, &kept)?;
        }
    }
    Ok(vec![ImportItem::Sequence(items)])
}

/// A graph applied to each item.
fn map(c: &mut Call<'_, '_>) -> Results {
    let body = c.graph("body")?;
    let items = sequence(c)?;
    let mut gathered = vec![vec![]; body.output.len()];
    for (i, item) in items.into_iter().enumerate() {
        let mut inputs = vec![item];
        for operand in 1..c.count() {
            inputs.push(match c.item(operand)? {
                ImportItem::Sequence(others) => {
                    others.get(i).cloned().ok_or_else(|| Refusal::broken("sequences of different lengths"))?
                }
                other => other.clone(),
            });
        }
        for (all, item) in gathered.iter_mut().zip(c.importer.inner(&body, inputs)?) {
            all.push(item);
        }
    }
    Ok(gathered.into_iter().map(ImportItem::Sequence).collect())
}
