//! What bytes keep of a model.

use crate::prelude::*;
use crate::train::{Calibration, Quantization};
use ir::Scalar;

/// Numbers between -1 and 1.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut random = ir::SplitMix64::new(seed);
    (0..n).map(|_| (random.bits() >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect()
}

fn data(dims: &[usize], seed: u64) -> Dataset {
    let n = dims.iter().product();
    let labels = (0..dims[0] as i32).map(|i| i % 3).collect();
    Dataset::new(array(dims, noise(n, seed)).unwrap(), array([dims[0]], labels).unwrap()).unwrap()
}

fn trainer(model: &Sequential) -> Trainer {
    model.compile(Adam::default(), SparseCategoricalCrossEntropy, []).unwrap().with_batch(8).unwrap()
}

/// The largest difference of outputs, as a share of the largest output.
fn error(trainer: &mut Trainer, data: &Dataset, options: Quantization) -> f64 {
    let quantized = trainer.quantize(data, options).unwrap();
    let exact = trainer.predict(data).unwrap().to_f64_vec();
    let bytes = quantized.predictor().predict(data).unwrap().to_f64_vec();
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |most: f64, value| most.max(value.abs()));
    largest(&mut exact.iter().zip(&bytes).map(|(a, b)| a - b)) / largest(&mut exact.iter().copied())
}

/// Ranges with numbers below 0, so that zero points aren't 0; borders, strides, dilations, one channel and three, odd numbers of channels and features, poolings.
#[test]
fn outputs_stay_near() {
    let border = |filters| Conv2d::new(filters, 3).padding(Padding::Same);
    let models = [
        ("dense", Sequential::new([11]).dense(17).tanh().dense(3), vec![20, 11]),
        (
            "nothing between",
            Sequential::new([11]).add(Dense::new(4).use_bias(false)).dense(9).tanh().dense(3),
            vec![20, 11],
        ),
        (
            "one channel",
            Sequential::new([9, 8, 1]).add(border(6)).relu().max_pool2d(2).flatten().dense(3),
            vec![11, 9, 8, 1],
        ),
        (
            "strides",
            Sequential::new([9, 8, 1]).add(border(6).stride(2)).tanh().add(border(7).dilation(2)).flatten().dense(3),
            vec![9, 9, 8, 1],
        ),
        (
            "three channels",
            Sequential::new([9, 8, 3]).conv2d(8, 3).batch_norm().relu().conv2d(5, (2, 3)).global_avg_pool2d().dense(3),
            vec![9, 9, 8, 3],
        ),
        ("along time", Sequential::new([12, 2]).conv1d(6, 5).relu().max_pool1d(2).flatten().dense(3), vec![9, 12, 2]),
    ];
    for (name, model, dims) in models {
        let (mut trainer, data) = (trainer(&model), data(&dims, 3));
        // What moving averages cut off is more than what is rounded.
        let average = Quantization::new().calibration(Calibration::MovingAverage(0.5));
        // Of so few values percentiles cut off little, but what they leave is a mean over batches, too.
        let percentile = Quantization::new().calibration(Calibration::Percentile(0.999));
        for (options, limit) in [(Quantization::new(), 0.04), (average, 0.2), (percentile, 0.2)] {
            let error = error(&mut trainer, &data, options);
            // Zero would mean that nothing was rounded.
            assert!(error > 0.0 && error < limit, "{name}, {options:?}: {error}");
        }
    }
}

/// An outlier in a thousand, which would leave nothing of all others, is cut off; the range is the mean of what batches have.
#[test]
fn percentiles_leave_outliers_out() {
    let mut trainer = trainer(&Sequential::new([4]).dense(3)).with_batch(250).unwrap();
    let mut x: Vec<f32> = (0..2000).map(|i| (i % 1000) as f32 / 999.0 - 0.25).collect();
    (x[10], x[1500]) = (1e6, -3e5);
    let data = Dataset::new(array([500, 4], x).unwrap(), array([500], vec![0i32; 500]).unwrap()).unwrap();
    let mut range =
        |calibration| trainer.quantize(&data, Quantization::new().calibration(calibration)).unwrap().layers()[0].range;
    let (least, greatest) = range(Calibration::Percentile(0.99));
    assert!((least + 0.24).abs() < 0.01 && (greatest - 0.74).abs() < 0.01, "{least} {greatest}");
    assert_eq!(range(Calibration::Percentile(1.0)).1, range(Calibration::MovingAverage(0.5)).1);
    assert!(range(Calibration::MinMax).1 > 9e5);
}

