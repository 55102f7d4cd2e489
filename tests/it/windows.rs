//! Pooling and its gradients, and gradients of strided convolutions, over windows of all kinds: by the interpreter, after each pass for each target, and as
//! machine code at any number of threads.

use crate::machine::{load, step};
use crate::oracle::{Agreement, NamedValues, difference, evaluate, random_ports};
use crate::pipeline::first_fault;
use ir::op::window::Window;
use ir::{DType, Graph, Scalar, Value};
use kernel::{Program, Target};
use passes::{PassContext, RunOptions, compile};

/// An input's extents `[n, spatial..., c]` and a window over it.
struct WindowCase {
    dims: Vec<usize>,
    window: Window,
}

fn case<const R: usize, const D: usize>(
    dims: [usize; R],
    size: [usize; D],
    stride: [usize; D],
    pad: [(usize, usize); D],
    dilation: [usize; D],
) -> WindowCase {
    let (dims, size, stride) = (dims.to_vec(), size.to_vec(), stride.to_vec());
    WindowCase { dims, window: Window { size, stride, pad: pad.to_vec(), dilation: dilation.to_vec() } }
}

fn cases() -> Vec<WindowCase> {
    vec![
        // Overlapping: by 1 and by 2, padded and not; channels that fill vectors, few, and one.
        case([2, 7, 5, 3], [3, 3], [1, 1], [(1, 1), (1, 1)], [1, 1]),
        case([9, 6, 7, 16], [3, 3], [2, 2], [(1, 1), (1, 1)], [1, 1]),
        case([8, 14, 9, 1], [3, 2], [1, 1], [(1, 1), (0, 0)], [1, 1]),
        case([1, 11, 3], [4], [2], [(2, 1)], [1]),
        // Few images: rows are shared, in kernels of their own.
        case([1, 40, 36, 16], [3, 3], [1, 1], [(1, 1), (1, 1)], [1, 1]),
        case([2, 41, 30, 24], [3, 3], [2, 2], [(1, 1), (0, 1)], [1, 1]),
        // Side by side with padding at both ends, and with a rest that no window reaches.
        case([8, 9, 10, 1], [2, 2], [2, 2], [(0, 1), (1, 1)], [1, 1]),
        case([3, 11, 8, 5], [3, 3], [3, 3], [(1, 0), (2, 2)], [1, 1]),
        case([1, 2, 3, 4], [5, 7], [5, 7], [(2, 3), (3, 4)], [1, 1]),
        // Gaps between windows, between taps, and both.
        case([2, 8, 8, 5], [2, 2], [3, 3], [(0, 0), (1, 1)], [1, 1]),
        case([1, 9, 7, 33], [3, 2], [1, 2], [(2, 3), (1, 0)], [2, 1]),
        case([2, 13, 4], [3], [4], [(3, 3)], [2]),
        case([1, 9, 2], [2], [1], [(5, 5)], [5]),
        // Three spatial axes; images smaller than windows.
        case([3, 5, 4, 6, 4], [2, 3, 2], [1, 2, 3], [(0, 1), (1, 1), (1, 0)], [1, 1, 1]),
        case([4, 1, 1, 7], [3, 3], [1, 1], [(1, 1), (1, 1)], [1, 1]),
        case([1, 3, 3, 4], [5, 5], [1, 1], [(2, 2), (2, 2)], [1, 1]),
        // So many taps that they are loops, and strides with so many remainders that a gradient walks windows.
        case([1, 20, 19, 2], [5, 5], [1, 1], [(2, 2), (2, 2)], [1, 1]),
        case([1, 70, 2], [25], [20], [(20, 3)], [1]),
        case([2, 40, 30, 6], [7, 6], [5, 5], [(3, 3), (2, 3)], [1, 1]),
        case([1, 100, 1], [33], [1], [(16, 16)], [1]),
    ]
}

