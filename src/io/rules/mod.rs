//! Files of weights that somebody else has written, by rules of names: which tensor is which state, and how its axes lie.

mod convention;
mod recipe;
mod report;
#[cfg(test)]
mod tests;
mod write;

pub use convention::Convention;
pub use report::{LoadReport, SaveReport, UsedTensor};

use super::arrange::converted;
use super::safetensors::RESERVED;
use super::{IoError, TensorFile};
use crate::dsl::captures;
use ir::{DType, TensorType, Value};
use recipe::Recipe;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How tensors of a file become states of a model, and states tensors of a file ([`Self::save`]): by whose convention names and axes are, and what else distinguishes the names.
///
/// Rules rewrite the file's names, in the order in which they are given; then the convention says which of them a state is made of, and how: for [`Convention::PyTorch`]
/// `encoder/dense/kernel [in, out]` is `encoder.dense.weight [out, in]`. In names `/` and `.` are the same. Element types are converted where both are floats.
///
/// Without more, each state must be found, and each tensor be of use, as PyTorch's `load_state_dict` has it: [`Self::allow_missing`] and [`Self::allow_unused`] say otherwise.
///
/// ```
/// use gradc::data::array;
/// use gradc::io::{Convention, WeightRules, save_tensors};
/// use gradc::prelude::*;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("torch.safetensors");
/// // As PyTorch's `nn.Linear(3, 2)` has it, in a module that was wrapped, and in double precision.
/// let weight = array([2, 3], vec![1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// save_tensors(&path, &[("module.fc.weight".to_string(), weight)].into())?;
///
/// let mut trainer = Sequential::new([3]).dense(2).compile(Sgd::new(0.1), MeanSquaredError, [])?;
/// let rules = WeightRules::new(Convention::PyTorch).strip_prefix("module.").rename("fc.*", "dense.{1}");
/// let report = trainer.load_pretrained(&path, &rules.allow_missing())?;
/// assert_eq!(trainer.weights()?["dense/kernel"].to_f64_vec(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// assert_eq!(report.missing, ["dense/bias"]);
/// println!("{report}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct WeightRules {
    convention: Convention,
    rules: Vec<NameRule>,
    missing: bool,
    unused: bool,
    /// What is to be known to write: which layers have how many heads, and which are depthwise convolutions, by patterns; the element type of floats; the file whose names are taken.
    heads: Vec<(String, usize)>,
    pub(crate) depthwise: Vec<String>,
    float_type: Option<DType>,
    template: Option<Arc<TensorFile>>,
}

/// What is done to a file's names.
#[derive(Clone, Debug)]
enum NameRule {
    StripPrefix(String),
    AddPrefix(String),
    Rename(String, String),
    Ignore(String),
}

impl WeightRules {
    /// Names and axes as that convention has them.
    pub fn new(convention: Convention) -> Self {
        Self { convention, ..Self::default() }
    }

    /// Takes a prefix away from names that begin with it: `model.`. Others stay as they are.
    #[must_use]
    pub fn strip_prefix(self, prefix: impl Into<String>) -> Self {
        self.rule(NameRule::StripPrefix(prefix.into()))
    }

    /// Puts a prefix before all names: `encoder.`, for a body that is a layer here.
    #[must_use]
    pub fn add_prefix(self, prefix: impl Into<String>) -> Self {
        self.rule(NameRule::AddPrefix(prefix.into()))
    }

    /// Names that fit a pattern as a whole become another one. In the pattern `*` stands for any characters, none included, and `?` for one; `{1}` in the new name is what the first `*`
    /// stood for: `rename("layer.*.fc.*", "block_{1}/dense1/{2}")`. What the convention calls the tensor, `weight`, stays as it is.
    #[must_use]
    pub fn rename(self, pattern: impl Into<String>, name: impl Into<String>) -> Self {
        self.rule(NameRule::Rename(pattern.into(), name.into()))
    }

    /// Leaves out tensors whose names fit a pattern, as for [`Self::rename`]; that they are of no use is no error.
    #[must_use]
    pub fn ignore(self, pattern: impl Into<String>) -> Self {
        self.rule(NameRule::Ignore(pattern.into()))
    }

    /// States that the file lacks stay as they are: a new head's. A file without a single tensor that is of use is an error all the same.
    #[must_use]
    pub fn allow_missing(mut self) -> Self {
        self.missing = true;
        self
    }

    /// Tensors of the file may be of no use.
    #[must_use]
    pub fn allow_unused(mut self) -> Self {
        self.unused = true;
        self
    }

