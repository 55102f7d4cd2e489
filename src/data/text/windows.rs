//! Windows of a long text, for models that predict the next token.

use super::TextError;
use crate::data::memory::reserve;
use crate::data::{Column, Dataset, array};
use crate::model::TARGET;

/// Samples `x i32[context]` with targets `y i32[context]`: each window of ids, `stride` after the one before it, and the same ids moved by one.
///
/// # Errors
/// If `context` or `stride` is 0, there are not at least `context + 1` ids, or the windows are more elements than memory holds.
pub fn next_token_windows(ids: &[i32], context: usize, stride: usize) -> Result<Dataset, TextError> {
    if context == 0 || stride == 0 {
        return Err(TextError::Setting(format!("windows of {context} ids every {stride}: both must be at least 1")));
    }
    let last = context.checked_add(1).and_then(|window| ids.len().checked_sub(window));
    let Some(last) = last else {
        let n = ids.len();
        return Err(TextError::Setting(format!("{n} ids make no window of {context} and the id after it")));
    };
    let starts = (0..last + 1).step_by(stride);
    let rows = |shift: usize| {
        let mut elements: Vec<i32> = vec![];
        reserve(&mut elements, starts.len().checked_mul(context), &format!("{} windows of {context}", starts.len()))?;
        elements.extend(starts.clone().flat_map(|at| ids[at + shift..][..context].iter().copied()));
        Column::new(array([starts.len(), context], elements)?)
    };
    let windows = rows(0).and_then(|x| Dataset::of("x", x).with(TARGET, rows(1)?));
    Ok(windows?)
}
