//! Tests of layers: shapes, states, statistics, training against inference.

use super::*;
use crate::dsl::{GraphBuilder, Step, f32, f64};
use crate::nn::Activation;
use crate::testing::{Runner, assert_close, check_gradients, eval, random_runner, value};

fn apply(layer: &impl Layer, input: TypeSpec, training: bool) -> Step {
    let g = GraphBuilder::new("test");
    g.set_training(training);
    g.output("y", &layer.apply(&g.input("x", input)));
    g.finish().unwrap_or_else(|e| panic!("{e}"))
}

fn output_shape(layer: &impl Layer, input: &[usize]) -> Vec<usize> {
    apply(layer, f32(input), false).layers[0].outputs[0].shape.dims().to_vec()
}

#[test]
fn output_shapes_are_keras_s() {
    let same = Conv2d::new(8, 3).padding(Padding::Same);
    assert_eq!(output_shape(&Conv2d::new(8, 3), &[2, 28, 28, 1]), [2, 26, 26, 8]);
    assert_eq!(output_shape(&same, &[2, 28, 28, 1]), [2, 28, 28, 8]);
    assert_eq!(output_shape(&same.clone().stride(2), &[2, 7, 8, 1]), [2, 4, 4, 8]);
    assert_eq!(output_shape(&Conv2d::new(8, (1, 3)).dilation((1, 2)), &[2, 9, 9, 1]), [2, 9, 5, 8]);
    assert_eq!(output_shape(&Conv2d::new(8, 3).groups(4), &[2, 9, 9, 4]), [2, 7, 7, 8]);
    let both = Conv2d::new(8, 3).padding(Padding::Both(1.into()));
    assert_eq!(output_shape(&both.stride((2, 1)), &[2, 8, 8, 1]), [2, 4, 8, 8]);
    assert_eq!(output_shape(&MaxPool2d::new(2), &[2, 11, 11, 3]), [2, 5, 5, 3]);
    assert_eq!(output_shape(&MaxPool2d::new(3).stride(2).padding(Padding::Same), &[2, 11, 11, 3]), [2, 6, 6, 3]);
    assert_eq!(output_shape(&AvgPool2d::new((2, 1)), &[2, 4, 4, 3]), [2, 2, 4, 3]);
    assert_eq!(output_shape(&GlobalAvgPool2d, &[2, 4, 4, 3]), [2, 3]);
    assert_eq!(output_shape(&GlobalMaxPool2d, &[2, 4, 4, 3]), [2, 3]);
    assert_eq!(output_shape(&Flatten, &[2, 4, 4, 3]), [2, 48]);
    assert_eq!(output_shape(&Reshape::new([-1, 6]), &[2, 4, 3]), [2, 2, 6]);
    assert_eq!(output_shape(&Dense::new(5), &[2, 7, 3]), [2, 7, 5]);
}

#[test]
fn output_shapes_of_sequences_are_keras_s() {
    let conv = Conv1d::new(8, 3);
    assert_eq!(output_shape(&conv, &[2, 11, 4]), [2, 9, 8]);
    assert_eq!(output_shape(&conv.clone().padding(Padding1d::Same).stride(2), &[2, 11, 4]), [2, 6, 8]);
    assert_eq!(output_shape(&conv.clone().padding(Padding1d::Causal).dilation(3), &[2, 11, 4]), [2, 11, 8]);
    assert_eq!(output_shape(&conv.groups(4).padding(Padding1d::Both(2)), &[2, 11, 4]), [2, 13, 8]);
    assert_eq!(output_shape(&MaxPool1d::new(2), &[2, 11, 3]), [2, 5, 3]);
    assert_eq!(output_shape(&AvgPool1d::new(3).stride(2).padding(Padding1d::Same), &[2, 11, 3]), [2, 6, 3]);
    assert_eq!(output_shape(&GlobalAvgPool1d, &[2, 11, 3]), [2, 3]);
    assert_eq!(output_shape(&GlobalMaxPool1d, &[2, 11, 3]), [2, 3]);
    assert_eq!(output_shape(&LayerNorm::new(), &[2, 11, 3]), [2, 11, 3]);
    assert_eq!(output_shape(&MultiHeadAttention::new(4, 5).output_width(7), &[2, 11, 3]), [2, 11, 7]);
}

