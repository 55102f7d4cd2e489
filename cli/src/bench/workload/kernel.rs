//! Single functions of tensors: matrix products, convolutions, rows, elementwise chains, an optimizer's update.
//!
//! Each is an ordinary graph, declared and compiled as a user's.

use super::{Definition, StepWork, Workload};
use crate::bench::stream::uniform;
use gradc::dsl::{GraphBuilder, ModelErrors, Step, Tensor, Window, f32, zeros};
use gradc::nn::activation::gelu;
use gradc::optim::Adam;
use ir::{Data, Value, ValueError};

/// What is computed, in `f32`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum KernelWorkload {
    /// `out[m, n] = a[m, k] b[k, n]`.
    MatMul { m: usize, n: usize, k: usize },
    /// A function of the rows of `x`.
    Rows { function: RowFunction, rows: usize, columns: usize },
    /// A function of each element of `x`.
    Map { function: MapFunction, n: usize },
    /// The convolution of `x` [32, 28, 28, 32] with `w` [3, 3, 32, 64], padded by 1: its result, or gradients with respect to the one, the
    /// other or both, given that of the result, `dy`.
    Conv { forward: bool, dx: bool, dw: bool },
    /// Adam's update of `n` parameters `p` at a learning rate of 0.001 with the gradients `g`.
    Adam { n: usize },
}

/// A function of each row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RowFunction {
    Softmax,
    /// `(x - mean) / sqrt(variance + 1e-5) * g + b`, the variance biased.
    LayerNorm,
    Sum,
}

/// A function of each element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MapFunction {
    /// Exact, by the error function.
    Gelu,
    Tanh,
    /// `relu(1.5 x + 0.25) sigmoid(x)`.
    Chain,
}

const BATCH: usize = 32;
const SIDE: usize = 28;
const INPUT_CHANNELS: usize = 32;
const OUTPUT_CHANNELS: usize = 64;

const fn workload(name: &'static str, kernel: KernelWorkload) -> Workload {
    Workload { name, batch: 1, definition: Definition::Kernel(kernel) }
}

const fn matmul(name: &'static str, m: usize, n: usize, k: usize) -> Workload {
    workload(name, KernelWorkload::MatMul { m, n, k })
}

const fn map(name: &'static str, function: MapFunction, n: usize) -> Workload {
    workload(name, KernelWorkload::Map { function, n })
}

const fn rows(name: &'static str, function: RowFunction, rows: usize, columns: usize) -> Workload {
    workload(name, KernelWorkload::Rows { function, rows, columns })
}

const fn conv(name: &'static str, forward: bool, dx: bool, dw: bool) -> Workload {
    workload(name, KernelWorkload::Conv { forward, dx, dw })
}

/// All kernels.
///
/// | name | what |
/// |---|---|
/// | `k_sgemm_N`, `k_sgemm_MxNxK` | row-major product |
/// | `k_conv3x3_fwd`, `_dx`, `_dw`, `_dxdw` | 3x3, 32 to 64 channels, padding 1, 28x28, batch 32, NHWC: result, gradients |
/// | `k_softmax_4096x1024`, `k_layernorm_4096x1024`, `k_rowsum_4096x4096` | along the last axis |
/// | `k_gelu_4m`, `k_tanh_64k`, `k_chain_4m` | exact GELU; tanh; `relu(1.5 x + 0.25) sigmoid(x)`; 4 Mi or 64 Ki elements |
/// | `k_adam_10m` | update of 10 million parameters |
pub const KERNELS: &[Workload] = &[
    matmul("k_sgemm_64", 64, 64, 64),
    matmul("k_sgemm_128", 128, 128, 128),
    matmul("k_sgemm_256", 256, 256, 256),
    matmul("k_sgemm_512", 512, 512, 512),
    matmul("k_sgemm_1024", 1024, 1024, 1024),
    matmul("k_sgemm_2048", 2048, 2048, 2048),
    matmul("k_sgemm_32x128x784", 32, 128, 784),
    matmul("k_sgemm_128x1024x784", 128, 1024, 784),
    conv("k_conv3x3_fwd", true, false, false),
    conv("k_conv3x3_dx", false, true, false),
    conv("k_conv3x3_dw", false, false, true),
    conv("k_conv3x3_dxdw", false, true, true),
    rows("k_softmax_4096x1024", RowFunction::Softmax, 4096, 1024),
    rows("k_layernorm_4096x1024", RowFunction::LayerNorm, 4096, 1024),
    map("k_gelu_4m", MapFunction::Gelu, 4 << 20),
    map("k_tanh_64k", MapFunction::Tanh, 64 << 10),
    map("k_chain_4m", MapFunction::Chain, 4 << 20),
    rows("k_rowsum_4096x4096", RowFunction::Sum, 4096, 4096),
    workload("k_adam_10m", KernelWorkload::Adam { n: 10_000_000 }),
];

/// The stream of each operand, and the interval it is uniform on.
const STREAMS: [(&str, u64, f32, f32); 8] = [
    ("a", 2001, -1.0, 1.0),
    ("b", 2002, -1.0, 1.0),
    ("x", 2003, -4.0, 4.0),
    ("w", 2006, -0.1, 0.1),
    ("dy", 2007, -1.0, 1.0),
    ("g", 2008, -1.0, 1.0),
    ("gamma", 2009, -1.0, 1.0),
    ("beta", 2010, -1.0, 1.0),
];

