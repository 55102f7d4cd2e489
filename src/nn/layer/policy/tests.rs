//! Tests of policies: types of all states, what is rounded and what isn't.

use crate::dsl::{DType, Policy, StateRole, Step, Tensor, f32, i32};
use crate::model::{Functional, Model, Sequential};
use crate::nn::{
    AlphaDropout, BatchNorm, Bidirectional, Conv1dTranspose, Conv2dTranspose, Conv3d, Conv3dTranspose, Dense,
    DepthwiseConv1d, DepthwiseConv2d, Embedding, FeatureAlphaDropout, GaussianDropout, GaussianNoise, GroupNorm, Gru,
    Interpolation, Layer, LayerNorm, LearnedPositions, Lstm, MeanSquaredError, MultiHeadAttention, PRelu, PixelShuffle,
    Regularizer, RmsNorm, SeparableConv2d, SparseCategoricalCrossEntropy, SpatialDropout, TiedHead, TransformerBlock,
    UpSampling2d, WithPolicy,
};
use crate::optim::{Adam, LossScale, Optimizer, Sgd};
use crate::testing::{Runner, assert_close, random, value};
use ir::Scalar;

/// A number rounded to `bf16`.
fn rounded(x: f64) -> f64 {
    Scalar::from_f64(x, DType::Bf16).as_f64()
}

fn sequence(x: &Tensor) -> Tensor {
    let h = LearnedPositions::new(6).apply(&Embedding::new(9, 8).apply(x));
    let h = TransformerBlock::new(2).causal(true).dropout(0.1).apply(&h);
    let h = BatchNorm::new().apply(&GroupNorm::new(2).apply(&RmsNorm::new().apply(&LayerNorm::new().apply(&h))));
    let h = Bidirectional::new(Gru::new(4).return_sequences(true)).apply(&h);
    let h = Lstm::new(8).return_sequences(true).apply(&MultiHeadAttention::new(2, 4).apply(&h));
    TiedHead::new("embedding").use_bias(true).apply(&h)
}

fn images() -> Sequential {
    let model = Sequential::new([8, 8, 1]).conv2d(4, 3).batch_norm().relu().max_pool2d(2).flatten();
    model.dense(16).gelu().dropout(0.5).dense(3).softmax()
}

fn check_types(model: impl Model, compute: DType) {
    let step = model.training_graph(2, &SparseCategoricalCrossEntropy, &[], &Adam::default()).unwrap();
    for state in step.states.iter().filter(|state| state.role != StateRole::Runtime) {
        assert_eq!(state.ty.dtype, DType::F32, "{}", state.name);
    }
    assert!(step.layers.len() > 5);
    for layer in &step.layers {
        let types: Vec<DType> = layer.outputs.iter().map(|ty| ty.dtype).collect();
        assert!(types.iter().all(|&dtype| dtype == compute), "{}: {types:?}", layer.name);
    }
    let loss = step.graph.output("loss").unwrap();
    assert_eq!(step.graph.ty(loss).dtype, DType::F32);
    let inference = model.inference_graph(2).unwrap();
    let output = inference.graph.output("output").unwrap();
    assert_eq!(inference.graph.ty(output).dtype, DType::F32);
}

#[test]
fn states_are_f32_and_all_layers_compute_in_16_bits() {
    for (policy, compute) in [(Policy::mixed_bf16(), DType::Bf16), (Policy::mixed_f16(), DType::F16)] {
        check_types(images().with_policy(policy), compute);
        check_types(WithPolicy::new(Functional::new(i32([6]), sequence), policy), compute);
    }
}

/// A dense layer without bias from 1 to 1, its input 1/3, its target 0, and its kernel at first.
fn single(kernel: f64, dense: Dense, optimizer: &dyn Optimizer) -> Runner {
    let model = Sequential::new([1]).add(dense.use_bias(false)).with_policy(Policy::mixed_bf16());
    let step: Step = model.training_graph(1, &MeanSquaredError, &[], optimizer).unwrap();
    let mut runner = Runner::new(&step);
    runner.states.insert("dense/kernel".into(), value(f32([1, 1]), &[kernel]));
    runner
}