#[test]
fn weights_have_keras_s_layouts() {
    let step = apply(&Conv2d::new(8, (3, 5)).groups(2).activation(Activation::Relu), f32([2, 9, 9, 4]), false);
    let types: Vec<String> = step.states.iter().map(|s| format!("{}: {}", s.name, s.ty)).collect();
    assert_eq!(types, ["conv2d/kernel: f32[3,5,2,8]", "conv2d/bias: f32[8]"]);
    let step = apply(&Dense::new(3).use_bias(false), f32([2, 4]), false);
    assert_eq!(step.states.len(), 1);
    assert_eq!(step.states[0].ty.to_string(), "f32[4,3]");
}

#[test]
fn dense_and_convolution_compute_products() {
    let mut runner = Runner::new(&apply(&Dense::new(2), f64([1, 2]), false));
    runner.states.insert("dense/kernel".into(), value(f64([2, 2]), &[1.0, 2.0, 3.0, 4.0]));
    runner.states.insert("dense/bias".into(), value(f64([2]), &[0.5, -0.5]));
    let y = runner.step(&[("x", value(f64([1, 2]), &[10.0, 1.0]))]);
    assert_eq!(y["y"].to_f64_vec(), [13.5, 23.5]);
    // One row of pixels; padding "same" of an even window puts the odd one after.
    let conv = Conv2d::new(1, (1, 2)).padding(Padding::Same);
    let mut runner = Runner::new(&apply(&conv, f64([1, 1, 3, 1]), false));
    runner.states.insert("conv2d/kernel".into(), value(f64([1, 2, 1, 1]), &[1.0, 10.0]));
    runner.states.insert("conv2d/bias".into(), value(f64([1]), &[0.25]));
    let y = runner.step(&[("x", value(f64([1, 1, 3, 1]), &[1.0, 2.0, 3.0]))]);
    assert_eq!(y["y"].to_f64_vec(), [21.25, 32.25, 3.25]);
}

#[test]
fn embeddings_are_rows_that_learn() {
    let g = GraphBuilder::new("test");
    let y = Embedding::new(3, 2).dtype(ir::DType::F64).apply(&g.input("x", crate::dsl::i32([2, 2])));
    assert_eq!(y.shape().unwrap().dims(), [2, 2, 2]);
    let step = g.minimize(y.sum(), &crate::optim::Sgd::new(1.0)).unwrap();
    let mut runner = Runner::new(&step);
    assert!(runner.state("embedding/embeddings").iter().all(|w| w.abs() <= 0.05));
    runner.states.insert("embedding/embeddings".into(), value(f64([3, 2]), &[0.0; 6]));
    runner.step(&[("x", value(crate::dsl::i32([2, 2]), &[2.0, 0.0, 2.0, 2.0]))]);
    assert_eq!(runner.state("embedding/embeddings"), [-1.0, -1.0, 0.0, 0.0, -3.0, -3.0]);
}

/// The sum over taps, by indices: `x [length, channels]`, `kernel [size, channels, filters]`, one group; tap `t` of output `o` reads position
/// `o stride + t dilation - before`.
fn conv1d(
    x: &[f64],
    kernel: &[f64],
    dims: [usize; 4],
    [stride, dilation, before]: [usize; 3],
    outputs: usize,
) -> Vec<f64> {
    let [length, size, channels, filters] = dims;
    let mut y = vec![0.0; outputs * filters];
    for (o, t, c, f) in (0..outputs * size * channels * filters)
        .map(|i| (i / filters / channels / size, i / filters / channels % size, i / filters % channels, i % filters))
    {
        let at = o * stride + t * dilation;
        if (before..before + length).contains(&at) {
            y[o * filters + f] += x[(at - before) * channels + c] * kernel[(t * channels + c) * filters + f];
        }
    }
    y
}

