//! Parameters that layers see as functions of what is trained: weights divided by a norm.

use super::{GraphBuilder, Tensor};
use std::rc::Rc;

/// What a layer gets of the parameter of a name.
pub(super) type Reparametrization = Rc<dyn Fn(&str, &Tensor) -> Tensor>;

impl GraphBuilder {
    /// Declares with `f`, where layers get `by(name, parameter)` in place of each parameter that they declare: a tensor of the same type. What is trained is the parameter itself, by the
    /// gradient that goes through `by`. Of several around each other the innermost comes first. A parameter that `by` declares is taken as it is.
    ///
    /// ```
    /// use gradc::dsl::{f32, GraphBuilder};
    /// use gradc::nn::{Dense, Layer};
    /// let g = GraphBuilder::new("columns of length 1");
    /// let x = g.input("x", f32([8, 64]));
    /// let unit = |name: &str, w: &gradc::dsl::Tensor| match name.ends_with("kernel") {
    ///     true => w * w.square().sum_keepdims([0]).rsqrt(),
    ///     false => w.clone(),
    /// };
    /// g.output("y", &g.with_parameters_as(unit, || Dense::new(4).apply(&x)));
    /// assert!(g.finish().is_ok());
    /// ```
    pub fn with_parameters_as<R>(&self, by: impl Fn(&str, &Tensor) -> Tensor + 'static, f: impl FnOnce() -> R) -> R {
        let root = self.root();
        root.inner_mut().scope.reparametrizations.push(Rc::new(by));
        let result = f();
        root.inner_mut().scope.reparametrizations.pop();
        result
    }

    /// What a layer gets of a parameter here.
    #[track_caller]
    pub(super) fn reparametrized(&self, name: &str, parameter: Tensor) -> Tensor {
        let root = self.root();
        let all = std::mem::take(&mut root.inner_mut().scope.reparametrizations);
        let result = all.iter().rev().fold(parameter, |seen, by| {
            let new = by(name, &seen);
            if new.ty() == seen.ty() || new.is_poisoned() {
                return new;
            }
            let rule = format!("a parameter's stand-in must have its type, for {name:?}");
            root.fail("with_parameters_as", &[&seen, &new], rule)
        });
        root.inner_mut().scope.reparametrizations = all;
        result
    }
}
