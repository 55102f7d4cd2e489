//! What a callback remembers of a run, for a checkpoint.

use ir::Value;
use std::collections::BTreeMap;

/// A callback's memory by name: numbers, texts and tensors. Numbers come back to the bit, NaN and infinities too.
///
/// ```
/// use gradc::train::callback::CallbackState;
/// let mut state = CallbackState::default();
/// state.set_number("best", 0.25);
/// state.set_text("reason", "none yet");
/// assert_eq!((state.number("best"), state.text("reason"), state.number("worst")), (Some(0.25), Some("none yet"), None));
/// ```
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CallbackState {
    pub(in crate::train) numbers: BTreeMap<String, f64>,
    pub(in crate::train) texts: BTreeMap<String, String>,
    pub(in crate::train) tensors: BTreeMap<String, Value>,
}

impl CallbackState {
    /// Keeps a number; counts are exact up to 2^53.
    pub fn set_number(&mut self, name: &str, number: f64) {
        self.numbers.insert(name.into(), number);
    }

    /// The number of that name, if one was kept.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.numbers.get(name).copied()
    }

    /// Keeps a text.
    pub fn set_text(&mut self, name: &str, text: impl Into<String>) {
        self.texts.insert(name.into(), text.into());
    }

    /// The text of that name, if one was kept.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// Keeps a tensor.
    pub fn set_tensor(&mut self, name: &str, tensor: Value) {
        self.tensors.insert(name.into(), tensor);
    }

    /// The tensor of that name, if one was kept.
    pub fn tensor(&self, name: &str) -> Option<&Value> {
        self.tensors.get(name)
    }

    /// All tensors, by name: weights for instance.
    pub fn tensors(&self) -> &BTreeMap<String, Value> {
        &self.tensors
    }
}