#[test]
fn convolution_of_sequences_is_a_sum_over_taps() {
    let cases = [
        (Conv1d::new(2, 3), [1, 1, 0], 5),
        (Conv1d::new(2, 3).padding(Padding1d::Causal).dilation(2), [1, 2, 4], 7),
        (Conv1d::new(2, 4).padding(Padding1d::Same).stride(2), [2, 1, 1], 4),
    ];
    for (layer, geometry, outputs) in cases {
        let layer = layer.use_bias(false);
        let mut runner = random_runner(&|g| layer.apply(&g.param("x", f64([2, 7, 3]), crate::dsl::zeros())));
        let (x, kernel) = (runner.state("x"), runner.state("conv1d/kernel"));
        let dims = [7, kernel.len() / 6, 3, 2];
        let want: Vec<f64> = x.chunks(21).flat_map(|x| conv1d(x, &kernel, dims, geometry, outputs)).collect();
        assert_close(&runner.step(&[])["y"].to_f64_vec(), &want, 1e-13);
    }
}

#[test]
fn pooling_of_sequences_takes_windows_and_the_global_mean_a_mask() {
    let x = |g: &GraphBuilder| crate::testing::constant(g, &[1, 4, 2], &[1.0, -1.0, 5.0, -2.0, 2.0, -7.0, 3.0, 0.0]);
    assert_eq!(eval(|g| MaxPool1d::new(2).apply(&x(g))), [5.0, -1.0, 3.0, 0.0]);
    assert_eq!(eval(|g| AvgPool1d::new(2).stride(1).padding(Padding1d::Same).apply(&x(g)))[4..], [2.5, -3.5, 3.0, 0.0]);
    assert_eq!(eval(|g| GlobalMaxPool1d.apply(&x(g))), [5.0, 0.0]);
    assert_eq!(eval(|g| GlobalAvgPool1d.apply(&x(g))), [2.75, -2.5]);
    let masked = |mask: [f64; 4]| {
        eval(|g| GlobalAvgPool1d.apply(&x(g).with_mask(&g.constant(value(crate::dsl::bool_([1, 4]), &mask)))))
    };
    assert_eq!(masked([1.0, 0.0, 1.0, 0.0]), [1.5, -4.0]);
    assert_eq!(masked([0.0; 4]), [0.0, 0.0]);
}

#[test]
fn gradients_of_sequence_layers_are_difference_quotients() {
    let x = |g: &GraphBuilder| g.param("x", f64([2, 5, 2]), crate::dsl::zeros());
    check_gradients(|g| Conv1d::new(2, 3).padding(Padding1d::Causal).activation(Activation::Tanh).apply(&x(g)));
    check_gradients(|g| Conv1d::new(4, 2).groups(2).stride(2).apply(&x(g)));
    check_gradients(|g| MaxPool1d::new(2).stride(1).apply(&x(g)));
    check_gradients(|g| AvgPool1d::new(3).padding(Padding1d::Same).apply(&x(g)));
    check_gradients(|g| GlobalMaxPool1d.apply(&x(g)));
    check_gradients(|g| {
        let mask = g.constant(value(crate::dsl::bool_([2, 5]), &[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]));
        GlobalAvgPool1d.apply(&x(g).with_mask(&mask))
    });
}

