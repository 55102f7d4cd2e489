//! What a user writes who has `gradc` alone in Cargo.toml: a loss, an optimizer, a layer, a callback and a metric of his own, values, options of compiling.
//! That it compiles is the test: every type that a signature of gradc names can be named through gradc.

use gradc::compile::{CompileOptions, PassOptions, Snapshots, Stop, Target};
use gradc::data::{Data, Scalar, Value};
use gradc::dsl::{DType, Initializer, Shape, Tensor, TensorType, TypeSpec};
use gradc::nn::{Layer, LayerId, Loss};
use gradc::optim::{Optimizer, Schedule, Update};
use gradc::train::{Callback, Control, EpochRecord, TrainError};

/// `log(cosh(output - target))`, for each sample the mean.
pub struct LogCosh;

impl Loss for LogCosh {
    fn name(&self) -> &str {
        "log_cosh"
    }

    fn target(&self, output: &TensorType) -> TypeSpec {
        output.into()
    }

    fn per_sample(&self, output: &Tensor, target: &Tensor) -> Tensor {
        let error = (output - target).abs();
        (&error + (&error * -2.0).exp().log1p() - std::f64::consts::LN_2).mean_axes([-1])
    }
}

/// The sign of the gradient times the rate.
pub struct SignSgd(pub Schedule);

impl Optimizer for SignSgd {
    fn name(&self) -> &str {
        "sign_sgd"
    }

    fn schedule(&self) -> Option<&Schedule> {
        Some(&self.0)
    }

    fn update(&self, cx: &Update<'_>, parameter: &Tensor, gradient: &Tensor) -> Tensor {
        let steps = cx.slot("steps", parameter, Initializer::Constant(0.0)) + 1.0;
        cx.set_slot("steps", &steps);
        parameter - gradient.sign() * &cx.lr
    }
}

/// `x * scale`, one scale for all.
#[derive(Default)]
pub struct Scale {
    id: LayerId,
}

impl Layer for Scale {
    fn base(&self) -> &str {
        "scale"
    }

    fn kind(&self) -> &str {
        "Scale"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let Some(dtype) = x.dtype() else { return x.clone() };
        let scale = x.builder().param(&format!("{name}/scale"), TypeSpec::new(dtype, []), Initializer::Constant(1.0));
        x * scale
    }
}

/// Counts epochs.
#[derive(Default)]
pub struct EpochCounter(pub usize);

impl Callback for EpochCounter {
    fn epoch_end(&mut self, record: &EpochRecord, _: &mut Control<'_>) -> Result<(), TrainError> {
        self.0 = record.epoch;
        Ok(())
    }
}

/// The numbers `0, 1, 2, ...` as samples of one feature.
///
/// # Panics
/// If `n` is 0.
pub fn ramp(n: usize) -> Value {
    let shape = Shape::new([n, 1]).expect("n is not 0");
    Value::from_fn(TensorType::new(DType::F32, shape), |i| Scalar::F32(i as f32 / n as f32))
}

/// The elements of a value of `f32`.
pub fn elements(value: &Value) -> Option<&[f32]> {
    match value.data() {
        Data::F32(elements) => Some(elements),
        _ => None,
    }
}

/// Options that name every choice.
pub fn options(target: Option<Target>) -> (CompileOptions, Stop) {
    let passes = PassOptions { fold_elements: 16, memory_limit: Some(1 << 30) };
    let options = CompileOptions { target, passes, snapshots: Snapshots::None, ..CompileOptions::threads(1) };
    (options, Stop::AfterPass("fuse".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradc::data::Dataset;
    use gradc::nn::metric::Mode;
    use gradc::prelude::{Compile, Fit, Metric, Sequential};

    #[test]
    fn everything_of_a_users_own_trains() {
        let data = Dataset::new(ramp(16), ramp(16)).unwrap();
        let distance = Metric::mean("distance", Mode::Min, |x, y| (x - y).abs().mean_axes([-1]));
        let model = Sequential::new([1]).dense(1).add(Scale::default());
        let (options, _) = options(None);
        let trainer = model.compile(SignSgd(Schedule::from(0.01)), LogCosh, [distance]).unwrap();
        let mut trainer = trainer.with_options(options).unwrap();
        let mut count = EpochCounter::default();
        let history = trainer.fit(&data, Fit::epochs(3).batch(4).callback(&mut count).silent()).unwrap();
        assert_eq!(count.0, 3);
        assert!(history.last("loss").unwrap() < history.get("loss")[0], "{history:?}");
        assert_eq!(elements(&trainer.predict(&data).unwrap()).unwrap().len(), 16);
    }

    #[test]
    fn graphs_and_loops_can_be_looked_at() {
        let step = Sequential::new([1]).dense(1).add(Scale::default());
        let step = gradc::model::Model::inference_graph(&step, 4).unwrap();
        let (options, stop) = options(None);
        let outcome = gradc::compile::run_passes(step.graph, &options, stop).unwrap();
        let gradc::passes::Module::Graph(graph) = outcome.module else { panic!("fuse makes a graph") };
        assert!(gradc::ir::verify(&graph, gradc::ir::Spec::FUSED).is_ok());
    }
}
