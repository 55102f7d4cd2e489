//! States as somebody else's tensors: the reverse of what is read by rules.

use super::super::{save_npz, save_tensors};
use super::recipe::Recipe;
use super::{FileNames, IoError, NameRule, SaveReport, TensorFile, UsedTensor, WeightRules, converted};
use crate::dsl::captures;
use ir::{DType, Shape, TensorType, Value, map_of};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

impl WeightRules {
    /// Writes with the names and the shapes that this file's tensors have by the same rules: those of the model that the weights came from, of which names alone don't tell which of several
    /// ways to write a layer it is. Only names and types are looked at. States that the file has no tensor for, and tensors that no state becomes, are errors unless
    /// [`Self::allow_missing`] and [`Self::allow_unused`] say otherwise; none of both is written.
    #[must_use]
    pub fn names_like(mut self, file: TensorFile) -> Self {
        self.template = Some(Arc::new(file));
        self
    }

    /// Says how many heads the attention has whose path fits a pattern, as for [`Self::rename`]: to write it as Keras has it, where no file says so.
    #[must_use]
    pub fn heads(mut self, pattern: impl Into<String>, heads: usize) -> Self {
        self.heads.push((pattern.into(), heads));
        self
    }

    /// Says that layers whose path fits a pattern are depthwise convolutions, whose kernels look like others: to write them as PyTorch has them, where neither a file says so nor a
    /// [`Trainer`](crate::train::Trainer), which knows its layers.
    #[must_use]
    pub fn depthwise(mut self, pattern: impl Into<String>) -> Self {
        self.depthwise.push(pattern.into());
        self
    }

    /// Writes all floats as that type.
    #[must_use]
    pub fn float_type(mut self, dtype: DType) -> Self {
        self.float_type = Some(dtype);
        self
    }