#[test]
fn a_tied_head_shares_and_trains_the_table() {
    let tied = |g: &GraphBuilder| {
        let ids = g.constant(value(crate::dsl::i32([2, 2]), &[2.0, 0.0, 2.0, 1.0]));
        let h = Embedding::new(3, 2).dtype(ir::DType::F64).apply(&ids).tanh();
        TiedHead::new("embedding").use_bias(true).apply(&h)
    };
    let mut runner = random_runner(&tied);
    let (table, bias) = (runner.state("embedding/embeddings"), runner.state("tied_head/bias"));
    let logit = |id: usize, v: usize| -> f64 {
        bias[v] + (0..2).map(|i| table[id * 2 + i].tanh() * table[v * 2 + i]).sum::<f64>()
    };
    let want: Vec<f64> =
        [2, 0, 2, 1].iter().flat_map(|&id| (0..3).map(move |v| (id, v))).map(|(id, v)| logit(id, v)).collect();
    assert_close(&runner.step(&[])["y"].to_f64_vec(), &want, 1e-14);
    check_gradients(tied);
    let g = GraphBuilder::new("test");
    let _ = TiedHead::new("other").apply(&g.input("h", f64([2, 2])));
    let error = g.finish().unwrap_err().to_string();
    assert!(error.contains("no layer \"other\" with a table was applied before"), "{error}");
}

#[test]
fn dropout_keeps_the_expectation_and_is_the_identity_in_inference() {
    let n = 40_000;
    let mut runner = Runner::new(&apply(&Dropout::new(0.25), f32([4, n / 4]), true));
    let ones = value(f32([4, n / 4]), &vec![1.0; n]);
    let first = runner.step(&[("x", ones.clone())])["y"].clone();
    let y = first.to_f64_vec();
    assert!(y.iter().all(|&v| v == 0.0 || (v - 4.0 / 3.0).abs() < 1e-6));
    let dropped = y.iter().filter(|&&v| v == 0.0).count() as f64 / n as f64;
    // Five standard deviations of a binomial share.
    assert!((dropped - 0.25).abs() < 5.0 * (0.25 * 0.75 / n as f64).sqrt(), "{dropped}");
    assert_ne!(runner.step(&[("x", ones.clone())])["y"], first, "the mask is new in each step");
    let step = apply(&Dropout::new(0.25), f32([4, n / 4]), false);
    assert!(step.states.is_empty());
    assert_eq!(Runner::new(&step).step(&[("x", ones.clone())])["y"], ones);
}

#[test]
fn batch_normalization_uses_the_batch_in_training_and_the_moving_statistics_otherwise() {
    let layer = BatchNorm::new().momentum(0.9).epsilon(1e-5);
    let x = value(f64([4, 2]), &[1.0, 10.0, 2.0, 10.0, 3.0, 30.0, 6.0, 30.0]);
    let mut runner = Runner::new(&apply(&layer, f64([4, 2]), true));
    let y = runner.step(&[("x", x.clone())])["y"].to_f64_vec();
    let (a, b) = ((3.5f64 + 1e-5).sqrt(), (100.0f64 + 1e-5).sqrt());
    let want = [-2.0 / a, -10.0 / b, -1.0 / a, -10.0 / b, 0.0, 10.0 / b, 3.0 / a, 10.0 / b];
    assert_close(&y, &want, 1e-14);
    assert_close(&runner.state("batch_normalization/moving_mean"), &[0.3, 2.0], 1e-14);
    assert_close(&runner.state("batch_normalization/moving_variance"), &[0.9 + 0.35, 0.9 + 10.0], 1e-14);
    let trained = runner.states.clone();
    let mut runner = Runner::new(&apply(&layer, f64([4, 2]), false));
    assert_eq!(runner.states.keys().collect::<Vec<_>>(), trained.keys().collect::<Vec<_>>());
    runner.states = trained.clone();
    let y = runner.step(&[("x", x)])["y"].to_f64_vec();
    assert_close(&y[..2], &[0.7 / (1.25f64 + 1e-5).sqrt(), 8.0 / (10.9f64 + 1e-5).sqrt()], 1e-14);
    assert_eq!(runner.states, trained, "inference changes nothing");
}