fn text<T: std::fmt::Display>(list: &[T]) -> String {
    list.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

/// The window's attributes.
fn attrs(window: &Window) -> String {
    let pads: Vec<String> = window.pad.iter().map(|(a, b)| format!("({a},{b})")).collect();
    let (size, stride, dilation) = (text(&window.size), text(&window.stride), text(&window.dilation));
    format!("size=[{size}], stride=[{stride}], pad=[{}], dilation=[{dilation}]", pads.join(","))
}

/// Pooling by maximum and sum, their gradients with an elementwise op behind each, and what stands at the places of maxima.
fn graph(case: &WindowCase, dtype: DType) -> Graph {
    let (spatial, window) = (case.window.rank(), &case.window);
    let attrs = format!("{{{}}}", attrs(window));
    let mut pooled = case.dims.clone();
    pooled[1..=spatial].copy_from_slice(&window.output(&case.dims[1..=spatial]).unwrap());
    let (x, y) = (format!("{dtype}[{}]", text(&case.dims)), format!("{dtype}[{}]", text(&pooled)));
    let text = format!(
        "graph \"pooling\" {{
           %0 = input {{name=\"x\"}} : {x}
           %1 = input {{name=\"dy\"}} : {y}
           %2 = pool_max %0 {attrs} : {y}
           %3 = pool_sum %0 {attrs} : {y}
           %4 = pool_max_grad %0, %1 {attrs} : {x}
           %5 = mul %4, %0 : {x}
           %6 = pool_sum_grad %1 {attrs} : {x}
           %7 = add %6, %0 : {x}
           %8 = pool_max_take %0, %0 {attrs} : {y}
           output \"max\" = %2
           output \"sum\" = %3
           output \"dmax\" = %5
           output \"dsum\" = %7
           output \"taken\" = %8
         }}"
    );
    Graph::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Whole numbers, so that sums are exact in any order; many are equal.
fn ports(graph: &Graph) -> NamedValues {
    let value = |seed: usize, ty: &ir::TensorType| {
        Value::from_fn(ty.clone(), |i| Scalar::from_i64(((i * 7 + i / 3 * 5 + seed) % 6) as i64, ty.dtype))
    };
    graph.inputs().enumerate().map(|(seed, (id, port))| (port.name.clone(), value(seed, graph.ty(id)))).collect()
}

/// Each case in `f32`, for each target, and in another type.
#[test]
fn pooling_is_the_same_over_windows_of_all_kinds() {
    let others = [
        DType::F64,
        DType::Bf16,
        DType::I32,
        DType::I64,
        DType::I16,
        DType::I8,
        DType::U64,
        DType::U32,
        DType::U16,
        DType::U8,
    ];
    let targets = [Target::baseline(), Target::avx2(), Target::avx512()];
    for (number, case) in cases().into_iter().enumerate() {
        for (dtype, targets) in
            [(DType::F32, &targets[..]), (others[number % others.len()], &targets[number % 3..=number % 3])]
        {
            let graph = graph(&case, dtype);
            let ports = ports(&graph);
            let same = |a: &NamedValues, b: &NamedValues| difference(a, b, Agreement::Bits);
            for target in targets {
                first_fault(&target.to_string(), &graph, &ports, target, &same)
                    .unwrap_or_else(|fault| panic!("{fault}"));
            }
            let expected = evaluate(&graph, &ports).unwrap();
            for threads in if dtype == DType::F32 { 1..=4 } else { 1..=1 } {
                let found = step(&mut load(&graph, threads), &graph, &ports).unwrap();
                if let Some(difference) = difference(&expected, &found, Agreement::Bits) {
                    panic!("{threads} threads: {difference}\n{graph}");
                }
            }
        }
    }
}

/// The gradient by the input of a convolution to `channels`, with a rectifier's mask behind it.
fn input_gradient(case: &WindowCase, channels: usize, groups: usize, dtype: DType) -> Graph {
    let (spatial, window) = (case.window.rank(), &case.window);
    let mut outputs = case.dims.clone();
    outputs[1..=spatial].copy_from_slice(&window.output(&case.dims[1..=spatial]).unwrap());
    outputs[spatial + 1] = channels;
    let kernel = [&window.size[..], &[case.dims[spatial + 1] / groups, channels]].concat();
    let (x, y, w) = (text(&case.dims), text(&outputs), text(&kernel));
    let text = format!(
        "graph \"input_gradient\" {{
           %0 = input {{name=\"dy\"}} : {dtype}[{y}]
           %1 = input {{name=\"w\"}} : {dtype}[{w}]
           %2 = input {{name=\"x\"}} : {dtype}[{x}]
           %3 = conv_input_grad %0, %1 {{{}, groups={groups}}} : {dtype}[{x}]
           %4 = relu %2 : {dtype}[{x}]
           %5 = mul %3, %4 : {dtype}[{x}]
           output \"dx\" = %5
         }}",
        attrs(window)
    );
    Graph::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Cases with channels of the result, and groups.
fn strided() -> Vec<(WindowCase, usize, usize)> {
    vec![
        (case([2, 9, 8, 16], [3, 3], [2, 2], [(1, 1), (1, 1)], [1, 1]), 9, 1),
        (case([9, 12, 11, 5], [3, 2], [2, 1], [(0, 1), (1, 0)], [1, 1]), 7, 1),
        // Few channels, so that places of a block are channels; blocks that reach over the edge, and windows that leave a rest.
        (case([1, 21, 18, 3], [7, 7], [2, 2], [(3, 3), (2, 3)], [1, 1]), 24, 1),
        (case([8, 16, 17, 1], [4, 4], [4, 4], [(0, 0), (0, 0)], [1, 1]), 8, 1),
        (case([1, 33, 2], [11], [5], [(4, 1)], [1]), 6, 1),
        // As many remainders as one convolution has channels, and too many for that: zeros between the outputs.
        (case([2, 20, 20, 3], [5, 5], [5, 5], [(0, 0), (0, 0)], [1, 1]), 8, 1),
        (case([1, 19, 19, 4], [5, 6], [5, 4], [(0, 1), (2, 0)], [1, 2]), 6, 2),
        // Places without a tap.
        (case([3, 8, 9, 6], [1, 1], [2, 2], [(0, 0), (0, 0)], [1, 1]), 10, 1),
        (case([1, 23, 17], [2], [3], [(1, 1)], [1]), 5, 1),
        (case([2, 13, 11, 17], [3, 3], [2, 3], [(2, 1), (2, 2)], [2, 1]), 4, 1),
        (case([2, 13, 4], [3], [2], [(3, 3)], [2]), 4, 1),
        // Kernels larger than the image, without strides.
        (case([1, 4, 3, 24], [3, 3], [1, 1], [(1, 1), (1, 1)], [1, 1]), 40, 1),
        (case([2, 3, 4], [3], [1], [(4, 2)], [2]), 9, 1),
        // Groups, and one channel each.
        (case([2, 9, 10, 8], [3, 3], [2, 2], [(1, 1), (1, 0)], [1, 1]), 12, 4),
        (case([2, 9, 10, 8], [3, 3], [2, 2], [(1, 1), (1, 0)], [1, 1]), 8, 8),
        // One image, whose rows are shared; three spatial axes.
        (case([1, 40, 40, 32], [3, 3], [2, 2], [(1, 1), (1, 1)], [1, 1]), 32, 1),
        (case([2, 5, 6, 7, 4], [3, 2, 3], [2, 1, 2], [(1, 1), (0, 1), (1, 1)], [1, 1, 1]), 5, 1),
    ]
}

#[test]
fn gradients_of_strided_convolutions_are_the_same_over_windows_of_all_kinds() {
    let others = [DType::Bf16, DType::I32, DType::F32];
    for (number, (case, channels, groups)) in strided().into_iter().enumerate() {
        let graph = input_gradient(&case, channels, groups, DType::F64);
        let values = random_ports(&graph, number as u64);
        let near = |a: &NamedValues, b: &NamedValues| difference(a, b, Agreement::Within(1e-12));
        for target in [Target::baseline(), Target::avx2(), Target::avx512()] {
            first_fault(&target.to_string(), &graph, &values, &target, &near).unwrap_or_else(|fault| panic!("{fault}"));
        }
        let expected = evaluate(&graph, &values).unwrap();
        let one = step(&mut load(&graph, 1), &graph, &values).unwrap();
        assert_eq!(near(&expected, &one), None, "{graph}");
        for threads in 2..=4 {
            let found = step(&mut load(&graph, threads), &graph, &values).unwrap();
            assert_eq!(difference(&one, &found, Agreement::Bits), None, "{threads} threads\n{graph}");
        }
        let graph = input_gradient(&case, channels, groups, others[number % 3]);
        let values = ports(&graph);
        let found = step(&mut load(&graph, 1), &graph, &values).unwrap();
        assert_eq!(difference(&evaluate(&graph, &values).unwrap(), &found, Agreement::Bits), None, "{graph}");
    }
}

/// The gradient by the kernel of a convolution of each channel with `times` kernels of its own.
fn kernel_gradient(case: &WindowCase, times: usize, dtype: DType) -> Graph {
    let (spatial, window) = (case.window.rank(), &case.window);
    let groups = case.dims[spatial + 1];
    let mut outputs = case.dims.clone();
    outputs[1..=spatial].copy_from_slice(&window.output(&case.dims[1..=spatial]).unwrap());
    outputs[spatial + 1] = groups * times;
    let kernel = [&window.size[..], &[1, groups * times]].concat();
    let (x, y, w) = (text(&case.dims), text(&outputs), text(&kernel));
    let text = format!(
        "graph \"kernel_gradient\" {{
           %0 = input {{name=\"x\"}} : {dtype}[{x}]
           %1 = input {{name=\"dy\"}} : {dtype}[{y}]
           %2 = input {{name=\"w\"}} : {dtype}[{w}]
           %3 = conv_weight_grad %0, %1 {{{}, groups={groups}}} : {dtype}[{w}]
           %4 = sub %2, %3 : {dtype}[{w}]
           output \"new\" = %4
         }}",
        attrs(window)
    );
    Graph::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

#[test]
fn gradients_of_kernels_for_one_channel_each_are_the_same_over_windows_of_all_kinds() {
    let cases = [
        (case([2, 9, 8, 16], [3, 3], [1, 1], [(1, 1), (1, 1)], [1, 1]), 1),
        (case([8, 28, 27, 20], [3, 3], [2, 2], [(1, 1), (0, 1)], [1, 1]), 1),
        (case([3, 9, 8, 5], [3, 2], [2, 1], [(0, 1), (1, 0)], [1, 2]), 1),
        (case([1, 12, 11, 3], [5, 5], [1, 1], [(2, 2), (2, 2)], [1, 1]), 1),
        (case([2, 7, 6, 4], [2, 2], [1, 1], [(0, 0), (0, 0)], [1, 1]), 2),
        (case([2, 700, 33], [4], [1], [(3, 0)], [1]), 1),
    ];
    for (number, (case, times)) in cases.into_iter().enumerate() {
        let graph = kernel_gradient(&case, times, DType::F64);
        let values = random_ports(&graph, number as u64);
        let near = |a: &NamedValues, b: &NamedValues| difference(a, b, Agreement::Within(1e-12));
        for target in [Target::baseline(), Target::avx2(), Target::avx512()] {
            first_fault(&target.to_string(), &graph, &values, &target, &near).unwrap_or_else(|fault| panic!("{fault}"));
        }
        for dtype in [DType::F32, DType::Bf16, DType::I32] {
            let graph = kernel_gradient(&case, times, dtype);
            let values = ports(&graph);
            let expected = evaluate(&graph, &values).unwrap();
            for threads in if dtype == DType::F32 { 1..=4 } else { 1..=1 } {
                let found = step(&mut load(&graph, threads), &graph, &values).unwrap();
                assert_eq!(difference(&expected, &found, Agreement::Bits), None, "{threads} threads\n{graph}");
            }
        }
    }
}

/// What a program does, in operations.
fn operations(program: &Program) -> f64 {
    program.kernels.iter().map(|kernel| kernel.work().operations).sum()
}

/// The zeros that a stride leaves between the outputs were multiplied: 4 times as many products as there are.
#[test]
fn gradients_of_strided_convolutions_do_not_multiply_by_zeros() {
    for (case, channels, most) in [
        (case([8, 28, 28, 64], [3, 3], [2, 2], [(1, 1), (1, 1)], [1, 1]), 64, 1.1),
        (case([1, 56, 56, 32], [1, 1], [2, 2], [(0, 0), (0, 0)], [1, 1]), 64, 1.1),
        // One convolution, whose kernel has zeros for the taps that a window of 7 lacks to one of 8.
        (case([1, 112, 112, 3], [7, 7], [2, 2], [(3, 3), (3, 3)], [1, 1]), 64, 1.5),
    ] {
        let graph = input_gradient(&case, channels, 1, DType::F32);
        let outcome = compile(graph.clone(), &PassContext::new(Target::avx512()), &RunOptions::default()).unwrap();
        let spatial = &case.window.output(&case.dims[1..3]).unwrap();
        let places = case.dims[0] * spatial.iter().product::<usize>();
        let products = 2 * places * case.window.taps() * case.dims[3] * channels;
        let found = operations(outcome.module.program().unwrap());
        assert!(found <= most * products as f64, "{found} operations for {products}");
    }
}