    /// Writes states as tensors with the convention's names and layouts, atomically: as NumPy's arrays if the path ends in `.npz`, else as safetensors. What [`Self::select`] reads by the same
    /// rules are the states again.
    ///
    /// Rules are followed backwards: a prefix that is stripped is put before the names, and a name that fits what a renaming makes is what that was made from; of several that fit it is the one with the
    /// most characters of its own, and of a pattern with `?` none. [`Self::names_like`] takes the names of a file instead.
    ///
    /// ```
    /// use gradc::io::{Convention, TensorFile, WeightRules};
    /// use gradc::prelude::*;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("torch.safetensors");
    /// let mut trainer = Sequential::new([3]).dense(2).compile(Sgd::new(0.1), MeanSquaredError, [])?;
    /// // What `load_state_dict` of a module with `self.fc = nn.Linear(3, 2)` takes, strictly.
    /// let rules = WeightRules::new(Convention::PyTorch).rename("fc.*", "dense.{1}");
    /// trainer.save_pretrained(&path, &rules)?;
    /// assert_eq!(TensorFile::open(&path)?.names().collect::<Vec<_>>(), ["fc.bias", "fc.weight"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A layer that the convention has none of, or of which it must be said how many heads it has; a name that the rules don't read back as the state's; two states that get one name; states and
    /// tensors of the other file that are left; a number that the type of floats lacks; a file that can't be written.
    pub fn save(&self, path: impl AsRef<Path>, states: &BTreeMap<String, Value>) -> Result<SaveReport, IoError> {
        let path = path.as_ref();
        let names = self.template.as_ref().map(|file| self.names(file)).transpose()?;
        let plan = WritePlan { rules: self, path, names: names.as_ref(), types: types_of(states) };
        let (mut tensors, mut written, mut missing) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (state, value) in states {
            let Some((recipe, sources)) = plan.tensors_for(state)? else {
                missing.push(state.clone());
                continue;
            };
            let parts = plan.parts(state, value, &recipe, &sources)?;
            let converted_from =
                parts.iter().any(|part| part.ty().dtype != value.ty().dtype).then_some(value.ty().dtype);
            for (name, part) in sources.iter().zip(parts) {
                if tensors.insert(name.clone(), part).is_some() {
                    return Err(plan.refuse(format!("`{state}` and another state would both be `{name}`")));
                }
            }
            written.push(UsedTensor { state: state.clone(), sources, rearranged: !recipe.is_plain(), converted_from });
        }
        let known = names.iter().flat_map(|names| names.known.values());
        let unused: Vec<String> = known.filter(|name| !tensors.contains_key(*name)).cloned().collect();
        if let Some(file) = &self.template {
            self.check(file, &written, [&missing, &unused])?;
        }
        let is_npz = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("npz"));
        if is_npz {
            save_npz(path, &tensors)?
        } else {
            save_tensors(path, &tensors)?
        }
        Ok(SaveReport { path: path.into(), convention: self.convention, written, missing, unused })
    }

    /// The name in a file that the rules make this one of, both in the form in which names are compared.
    fn name_in_file(&self, name: &str) -> Option<String> {
        let own = |rule: &NameRule| match rule {
            NameRule::Rename(_, to) => to.chars().filter(|c| !"{}0123456789".contains(*c)).count(),
            _ => 0,
        };
        let is_renaming = |i: &usize| matches!(self.rules[*i], NameRule::Rename(..));
        let mut chosen: Vec<Option<usize>> = (0..self.rules.len()).filter(is_renaming).map(Some).collect();
        chosen.sort_by_key(|i| std::cmp::Reverse(i.map_or(0, |i| own(&self.rules[i]))));
        chosen.push(None);
        let is_read_back = |file: &String| {
            let read = self.rewritten(file).ok().flatten();
            read.is_some_and(|read| !self.convention.ignores(&read) && self.convention.normal(&read) == name)
        };
        chosen.into_iter().filter_map(|chosen| self.backwards(name, chosen)).find(is_read_back)
    }

    /// All rules backwards, but of the renamings only the chosen one.
    fn backwards(&self, name: &str, chosen: Option<usize>) -> Option<String> {
        let mut name = name.to_string();
        for (i, rule) in self.rules.iter().enumerate().rev() {
            name = match rule {
                NameRule::StripPrefix(prefix) => format!("{prefix}{name}"),
                NameRule::AddPrefix(prefix) => name.strip_prefix(&prefix.replace('/', "."))?.to_string(),
                NameRule::Rename(pattern, to) if chosen == Some(i) => unfilled(pattern, to, &name)?,
                NameRule::Rename(..) | NameRule::Ignore(_) => name,
            };
        }
        Some(self.convention.written(&name))
    }
}

/// States that are being written.
struct WritePlan<'a> {
    rules: &'a WeightRules,
    path: &'a Path,
    /// Those of the file whose names are taken.
    names: Option<&'a FileNames>,
    types: BTreeMap<String, TensorType>,
}