#[test]
fn regularizers_add_penalties() {
    let got = eval(|g| {
        let w = g.state("w", f64([3]), crate::dsl::Initializer::Given(value(f64([3]), &[1.0, -2.0, 3.0])));
        Regularizer { l1: 0.5, l2: 0.1 }.apply(&w);
        g.with_penalties(&g.scalar(1.0, ir::DType::F64))
    });
    assert_close(&got, &[1.0 + 3.0 + 1.4], 1e-14);
}

#[test]
fn layers_check_their_input() {
    let g = GraphBuilder::new("test");
    let image = g.input("image", f32([2, 4, 4, 3]));
    let line = line!() + 1;
    let _ = Conv2d::new(8, 5).apply(&image);
    let _ = Conv2d::new(8, 3).groups(2).apply(&image);
    let _ = MaxPool2d::new(2).apply(&Flatten.apply(&image));
    let _ = Dense::new(3).apply(&g.input("vector", f32([4])));
    let _ = Dropout::new(1.0).apply(&image);
    let texts: Vec<String> = g.finish().unwrap_err().diagnostics.iter().map(ToString::to_string).collect();
    let wants = [
        "in layer conv2d: conv2d of f32[2,4,4,3]: the window's extent 5 is over the input's height 4",
        "in layer conv2d_1: conv2d of f32[2,4,4,3]: 2 groups must divide 3 channels and 8 filters",
        "in layer max_pooling2d: max_pooling2d of f32[2,48]: the input must be [batch, height, width, channels], it has 2 axes",
        "in layer dense: dense of f32[4]: the input must be [batch, ..., features]",
        "in layer dropout: dropout of f32[2,4,4,3]: the rate must be at least 0 and below 1, not 1",
    ];
    assert_eq!(texts.len(), wants.len(), "{texts:#?}");
    for (i, (text, want)) in texts.iter().zip(wants).enumerate() {
        let place = format!("src/nn/layer/tests.rs:{}:", line + i as u32);
        assert!(text.starts_with(&place) && text.ends_with(want), "{text}\nnot at {place} or lacks\n{want}");
    }
}

/// `f` of 4 samples of 64 positions of 16 channels, all ones, in training.
fn noisy(layer: &impl Layer) -> Vec<f64> {
    let g = GraphBuilder::new("test");
    g.set_training(true);
    g.output("y", &layer.apply(&g.ones(f64([4, 64, 16]))));
    Runner::new(&g.finish().unwrap_or_else(|e| panic!("{e}"))).step(&[])["y"].to_f64_vec()
}

/// Mean and standard deviation.
fn moments(x: &[f64]) -> (f64, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    (mean, (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64).sqrt())
}

#[test]
fn noise_has_its_mean_and_deviation() {
    // 4096 elements: five standard deviations of a mean, and of a deviation, are below a tenth of the deviation.
    for (found, mean, deviation) in [
        (noisy(&GaussianNoise::new(0.5)), 1.0, 0.5),
        (noisy(&GaussianDropout::new(0.2)), 1.0, 0.5),
        (noisy(&Dropout::new(0.5)), 1.0, 1.0),
    ] {
        let (m, d) = moments(&found);
        assert!((m - mean).abs() < 0.1 * deviation && (d - deviation).abs() < 0.1 * deviation, "{m} {d}");
    }
    // Of standard normal elements alpha dropout keeps mean and deviation.
    let g = GraphBuilder::new("test");
    g.set_training(true);
    g.output("y", &AlphaDropout::new(0.3).apply(&g.random_normal(f64([64, 64]))));
    let (m, d) = moments(&Runner::new(&g.finish().unwrap()).step(&[])["y"].to_f64_vec());
    assert!(m.abs() < 0.1 && (d - 1.0).abs() < 0.1, "{m} {d}");
}