    fn rule(mut self, rule: NameRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// The values of `wanted` states, each of the state's type, and what came of each. What [`Trainer::load_pretrained`](crate::train::Trainer::load_pretrained) does before it changes
    /// anything; for a graph's own states the result goes to [`CompiledProgram::set_states`](crate::compile::CompiledProgram::set_states).
    ///
    /// # Errors
    /// States that are missing and tensors that are of no use, unless they may be; a tensor of another shape, or with a number that the state's type lacks; two tensors that get one
    /// name; a rule that can't be followed; a damaged file.
    pub fn select(
        &self,
        file: &TensorFile,
        wanted: &BTreeMap<String, TensorType>,
    ) -> Result<(BTreeMap<String, Value>, LoadReport), IoError> {
        let FileNames { known, ignored } = self.names(file)?;
        let (mut values, mut used, mut missing) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut taken = BTreeSet::new();
        for (state, ty) in wanted {
            let recipes = self.convention.recipes(state, wanted);
            let Some(recipe) = recipes.into_iter().find(|r| r.sources.iter().all(|name| known.contains_key(name)))
            else {
                missing.push(state.clone());
                continue;
            };
            let sources: Vec<String> = recipe.sources.iter().map(|name| known[name].clone()).collect();
            let (value, use_of) = make(file, (state, ty), &recipe, sources)?;
            taken.extend(use_of.sources.iter().cloned());
            values.insert(state.clone(), value);
            used.push(use_of);
        }
        let unused: Vec<String> = known.into_values().filter(|name| !taken.contains(name)).collect();
        let path = file.path().to_path_buf();
        self.check(file, &used, [&missing, &unused])?;
        Ok((values, LoadReport { path, convention: self.convention, used, missing, unused, ignored }))
    }

    /// Refuses what isn't allowed: states that a file lacks, and tensors that are no state's.
    fn check(
        &self,
        file: &TensorFile,
        used: &[UsedTensor],
        [missing, unused]: [&Vec<String>; 2],
    ) -> Result<(), IoError> {
        let path = || file.path().to_path_buf();
        if !missing.is_empty() && (!self.missing || used.is_empty()) {
            return Err(IoError::Missing { path: path(), names: missing.clone(), found: unused.clone() });
        }
        if !unused.is_empty() && !self.unused {
            return Err(IoError::Unexpected { path: path(), names: unused.clone() });
        }
        Ok(())
    }

    /// The file's names, rewritten.
    fn names(&self, file: &TensorFile) -> Result<FileNames, IoError> {
        let mut names = FileNames { known: BTreeMap::new(), ignored: Vec::new() };
        for name in file.names().filter(|name| !name.starts_with(RESERVED)) {
            let fail = |what| IoError::Rule { path: file.path().into(), what };
            let Some(rewritten) = self.rewritten(name).map_err(fail)?.filter(|name| !self.convention.ignores(name))
            else {
                names.ignored.push(name.to_string());
                continue;
            };
            if let Some(other) = names.known.insert(self.convention.normal(&rewritten), name.to_string()) {
                return Err(fail(format!("`{name}` and `{other}` would both be `{rewritten}`")));
            }
        }
        Ok(names)
    }

    /// A name by all rules; nothing if it is left out.
    fn rewritten(&self, name: &str) -> Result<Option<String>, String> {
        let mut name = name.to_string();
        for rule in &self.rules {
            match rule {
                NameRule::StripPrefix(prefix) => {
                    if let Some(rest) = name.strip_prefix(prefix.as_str()) {
                        name = rest.into();
                    }
                }
                NameRule::AddPrefix(prefix) => name.insert_str(0, prefix),
                NameRule::Ignore(pattern) if captures(pattern, &name).is_some() => return Ok(None),
                NameRule::Ignore(_) => {}
                NameRule::Rename(pattern, to) => {
                    if let Some(found) = captures(pattern, &name) {
                        name = filled(pattern, to, &found)?;
                    }
                }
            }
        }
        Ok(Some(name))
    }
}

/// A file's names: what they are by rules, and in the file.
struct FileNames {
    known: BTreeMap<String, String>,
    ignored: Vec<String>,
}

/// The new name with what the stars of a pattern stood for.
fn filled(pattern: &str, to: &str, found: &[String]) -> Result<String, String> {
    let mut name = to.to_string();
    for (i, text) in found.iter().enumerate() {
        name = name.replace(&format!("{{{}}}", i + 1), text);
    }
    if name.contains(['{', '}', '*']) {
        return Err(format!("rename({pattern:?}, {to:?}): the new name may have {{1}} to {{{}}} in it", found.len()));
    }
    Ok(name)
}

/// A state's value by a recipe, and the entry of the report.
fn make(
    file: &TensorFile,
    (state, ty): (&str, &TensorType),
    recipe: &Recipe,
    sources: Vec<String>,
) -> Result<(Value, UsedTensor), IoError> {
    let path = || file.path().to_path_buf();
    let named = || sources.join("`, `");
    let (mut parts, mut converted_from) = (Vec::new(), None);
    for name in &sources {
        let part = file.tensor(name)?;
        let from = part.ty().dtype;
        // Before anything is added, so that nothing is rounded twice.
        let is_converted = from != ty.dtype && from.is_float() && ty.dtype.is_float();
        let fail = |what| IoError::Tensor { path: path(), name: name.clone(), what };
        parts.push(if is_converted { converted(&part, ty.dtype).map_err(fail)? } else { part });
        converted_from = converted_from.or(is_converted.then_some(from));
    }
    let first = parts.first().map_or_else(|| ty.clone(), |part| part.ty().clone());
    let of_type = |found| IoError::Type { path: path(), name: named(), found, expected: ty.clone() };
    let value = recipe.make(parts, ty).map_err(|other| of_type(other.unwrap_or(first)))?;
    Ok((value, UsedTensor { state: state.into(), sources, rearranged: !recipe.is_plain(), converted_from }))
}