#[test]
fn factors_are_rounded_and_the_master_moves_by_less_than_a_rounding() {
    let (x, kernel, rate) = (1.0 / 3.0, 1.1, 1e-4);
    let mut runner = single(kernel, Dense::new(1), &Sgd::new(rate));
    let out = runner.step(&[("x", value(f32([1, 1]), &[x])), ("y", value(f32([1, 1]), &[0.0]))]);
    let y = rounded(rounded(x) * rounded(kernel));
    assert_close(&out["loss"].to_f64_vec(), &[y * y], 1e-6);
    let gradient = rounded(rounded(2.0 * y) * rounded(x));
    let moved = runner.state("dense/kernel")[0];
    assert_close(&[moved], &[kernel - rate * gradient], 1e-6);
    assert!(moved < kernel && rounded(moved) == rounded(kernel), "{moved}");
}

#[test]
fn penalties_are_of_the_unrounded_weight() {
    let kernel = 1.1;
    let mut runner = single(kernel, Dense::new(1).kernel_regularizer(Regularizer::l2(1.0)), &Sgd::new(0.1));
    let out = runner.step(&[("x", value(f32([1, 1]), &[0.0])), ("y", value(f32([1, 1]), &[0.0]))]);
    assert_close(&out["loss"].to_f64_vec(), &[kernel * kernel], 1e-6);
    assert!((rounded(kernel).powi(2) - kernel * kernel).abs() > 1e-3);
    assert_close(&runner.state("dense/kernel"), &[kernel - 0.1 * 2.0 * kernel], 1e-6);
}

#[test]
fn norms_use_the_unrounded_gamma() {
    let model =
        WithPolicy::new(Functional::new(f32([2]), |x| LayerNorm::new().epsilon(0.0).apply(x)), Policy::mixed_bf16());
    let mut runner = Runner::new(&model.inference_graph(1).unwrap());
    let gamma = 1.0 + 3.0 / 1024.0;
    runner.states.insert("layer_normalization/gamma".into(), value(f32([2]), &[gamma; 2]));
    runner.states.insert("layer_normalization/beta".into(), value(f32([2]), &[1.0 / 512.0; 2]));
    let out = runner.step(&[("x", value(f32([1, 2]), &[-4.0, 4.0]))]);
    // With a rounded gamma, 1, the second would be 1.
    let exact = gamma + 1.0 / 512.0;
    assert_close(&out["output"].to_f64_vec(), &[rounded(1.0 / 512.0 - gamma), rounded(exact)], 0.0);
    assert!(rounded(exact) > 1.0);
}

#[test]
fn losses_see_the_logits_behind_a_softmax() {
    let losses = [false, true].map(|squashed| {
        let model = Sequential::new([2]);
        let model = if squashed { model.softmax() } else { model }.with_policy(Policy::mixed_bf16());
        let step = model.evaluation_graph(1, &SparseCategoricalCrossEntropy, &[]).unwrap();
        let out = Runner::new(&step).step(&[("x", value(f32([1, 2]), &[0.0, 64.0])), ("y", value(i32([1]), &[0.0]))]);
        out["loss"].to_f64_vec()
    });
    assert_eq!(losses, [[64.0], [64.0]]);
}

#[test]
fn a_model_is_a_layer_of_another_one_with_a_policy() {
    let encoder = Sequential::new([4]).dense(3).relu();
    let model =
        Sequential::new([4]).add(encoder.with_policy(Policy::float32())).dense(2).with_policy(Policy::mixed_bf16());
    let types = |model: &dyn Fn() -> Step| -> Vec<(String, DType)> {
        model().layers.iter().map(|layer| (layer.name.clone(), layer.outputs[0].dtype)).collect()
    };
    let found = types(&|| model.inference_graph(1).unwrap());
    let wanted = [
        ("sequential", DType::F32),
        ("sequential/dense", DType::F32),
        ("sequential/relu", DType::F32),
        ("dense", DType::Bf16),
    ];
    assert_eq!(found, wanted.map(|(name, dtype)| (name.to_string(), dtype)));
    let inner = Sequential::new([4]).add(Sequential::new([4]).dense(3)).with_policy(Policy::mixed_f16());
    let found = types(&|| inner.inference_graph(1).unwrap());
    assert!(found.iter().all(|(_, dtype)| *dtype == DType::F16), "{found:?}");
}