#[test]
fn channels_and_samples_drop_as_a_whole() {
    let channels = noisy(&SpatialDropout::new(0.5));
    for (i, &y) in channels.iter().enumerate() {
        assert_eq!(y, channels[i / 1024 * 1024 + i % 16], "element {i} is not as the first position of its channel");
    }
    let dropped = channels.iter().filter(|&&y| y == 0.0).count();
    assert!(channels.iter().all(|&y| y == 0.0 || y == 2.0) && dropped > 0 && dropped < channels.len());
    let samples: Vec<Vec<f64>> = noisy(&StochasticDepth::new(0.5)).chunks(1024).map(<[f64]>::to_vec).collect();
    assert!(samples.iter().all(|sample| sample.iter().all(|&y| y == sample[0] && (y == 0.0 || y == 2.0))));
    let x = f64([4, 8, 2]);
    for layer in [&SpatialDropout::new(0.5) as &dyn Layer, &StochasticDepth::new(0.5), &AlphaDropout::new(0.5)] {
        let step = apply(&layer, x.clone(), false);
        assert_eq!(step.graph.len(), 1, "{} does something without training", layer.kind());
    }
}

/// Channels become the limit or stay, as wholes, and both are moved so that mean and deviation of normal elements are kept.
#[test]
fn alpha_dropout_of_features_takes_whole_channels() {
    let (rate, limit) = (0.25f64, -1.758_099_340_847_376_6);
    let scale = 1.0 / ((1.0 - rate) * (1.0 + rate * limit * limit)).sqrt();
    let [kept, dropped] = [1.0, limit].map(|x| x * scale - scale * limit * rate);
    let found = noisy(&FeatureAlphaDropout::new(rate));
    let is = |y: f64, want: f64| (y - want).abs() < 1e-12;
    for (i, &y) in found.iter().enumerate() {
        assert_eq!(y, found[i / 1024 * 1024 + i % 16], "element {i} is not as the first position of its channel");
        assert!(is(y, kept) || is(y, dropped), "{y}, not {kept} or {dropped}");
    }
    // Of 64 channels; which ones differs between samples.
    let gone: Vec<bool> = (0..64).map(|i| is(found[i / 16 * 1024 + i % 16], dropped)).collect();
    let count = gone.iter().filter(|gone| **gone).count();
    assert!((4..32).contains(&count) && gone[..16] != gone[16..32], "{gone:?}");
}

/// In training, elements below 0 have slopes of their own, of the whole range; those above stay.
#[test]
fn randomized_rectifiers_draw_a_slope_for_each_element() {
    let g = GraphBuilder::new("test");
    g.set_training(true);
    let ones = g.ones(f64([4, 64, 16]));
    let y = RRelu::new(0.2, 0.6).apply(&ones.concat(&[&-&ones], 0));
    g.output("y", &y);
    g.output("d", &g.gradients(&y.sum(), &[&ones]).remove(0));
    let found = Runner::new(&g.finish().unwrap()).step(&[]);
    let y = found["y"].to_f64_vec();
    let (above, below) = y.split_at(4096);
    assert!(above.iter().all(|&y| y == 1.0) && below.iter().all(|&y| (-0.6..=-0.2).contains(&y)));
    let (mean, deviation) = moments(below);
    assert!((mean + 0.4).abs() < 0.01 && (deviation - 0.4 / 12f64.sqrt()).abs() < 0.01, "{mean} {deviation}");
    // The slope is the derivative.
    assert_close(&found["d"].to_f64_vec(), &below.iter().map(|y| 1.0 + y).collect::<Vec<f64>>(), 1e-12);
}