impl KernelWorkload {
    /// Declares the graph.
    pub(super) fn step(self, name: &str) -> Result<Step, ModelErrors> {
        let g = GraphBuilder::new(name);
        match self {
            Self::MatMul { m, n, k } => {
                g.output("out", &g.input("a", f32([m, k])).matmul(g.input("b", f32([k, n]))));
            }
            Self::Rows { function, rows, columns } => g.output("out", &function.of(&g, rows, columns)),
            Self::Map { function, n } => g.output("out", &function.of(&g.input("x", f32([n])))),
            Self::Conv { forward: true, .. } => g.output("out", &convolution(&g).2),
            Self::Conv { dx, dw, .. } => convolution_gradients(&g, dx, dw),
            Self::Adam { n } => {
                let p = g.param("p", f32([n]), zeros());
                g.apply_gradients([(g.input("g", f32([n])), p)], &Adam::new(1e-3));
            }
        }
        g.finish()
    }

    /// The operands' values.
    pub(super) fn inputs(self, step: &Step) -> Result<Vec<(String, Value)>, ValueError> {
        let value = |(_, input): (ir::NodeId, &ir::op::source::Input)| {
            Ok((input.name.clone(), Value::new(input.ty.clone(), stream(&input.name, input.ty.shape.numel()))?))
        };
        step.graph.inputs().map(value).collect()
    }

    /// The parameters that an optimizer updates are of the stream of `x`; moments start at 0.
    pub(super) fn initial_values(self, step: &Step) -> Result<Vec<(String, Value)>, ValueError> {
        let value = |state: &gradc::dsl::StateSpec| {
            let value = if state.trainable() {
                Value::new(state.ty.clone(), stream("x", state.ty.shape.numel()))?
            } else {
                state.initial(0)
            };
            Ok((state.name.clone(), value))
        };
        step.states.iter().map(value).collect()
    }

    pub(super) fn work(self) -> StepWork {
        let moves = |read: usize, written: usize| StepWork {
            flops: None,
            read_bytes: 4.0 * read as f64,
            written_bytes: 4.0 * written as f64,
        };
        match self {
            Self::MatMul { m, n, k } => {
                StepWork { flops: Some(2.0 * (m * n * k) as f64), ..moves(m * k + k * n, m * n) }
            }
            Self::Conv { forward, dx, dw } => {
                let [forward, dx, dw] = [forward, dx, dw].map(usize::from);
                let (x, y) = (BATCH * SIDE * SIDE * INPUT_CHANNELS, BATCH * SIDE * SIDE * OUTPUT_CHANNELS);
                let w = 9 * INPUT_CHANNELS * OUTPUT_CHANNELS;
                let multiply_adds = (forward + dx + dw) * y * 9 * INPUT_CHANNELS;
                let read = forward * (x + w) + dx * (y + w) + dw * (x + y);
                StepWork { flops: Some(2.0 * multiply_adds as f64), ..moves(read, forward * y + dx * x + dw * w) }
            }
            // The sums themselves are not counted.
            Self::Rows { function: RowFunction::Sum, rows, columns } => moves(rows * columns, 0),
            Self::Rows { rows, columns, .. } => moves(rows * columns, rows * columns),
            Self::Map { n, .. } => moves(n, n),
            // Reads parameter, gradient and two moments, writes all but the gradient.
            Self::Adam { n } => moves(4 * n, 3 * n),
        }
    }
}

fn stream(name: &str, n: usize) -> Data {
    let known = STREAMS.iter().find(|(stream, ..)| *stream == name);
    let (_, seed, low, high) = known.copied().unwrap_or(("", 2000, -1.0, 1.0));
    Data::F32(uniform(seed, n, low, high))
}

impl RowFunction {
    fn of(self, g: &GraphBuilder, rows: usize, columns: usize) -> Tensor {
        let x = g.input("x", f32([rows, columns]));
        match self {
            Self::Softmax => x.softmax(-1),
            Self::Sum => x.sum_axes([-1]),
            Self::LayerNorm => {
                let (gamma, beta) = (g.input("gamma", f32([columns])), g.input("beta", f32([columns])));
                let centred = &x - x.mean_keepdims([-1]);
                let variance = centred.square().mean_keepdims([-1]);
                centred / (variance + 1e-5).sqrt() * gamma + beta
            }
        }
    }
}

impl MapFunction {
    fn of(self, x: &Tensor) -> Tensor {
        match self {
            Self::Gelu => gelu(x),
            Self::Tanh => x.tanh(),
            Self::Chain => (x * 1.5 + 0.25).relu() * x.sigmoid(),
        }
    }
}

/// Input, filters, and the convolution of the two.
fn convolution(g: &GraphBuilder) -> (Tensor, Tensor, Tensor) {
    let x = g.input("x", f32([BATCH, SIDE, SIDE, INPUT_CHANNELS]));
    let w = g.input("w", f32([3, 3, INPUT_CHANNELS, OUTPUT_CHANNELS]));
    let window = Window { pad: vec![(1, 1); 2], ..Window::new([3, 3]) };
    let y = x.conv(&w, window, 1);
    (x, w, y)
}

/// The gradients as outputs of their names. The gradient of `sum(y dy)` with respect to `y` is `dy`, so nothing else remains of the sum.
fn convolution_gradients(g: &GraphBuilder, dx: bool, dw: bool) {
    let (x, w, y) = convolution(g);
    let dy = g.input("dy", f32([BATCH, SIDE, SIDE, OUTPUT_CHANNELS]));
    let loss = (y * dy).sum();
    let wanted: Vec<(&str, &Tensor)> =
        [("dx", &x, dx), ("dw", &w, dw)].into_iter().filter(|t| t.2).map(|t| (t.0, t.1)).collect();
    let by: Vec<&Tensor> = wanted.iter().map(|(_, t)| *t).collect();
    for ((name, _), gradient) in wanted.iter().zip(g.gradients(&loss, &by)) {
        g.output(name, &gradient);
    }
}
