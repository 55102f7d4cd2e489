//! The same bits on machines of two architectures: training steps in 128-bit vectors with fused multiply-add, on x86-64 and on AArch64.
//!
//! IEEE arithmetic is the same everywhere, and the order of each sum is in the kernels' text. So whole models, trained for a few steps, must
//! hold the same bits in all their states, wherever this test runs; `.ci/run` runs it on AArch64 by an emulator.

use gradc::compile::CompileOptions;
use gradc::dsl::Step;
use gradc::model::{Model, Sequential};
use gradc::nn::{
    Activation, BatchNorm, Conv2d, Dense, Dropout, Embedding, Lstm, MeanSquaredError, SparseCategoricalCrossEntropy,
};
use gradc::optim::{Adam, Sgd};
use ir::{DType, Data, TensorType, Value};
use kernel::{Caches, InstructionSet, Target};

const BATCH: usize = 12;
const STEPS: usize = 6;

/// This machine with 128-bit vectors and fused multiply-add, and with caches that are the same everywhere, since blocks are cut by them.
fn target() -> Option<Target> {
    let host = runtime::host_target().unwrap();
    let target = host.limited_to(InstructionSet::Fma).with_caches(Caches::default());
    target.fma().then_some(target)
}

/// Numbers that depend on nothing but their place.
fn filled(ty: &TensorType, seed: u64) -> Value {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let numbers = ty.shape.numel();
    let data = match ty.dtype {
        DType::F32 => Data::F32((0..numbers).map(|_| 3.0 * next()).collect()),
        _ => Data::I32((0..numbers).map(|_| ((next() + 0.5) * 10.0) as i32).collect()),
    };
    Value::new(ty.clone(), data).unwrap()
}

/// A number made of all bits of all states after a few steps (FNV-1a).
fn digest(step: &Step, target: &Target) -> u64 {
    let options = CompileOptions { target: Some(target.clone()), seed: 3, ..CompileOptions::threads(1) };
    let mut program = step.compile(&options).unwrap_or_else(|e| panic!("{e}"));
    for round in 0..STEPS {
        for (at, (name, ty)) in program.inputs().clone().iter().enumerate() {
            program.set_input(name, &filled(ty, (round * 7 + at) as u64)).unwrap();
        }
        program.step().unwrap();
    }
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for state in program.states().to_vec() {
        let value = program.state_value(&state.name).unwrap();
        for at in 0..value.ty().shape.numel() {
            hash = (hash ^ value.data().get(at).to_bits()).wrapping_mul(0x100_0000_01b3);
        }
    }
    hash
}

fn perceptron() -> Step {
    let dense = |units, activation| Dense::new(units).activation(activation);
    let model = Sequential::new([37]).add(dense(65, Activation::Gelu)).add(dense(30, Activation::Tanh)).dense(10);
    model.training_graph(BATCH, &SparseCategoricalCrossEntropy, &[], &Adam::new(1e-3)).unwrap()
}

fn convolutional() -> Step {
    let conv = |filters| Conv2d::new(filters, 3).activation(Activation::Relu);
    let model = Sequential::new([14, 14, 3]).add(conv(9)).add(BatchNorm::new()).max_pool2d(2).add(conv(17));
    let model = model.flatten().add(Dropout::new(0.3)).dense(10);
    model.training_graph(BATCH, &SparseCategoricalCrossEntropy, &[], &Adam::new(1e-3)).unwrap()
}

fn recurrent() -> Step {
    let model = Sequential::of(gradc::dsl::i32([11])).add(Embedding::new(10, 13)).add(Lstm::new(21)).dense(2);
    model.training_graph(BATCH, &MeanSquaredError, &[], &Sgd::new(0.1)).unwrap()
}

#[test]
fn training_is_the_same_bits_on_x86_64_and_aarch64() {
    let Some(target) = target() else { return };
    let found = [perceptron(), convolutional(), recurrent()].map(|step| format!("{:016x}", digest(&step, &target)));
    assert_eq!(found, ["b38462779fb5455e", "d7b09296ec466dd8", "c28cebd748882e8c"], "on {target}");
}