/// Numbers that are multiples of a scale, and kernels of few whole numbers, lose nothing.
#[test]
fn what_bytes_can_say_is_exact() {
    let model = Sequential::new([4]).dense(2);
    let mut trainer = trainer(&model);
    let mut weights = trainer.weights().unwrap();
    let kernel = array([4, 2], vec![127.0f32, 2.0, -3.0, 254.0, 5.0, 0.0, 1.0, -2.0]).unwrap();
    weights.insert("dense/kernel".into(), kernel);
    trainer.set_weights(weights).unwrap();
    let x = array([3, 4], vec![255.0f32, 0.0, 1.0, 2.0, 3.0, 4.0, 200.0, 100.0, 7.0, 8.0, 9.0, 0.0]).unwrap();
    let data = Dataset::new(x, array([3], vec![0i32, 1, 0]).unwrap()).unwrap();
    let quantized = trainer.quantize(&data, Quantization::new()).unwrap();
    assert_eq!(quantized.layers()[0].range, (0.0, 255.0));
    assert_eq!(quantized.predictor().predict(&data).unwrap(), trainer.predict(&data).unwrap());
}

#[test]
fn kernels_take_a_quarter_and_the_graph_says_integers() {
    let model = Sequential::new([16, 16, 8]).conv2d(64, 3).relu().flatten().dense(32);
    let mut trainer = trainer(&model);
    let floats = trainer.predictor().unwrap().bytes();
    let quantized = trainer.quantize(&data(&[8, 16, 16, 8], 1), Quantization::new().batches(1)).unwrap();
    let bytes = quantized.predictor().bytes();
    assert!(bytes * 39 < floats * 10, "{bytes} of {floats}");
    let text = quantized.step().graph.to_string();
    assert!(text.contains("i8[3,3,2,64,4]") && !text.contains("f32[3,3,8,64]"), "{text}");
    let kernels: Vec<&str> = quantized.layers().iter().map(|layer| layer.kernel.as_str()).collect();
    assert_eq!(kernels, ["conv2d/kernel", "dense/kernel"]);
}

/// A layer that is applied twice has one kernel, and a range for each application.
#[test]
fn a_shared_layer_has_one_kernel() {
    let shared = std::sync::Arc::new(Dense::new(6));
    let model = Sequential::new([6]).add(shared.clone()).relu().add(shared).dense(3);
    let (mut trainer, data) = (trainer(&model), data(&[9, 6], 2));
    let quantized = trainer.quantize(&data, Quantization::new()).unwrap();
    assert_eq!(quantized.layers().len(), 3);
    assert_eq!(quantized.step().states.iter().filter(|state| state.ty.dtype == DType::I8).count(), 2);
    assert!(error(&mut trainer, &data, Quantization::new()) < 0.06);
}

#[test]
fn what_has_no_range_is_refused() {
    let message = |result: Result<crate::train::QuantizedModel, TrainError>| result.unwrap_err().to_string();
    let model = Sequential::new([4]).dense(3);
    let mut trainer = trainer(&model);
    let none = message(trainer.quantize(&data(&[4, 4], 1), Quantization::new().batches(0)));
    assert_eq!(none, "calibration needs at least one sample");
    let rate = Quantization::new().calibration(Calibration::MovingAverage(f32::NAN));
    assert!(message(trainer.quantize(&data(&[4, 4], 1), rate)).contains("needs a rate above 0 and at most 1, not NaN"));
    for share in [0.5, 1.5, f32::NAN] {
        let share = Quantization::new().calibration(Calibration::Percentile(share));
        assert!(message(trainer.quantize(&data(&[4, 4], 1), share)).contains("above 1/2 and at most 1, not"));
    }
    for hole in [f32::NAN, f32::INFINITY] {
        let x = array([2, 4], vec![0.0, 1.0, hole, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap();
        let data = Dataset::new(x, array([2], vec![0i32, 1]).unwrap()).unwrap();
        let refused = message(trainer.quantize(&data, Quantization::new()));
        assert!(refused.contains("tests.rs:") && refused.contains("`dense/kernel` gets values from"), "{refused}");
    }
    let mut weights = trainer.weights().unwrap();
    let Some(kernel) = weights.get_mut("dense/kernel") else { panic!("there is a kernel") };
    kernel.data_mut().set(5, Scalar::F32(f32::NEG_INFINITY));
    trainer.set_weights(weights).unwrap();
    let refused = message(trainer.quantize(&data(&[4, 4], 1), Quantization::new()));
    assert_eq!(refused, "`dense/kernel` holds numbers that aren't finite");
    let mut without = self::trainer(&Sequential::new([4]).layer_norm());
    assert!(message(without.quantize(&data(&[4, 4], 1), Quantization::new())).starts_with("nothing to quantize"));
}
