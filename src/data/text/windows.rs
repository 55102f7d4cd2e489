//! Windows of a long text, for models that predict the next token.

use super::TextError;
use crate::data::{Column, Dataset, array};
use crate::model::TARGET;

/// Samples `x i32[context]` with targets `y i32[context]`: each window of ids, `stride` after the one before it, and the same ids moved by one.
///
/// # Errors
/// If `context` or `stride` is 0, or there are not at least `context + 1` ids.
pub fn next_token_windows(ids: &[i32], context: usize, stride: usize) -> Result<Dataset, TextError> {
    if context == 0 || stride == 0 {
        return Err(TextError::Setting(format!("windows of {context} ids every {stride}: both must be at least 1")));
    }
    let Some(last) = ids.len().checked_sub(context + 1) else {
        let n = ids.len();
        return Err(TextError::Setting(format!("{n} ids make no window of {context} and the id after it")));
    };
    let starts = (0..last + 1).step_by(stride);
    let rows = |shift: usize| {
        let elements: Vec<i32> = starts.clone().flat_map(|at| ids[at + shift..][..context].iter().copied()).collect();
        Column::new(array([starts.len(), context], elements)?)
    };
    let windows = rows(0).and_then(|x| Dataset::of("x", x).with(TARGET, rows(1)?));
    Ok(windows?)
}
