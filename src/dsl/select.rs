//! Which parameters are meant: those of a layer, those whose names fit a pattern, or those that a closure accepts.

use super::Tensor;
use super::pattern::captures;
use ir::{DType, Shape};
use std::fmt;
use std::ops::{BitAnd, BitOr, Not};
use std::sync::Arc;

/// What a [`Select`] and an optimizer are told of a parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameter {
    /// The name of its state: `dense/kernel`.
    pub name: String,
    /// The shape.
    pub shape: Shape,
    /// The element type.
    pub dtype: DType,
}

impl Parameter {
    /// That of a state's name and tensor; `None` if the tensor is poisoned.
    pub(crate) fn of(name: &str, tensor: &Tensor) -> Option<Self> {
        tensor.ty().map(|ty| Self { name: name.into(), shape: ty.shape, dtype: ty.dtype })
    }

    /// The layer that it belongs to, by its name: what stands before the last `/`. Empty for a parameter declared without a layer.
    pub fn layer(&self) -> &str {
        self.name.rsplit_once('/').map_or("", |(layer, _)| layer)
    }

    /// What it is in its layer: `kernel`, `bias`, `gamma`.
    pub fn part(&self) -> &str {
        self.name.rsplit_once('/').map_or(&self.name, |(_, part)| part)
    }
}

/// A choice among parameters. Choices are combined by `|`, `&` and `!`.
///
/// ```
/// use gradc::dsl::{f32, zeros, GraphBuilder, Select};
/// let g = GraphBuilder::new("example");
/// for name in ["encoder/dense/kernel", "encoder/dense/bias", "head/kernel"] {
///     g.param(name, f32([4]), zeros());
/// }
/// let names = |select: Select| -> Vec<String> { g.select(&select).into_iter().map(|(name, _)| name).collect() };
/// assert_eq!(names(Select::layer("encoder")), ["encoder/dense/kernel", "encoder/dense/bias"]);
/// assert_eq!(names(Select::pattern("*/kernel") & !Select::layer("encoder")), ["head/kernel"]);
/// assert_eq!(names(Select::by(|p| p.part() == "bias")), ["encoder/dense/bias"]);
/// ```
#[derive(Clone)]
pub struct Select {
    /// For messages.
    what: String,
    holds: Arc<dyn Fn(&Parameter) -> bool + Send + Sync>,
}

impl Select {
    fn new(what: impl Into<String>, holds: impl Fn(&Parameter) -> bool + Send + Sync + 'static) -> Self {
        Self { what: what.into(), holds: Arc::new(holds) }
    }

    /// All parameters.
    pub fn all() -> Self {
        Self::new("all", |_| true)
    }

    /// Those of the layer of that name, and of layers in it: parameters whose names begin with `name/`.
    pub fn layer(name: &str) -> Self {
        let prefix = format!("{name}/");
        Self::new(format!("layer {name:?}"), move |p| p.name.starts_with(&prefix))
    }

    /// Those whose names fit a pattern as a whole. In it `*` stands for any characters, none and `/` included, and `?` for one.
    pub fn pattern(pattern: &str) -> Self {
        let wanted = pattern.to_string();
        Self::new(format!("pattern {pattern:?}"), move |p| captures(&wanted, &p.name).is_some())
    }

    /// Those that a closure accepts.
    pub fn by(holds: impl Fn(&Parameter) -> bool + Send + Sync + 'static) -> Self {
        Self::new("a closure", holds)
    }

    /// Biases, and the factors and offsets of normalizations: what has one axis or none, and what is called `bias`. What is usually left out of weight decay.
    pub fn biases_and_norms() -> Self {
        Self::new("biases and norms", |p| p.shape.rank() <= 1 || p.part().ends_with("bias"))
    }

    /// Whether it is meant.
    pub fn holds(&self, parameter: &Parameter) -> bool {
        (self.holds)(parameter)
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl fmt::Debug for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Select({self})")
    }
}

impl Not for Select {
    type Output = Self;
    fn not(self) -> Self {
        Self::new(format!("not ({self})"), move |p| !self.holds(p))
    }
}

impl BitOr for Select {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self::new(format!("({self}) or ({other})"), move |p| self.holds(p) || other.holds(p))
    }
}

impl BitAnd for Select {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self::new(format!("({self}) and ({other})"), move |p| self.holds(p) && other.holds(p))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_not_another_whose_name_begins_alike() {
        let parameter = |name: &str| Parameter { name: name.into(), shape: Shape::scalar(), dtype: DType::F32 };
        assert!(Select::layer("dense").holds(&parameter("dense/kernel")));
        assert!(!Select::layer("dense").holds(&parameter("dense_1/kernel")));
        let p = parameter("encoder/attention/bias");
        assert_eq!((p.layer(), p.part()), ("encoder/attention", "bias"));
        assert_eq!((parameter("w").layer(), parameter("w").part()), ("", "w"));
        let both = !Select::layer("a") & (Select::pattern("x") | Select::by(|p| p.shape.rank() > 1));
        assert_eq!(both.to_string(), "(not (layer \"a\")) and ((pattern \"x\") or (a closure))");
    }
}