impl WritePlan<'_> {
    fn refuse(&self, what: String) -> IoError {
        IoError::Rule { path: self.path.into(), what }
    }

    /// What tensors a state becomes, and how. Nothing if the file whose names are taken has none for it.
    fn tensors_for(&self, state: &str) -> Result<Option<(Recipe, Vec<String>)>, IoError> {
        let convention = self.rules.convention;
        let mut recipes = convention.recipes(state, &self.types).into_iter();
        if let Some(FileNames { known, .. }) = self.names {
            let found = recipes.find_map(|recipe| {
                let names: Option<_> = recipe.sources.iter().map(|name| known.get(name).cloned()).collect();
                Some((recipe, names?))
            });
            return Ok(found);
        }
        if convention.lacks(state, &self.types) {
            return Err(self.refuse(format!("{} has no such layer as that of `{state}`", convention.name())));
        }
        let Some(recipe) = recipes.next() else { return Ok(None) };
        let name = |source: &String| {
            let what = || format!("`{state}` is `{source}`, and there is no name that the rules turn into it alone");
            self.rules.name_in_file(source).ok_or_else(|| self.refuse(what()))
        };
        let names = recipe.sources.iter().map(name).collect::<Result<_, _>>()?;
        Ok(Some((recipe, names)))
    }

    /// The values of a state's tensors.
    fn parts(&self, state: &str, value: &Value, recipe: &Recipe, sources: &[String]) -> Result<Vec<Value>, IoError> {
        let fail = |what: String| IoError::Tensor { path: self.path.into(), name: state.into(), what };
        let layer = state.rsplit_once('/').map_or("", |(layer, _)| layer);
        let fits = |pattern: &String, path: &str| captures(&pattern.replace('.', "/"), path).is_some();
        let last = layer.rsplit('/').next().unwrap_or(layer);
        let is_depthwise = last.starts_with("depthwise") || self.rules.depthwise.iter().any(|p| fits(p, layer));
        let recipe = Recipe { depthwise: recipe.depthwise || is_depthwise, ..recipe.clone() };
        let attention = layer.rsplit_once('/').map_or("", |(attention, _)| attention);
        let heads = self.rules.heads.iter().find(|(pattern, _)| fits(pattern, attention)).map(|(_, heads)| *heads);
        let shapes = self.shapes(sources)?;
        let parts = recipe.split(value, heads, shapes.as_deref()).ok_or_else(|| match &shapes {
            Some(shapes) => {
                let shapes: Vec<String> = shapes.iter().map(Shape::to_string).collect();
                fail(format!("it is {}, of which `{}` of {} can't be made", value.ty(), sources.join("`, `"), shapes.join(", ")))
            }
            None => fail(format!(
                "it is {}, of which `{}` can't be made without the number of heads: say it by `WeightRules::heads({attention:?}, ..)`, or name a file by `names_like`",
                value.ty(),
                sources.join("`, `")
            )),
        })?;
        let Some(dtype) = self.rules.float_type.filter(|_| value.ty().dtype.is_float()) else { return Ok(parts) };
        parts.iter().map(|part| converted(part, dtype).map_err(fail)).collect()
    }

    /// The shapes that tensors have in the file whose names are taken.
    fn shapes(&self, sources: &[String]) -> Result<Option<Vec<Shape>>, IoError> {
        let Some(file) = &self.rules.template else { return Ok(None) };
        sources.iter().map(|name| Ok(file.ty(name)?.shape)).collect::<Result<_, _>>().map(Some)
    }
}

fn types_of(states: &BTreeMap<String, Value>) -> BTreeMap<String, TensorType> {
    map_of(states.iter().map(|(name, value)| (name.clone(), value.ty().clone())))
}

/// The name that a renaming makes this one of; nothing if it makes no such name, or more is needed than what stands in this one.
fn unfilled(pattern: &str, to: &str, name: &str) -> Option<String> {
    let to = to.replace('/', ".");
    if pattern.contains('?') || to.contains('?') {
        return None;
    }
    // The new name as a pattern, and which star each of its own is.
    let (mut stars, mut rest, mut made) = (Vec::new(), to.as_str(), String::new());
    while let Some((before, after)) = rest.split_once('{') {
        let (number, after) = after.split_once('}')?;
        stars.push(number.parse::<usize>().ok()?.checked_sub(1)?);
        made += before;
        made.push('*');
        rest = after;
    }
    made += rest;
    let mut texts: Vec<Option<String>> = vec![None; pattern.matches('*').count()];
    for (star, text) in stars.into_iter().zip(captures(&made, name)?) {
        let place = texts.get_mut(star)?;
        if place.as_ref().is_some_and(|other| *other != text) {
            return None;
        }
        *place = Some(text);
    }
    let mut texts = texts.into_iter();
    let piece = |c: char| if c == '*' { texts.next()? } else { Some(c.to_string()) };
    pattern.chars().map(piece).collect()
}