#[test]
fn output_shapes_of_layers_that_enlarge_are_keras_s() {
    let image = [2, 5, 4, 6];
    assert_eq!(output_shape(&Conv2dTranspose::new(8, 3), &image), [2, 7, 6, 8]);
    assert_eq!(output_shape(&Conv2dTranspose::new(8, 2).stride(3), &image), [2, 15, 12, 8]);
    assert_eq!(output_shape(&Conv2dTranspose::new(8, 3).stride(2).padding(Padding::Same), &image), [2, 10, 8, 8]);
    assert_eq!(output_shape(&SeparableConv2d::new(8, 3).padding(Padding::Same).stride(2), &image), [2, 3, 2, 8]);
    assert_eq!(output_shape(&DepthwiseConv2d::new(3).depth_multiplier(2), &image), [2, 3, 2, 12]);
    assert_eq!(output_shape(&Conv3d::new(8, (1, 2, 3)), &[2, 5, 5, 5, 3]), [2, 5, 4, 3, 8]);
    assert_eq!(output_shape(&GlobalMaxPool3d, &[2, 5, 5, 5, 3]), [2, 3]);
    assert_eq!(output_shape(&GlobalAvgPool3d, &[2, 5, 5, 5, 3]), [2, 3]);
    let step = apply(&SeparableConv2d::new(8, 3).depth_multiplier(2), f32([2, 5, 4, 6]), false);
    let types: Vec<String> = step.states.iter().map(|s| format!("{}: {}", s.name, s.ty)).collect();
    let wants = ["depthwise_kernel: f32[3,3,6,2]", "pointwise_kernel: f32[1,1,12,8]", "bias: f32[8]"];
    assert_eq!(types, wants.map(|part| format!("separable_conv2d/{part}")));
    assert_eq!(step.parameter_count(), 3 * 3 * 12 + 12 * 8 + 8);
}

#[test]
fn newer_layers_check_their_input() {
    let g = GraphBuilder::new("test");
    let image = g.input("image", f32([2, 4, 4, 3]));
    let line = line!() + 1;
    let _ = Conv2dTranspose::new(8, 3).padding(Padding::Both(5.into())).apply(&image);
    let _ = Conv2dTranspose::new(8, 3).stride(2).output_padding(2).apply(&image);
    let _ = Conv3d::new(8, 3).apply(&image);
    let _ = DepthwiseConv2d::new(3).depth_multiplier(0).apply(&image);
    let _ = Cropping2d::new([(1, 1), (2, 2)]).apply(&image);
    let _ = PixelShuffle::new(2).apply(&image);
    let _ = PRelu::new().shared_axes([4]).apply(&image);
    let _ = Activation::Glu.apply(&image);
    let _ = AlphaDropout::new(1.0).apply(&image);
    let _ = UpSampling2d::new(0).apply(&image);
    let texts: Vec<String> = g.finish().unwrap_err().diagnostics.iter().map(ToString::to_string).collect();
    let wants = [
        "conv2d_transpose of f32[2,4,4,3]: padding 5 takes away all of the result's height 6",
        "conv2d_transpose of f32[2,4,4,3]: the output padding along the height must be below the stride 2",
        "conv3d of f32[2,4,4,3]: the input must be [batch, depth, height, width, channels], it has 4 axes",
        "depthwise_conv2d of f32[2,4,4,3]: the depth multiplier 0 must be at least 1, and its product with 3 channels fit memory",
        "cropping2d of f32[2,4,4,3]: cutting 2 and 2 elements leaves none of the 4 along spatial axis 1",
        "pixel_shuffle of f32[2,4,4,3]: the square of the factor 2 must divide the 3 channels",
        "p_re_lu of f32[2,4,4,3]: shared axis 4 is out of range: valid are 1 to 3",
        "glu of f32[2,4,4,3]: the last axis must have an even extent: its halves are the values and their gates",
        "alpha_dropout of f32[2,4,4,3]: the rate must be at least 0 and below 1",
        "up_sampling2d of f32[2,4,4,3]: factors [0, 0] must be at least 1, and what they make of the input fit memory",
    ];
    assert_eq!(texts.len(), wants.len(), "{texts:#?}");
    for (i, (text, want)) in texts.iter().zip(wants).enumerate() {
        let place = format!("src/nn/layer/tests.rs:{}:", line + i as u32);
        assert!(text.starts_with(&place) && text.ends_with(want), "{text}\nnot at {place} or lacks\n{want}");
    }
}
