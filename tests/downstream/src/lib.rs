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
    let passes = PassOptions { fold_elements: 16, memory_limit: Some(1 << 30), check_numerics: false };
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

/// What a user tests of his own with what `gradc::testing` has.
#[cfg(test)]
mod own_tests {
    use super::*;
    use gradc::compile::CompileOptions;
    use gradc::data::array;
    use gradc::dsl::{GraphBuilder, f32, f64, normal};
    use gradc::io::save_tensors;
    use gradc::ir::{Graph, Op};
    use gradc::nn::MeanSquaredError;
    use gradc::prelude::{Compile, Sequential, Sgd};
    use gradc::testing::{
        GradientTest, TestingError, Tolerance, apply_passes, compare_graphs, compare_snapshot, compare_with_file,
    };
    use std::path::Path;

    #[test]
    fn gradients_of_a_loss_and_of_a_layer_are_right() {
        let loss = |g: &GraphBuilder| {
            let [output, target] = ["output", "target"].map(|name| g.param(name, f64([3, 2]), normal(0.0, 1.0)));
            LogCosh.per_sample(&output, &target)
        };
        assert_eq!(GradientTest::new().function(loss).unwrap(), 12);
        let model = Sequential::of(f64([2])).dense(3).add(Scale::default()).tanh().dense(1);
        let x = array([2, 2], vec![0.5f64, -1.0, 2.0, 0.25]).unwrap();
        let y = array([2, 1], vec![1.0f64, -1.0]).unwrap();
        let samples = [("x", &x), ("y", &y)];
        assert_eq!(GradientTest::new().model(&model, &MeanSquaredError, &samples).unwrap(), 6 + 3 + 1 + 3 + 1);
        let few = GradientTest::new().elements(2).model(&model, &LogCosh, &samples).unwrap();
        assert_eq!(few, 2 + 2 + 1 + 2 + 1);
        let coarse = Sequential::new([2]).dense(1);
        let x = array([1, 2], vec![0.5f32, -1.0]).unwrap();
        let y = array([1, 1], vec![1.0f32]).unwrap();
        let error = GradientTest::new().model(&coarse, &MeanSquaredError, &[("x", &x), ("y", &y)]).unwrap_err();
        assert!(matches!(error, TestingError::NotF64 { parameter, .. } if parameter == "dense/kernel"));
    }

    fn graph(declare: impl Fn(&Tensor) -> Tensor) -> Graph {
        let g = GraphBuilder::new("own");
        g.output("y", &declare(&g.input("x", f32([4, 3]))));
        g.finish().unwrap().graph
    }

    #[test]
    fn what_passes_make_is_kept_as_a_snapshot() {
        let text = apply_passes(&graph(|x| (x * 1.0).relu()), &["simplify", "dce"]).unwrap();
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/snapshots/relu.snap");
        compare_snapshot(kept, &text).unwrap();
        let left = Graph::parse(&text).unwrap();
        let ops: Vec<&str> = left.ids().map(|id| left.op(id).name()).collect();
        assert_eq!(ops, ["input", "relu"], "{text}");
        assert!(left.ids().any(|id| matches!(left.op(id), Op::Input(_))));
        assert!(apply_passes(&left, &["tile"]).is_err(), "there are no loops yet");
    }

    #[test]
    fn graphs_are_compared_by_what_they_compute() {
        let softmax = graph(|x| x.softmax(-1));
        let by_hand = graph(|x| x.exp() / x.exp().sum_keepdims([-1]));
        compare_graphs(&softmax, &by_hand, 1).unwrap();
        assert!(matches!(compare_graphs(&softmax, &graph(|x| x.softmax(0)), 1), Err(TestingError::Graphs(_))));
    }

    #[test]
    fn a_model_is_compared_with_numbers_from_elsewhere() {
        let dir = std::env::temp_dir().join(format!("gradc-downstream-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("numbers.safetensors");
        let save = |last: f64| {
            let tensors = [
                ("x", array([2, 1], vec![1.0f64, -2.0]).unwrap()),
                ("scale/scale", Value::splat(Scalar::F64(3.0), Shape::new([]).unwrap())),
                ("output", array([2, 1], vec![3.0f64, last]).unwrap()),
            ];
            save_tensors(&path, &tensors.map(|(name, value)| (name.to_string(), value)).into()).unwrap();
        };
        let model = Sequential::new([1]).add(Scale::default());
        let trainer = model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
        let mut trainer = trainer.with_options(CompileOptions::threads(1)).unwrap();
        save(-6.0);
        compare_with_file(&mut trainer, &path, Tolerance::default()).unwrap();
        save(-6.5);
        let error = compare_with_file(&mut trainer, &path, Tolerance::default()).unwrap_err();
        let is_last = |place: &[usize], found| place == [1, 0] && found == -6.0;
        assert!(matches!(&error, TestingError::Value { place, found, .. } if is_last(place, *found)), "{error}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