/// The losses of two steps of a model of one layer, a mean over all positions and a dense layer.
fn two_losses(dims: &[usize], layer: fn(&Tensor) -> Tensor, policy: Policy) -> Vec<f64> {
    let model = move |x: &Tensor| {
        let h = layer(x);
        let axes: Vec<isize> = (1..h.shape().map_or(0, |shape| shape.rank()) as isize - 1).collect();
        Dense::new(3).apply(&h.mean_axes(axes))
    };
    let model = WithPolicy::new(Functional::new(f32(dims), model), policy);
    let scaled = Sgd::new(0.1).loss_scale(LossScale::fixed(128.0));
    let plain = Sgd::new(0.1);
    let sgd: &dyn Optimizer = if policy.compute_dtype() == DType::F16 { &scaled } else { &plain };
    let mut runner = Runner::new(&model.training_graph(4, &MeanSquaredError, &[], sgd).unwrap());
    let count = 4 * dims.iter().product::<usize>();
    let mut step = || {
        let x = value(f32([&[4], dims].concat()), &random(7, count));
        let out = runner.step(&[("x", x), ("y", value(f32([4, 3]), &random(8, 12)))]);
        out["loss"].to_f64_vec()[0]
    };
    vec![step(), step()]
}

#[test]
fn layers_of_images_and_noise_train_in_16_bits() {
    type Case = (&'static str, &'static [usize], fn(&Tensor) -> Tensor);
    let image: &[usize] = &[6, 6, 4];
    let cases: [Case; 15] = [
        ("depthwise 1d", &[8, 4], |x| DepthwiseConv1d::new(3).apply(x)),
        ("depthwise 2d", image, |x| DepthwiseConv2d::new(3).apply(x)),
        ("separable", image, |x| SeparableConv2d::new(5, 3).apply(x)),
        ("transposed 1d", &[8, 4], |x| Conv1dTranspose::new(5, 3).apply(x)),
        ("transposed 2d", image, |x| Conv2dTranspose::new(5, 3).stride(2).apply(x)),
        ("transposed 3d", &[4, 4, 4, 2], |x| Conv3dTranspose::new(3, 3).apply(x)),
        ("3d", &[4, 4, 4, 2], |x| Conv3d::new(5, 3).apply(x)),
        ("prelu", image, |x| PRelu::new().apply(&Dense::new(5).apply(x))),
        ("spatial dropout", image, |x| SpatialDropout::new(0.25).apply(&Dense::new(5).apply(x))),
        ("pixel shuffle", image, |x| PixelShuffle::new(2).apply(&Dense::new(8).apply(x))),
        ("bilinear", image, |x| {
            UpSampling2d::new(2).interpolation(Interpolation::Bilinear).apply(&Dense::new(5).apply(x))
        }),
        ("gaussian noise", image, |x| GaussianNoise::new(0.1).apply(&Dense::new(5).apply(x))),
        ("gaussian dropout", image, |x| GaussianDropout::new(0.2).apply(&Dense::new(5).apply(x))),
        ("alpha dropout", image, |x| AlphaDropout::new(0.25).apply(&Dense::new(5).apply(x))),
        ("feature alpha dropout", image, |x| FeatureAlphaDropout::new(0.25).apply(&Dense::new(5).apply(x))),
    ];
    for (name, dims, layer) in cases {
        let [exact, bf16, f16] = [Policy::float32(), Policy::mixed_bf16(), Policy::mixed_f16()]
            .map(|policy| two_losses(dims, layer, policy));
        assert!((exact[1] - exact[0]).abs() > 1e-4, "{name}: {exact:?}");
        for got in [&bf16, &f16] {
            assert!(got.iter().zip(&exact).all(|(g, w)| (g - w).abs() < 0.01 * w), "{name}: {got:?}, not {exact:?}");
        }
    }
}
