//! Single kernels: elementwise chains, rows, matrix products, convolutions and their gradients.

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gradc::dsl::{GraphBuilder, Tensor, Window, f32};

/// Times a function of tensors.
fn bench(c: &mut Criterion, name: &str, throughput: Throughput, f: impl FnOnce(&GraphBuilder) -> Tensor) {
    let mut program = support::function(f);
    let mut group = c.benchmark_group("kernel");
    group.throughput(throughput);
    group.bench_function(name, |b| b.iter(|| program.step().expect("the kernel runs")));
}

/// Bytes of that many floats, read or written once each.
fn floats(n: u64) -> Throughput {
    Throughput::Bytes(4 * n)
}

fn elementwise(c: &mut Criterion) {
    let n = 1 << 20;
    let x = |g: &GraphBuilder| g.input("x", f32([n]));
    let twice = floats(2 * n as u64);
    bench(c, "relu_1m", twice.clone(), |g| x(g).relu());
    bench(c, "chain_1m", twice.clone(), |g| {
        let x = x(g);
        (&x * 1.5 + 0.25).relu() * x.sigmoid()
    });
    bench(c, "tanh_1m", twice.clone(), |g| x(g).tanh());
    bench(c, "exp_1m", twice, |g| x(g).exp());
}

fn rows(c: &mut Criterion) {
    let (rows, columns) = (1024, 1024);
    let n = (rows * columns) as u64;
    bench(c, "softmax_1024x1024", floats(2 * n), |g| g.input("x", f32([rows, columns])).softmax(-1));
    bench(c, "sum_1024x1024", floats(n), |g| g.input("x", f32([rows, columns])).sum_axes([-1]));
}

fn matmul(c: &mut Criterion) {
    for (m, n, k) in [(64, 64, 64), (256, 256, 256), (512, 512, 512), (32, 128, 784), (128, 1024, 784)] {
        let flops = Throughput::Elements(2 * (m * n * k) as u64);
        bench(c, &format!("matmul_{m}x{n}x{k}"), flops, |g| {
            g.input("a", f32([m, k])).matmul(g.input("b", f32([k, n])))
        });
    }
}

fn convolution(c: &mut Criterion) {
    let window = Window { pad: vec![(1, 1); 2], ..Window::new([3, 3]) };
    let flops = Throughput::Elements(2 * 32 * 28 * 28 * 32 * 64 * 9);
    let operands = |g: &GraphBuilder| (g.input("x", f32([32, 28, 28, 32])), g.input("w", f32([3, 3, 32, 64])));
    let forward = |g: &GraphBuilder| {
        let (x, w) = operands(g);
        x.conv(&w, window.clone(), 1)
    };
    // The gradient of this sum is `dy`.
    let gradient = |g: &GraphBuilder, by_kernel: bool| {
        let (x, w) = operands(g);
        let dy = g.input("dy", f32([32, 28, 28, 64]));
        let loss = (x.conv(&w, window.clone(), 1) * dy).sum();
        g.gradients(&loss, &[if by_kernel { &w } else { &x }]).remove(0)
    };
    bench(c, "conv3x3", flops.clone(), forward);
    bench(c, "conv3x3_input_grad", flops.clone(), |g| gradient(g, false));
    bench(c, "conv3x3_weight_grad", flops, |g| gradient(g, true));
}

criterion_group!(benches, elementwise, rows, matmul, convolution);
criterion_main!(benches);
