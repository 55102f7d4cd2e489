//! Tests of the DSL: values by the reference interpreter, diagnostics by their text.

use super::*;
use crate::testing::{Runner, assert_close, constant, eval, value};
use ir::DType;
use ir::SplitMix64;

fn errors(g: &GraphBuilder) -> Vec<String> {
    g.finish().unwrap_err().diagnostics.iter().map(ToString::to_string).collect()
}

fn count(n: usize) -> Vec<f64> {
    (0..n).map(|i| i as f64).collect()
}

#[test]
fn operators_broadcast_and_take_numbers() {
    let got = eval(|g| {
        let (x, y) = (constant(g, &[2, 1], &[1.0, 2.0]), constant(g, &[3], &[10.0, 20.0, 30.0]));
        2.0 * (&x + &y) - 1 / &x + -y / 10.0f32
    });
    assert_close(&got, &[20.0, 39.0, 58.0, 22.5, 41.5, 60.5], 1e-15);
    let got = eval(|g| constant(g, &[3], &[1.0, 5.0, 3.0]).cast(DType::I32).gt(2).select(&g.full(7.0, i32([3])), -1));
    assert_eq!(got, [-1.0, 7.0, 7.0]);
}

#[test]
fn matrix_products_follow_numpy() {
    let product = |a: &[usize], b: &[usize]| {
        let (a, b) = (a.to_vec(), b.to_vec());
        let g = GraphBuilder::new("test");
        let n = |dims: &[usize]| count(dims.iter().product());
        let y = constant(&g, &a, &n(&a)).matmul(constant(&g, &b, &n(&b)));
        let shape = y.shape().unwrap().dims().to_vec();
        g.output("y", &y);
        (shape, Runner::new(&g.finish().unwrap()).step(&[])["y"].to_f64_vec())
    };
    assert_eq!(product(&[2, 3], &[3, 2]), (vec![2, 2], vec![10.0, 13.0, 28.0, 40.0]));
    assert_eq!(product(&[3], &[3]), (vec![], vec![5.0]));
    assert_eq!(product(&[3], &[3, 2]), (vec![2], vec![10.0, 13.0]));
    assert_eq!(product(&[2, 3], &[3]), (vec![2], vec![5.0, 14.0]));
    // A batch on the left alone, on the right alone, and two that broadcast.
    assert_eq!(product(&[2, 1, 2], &[2, 1]), (vec![2, 1, 1], vec![1.0, 3.0]));
    assert_eq!(product(&[1, 2], &[2, 2, 1]), (vec![2, 1, 1], vec![1.0, 3.0]));
    assert_eq!(product(&[2, 1, 1, 2], &[3, 2, 1]).0, [2, 3, 1, 1]);
    assert_eq!(product(&[2, 1, 1, 2], &[3, 2, 1]).1, [1.0, 3.0, 5.0, 3.0, 13.0, 23.0]);
    // A vector with a batch of matrices.
    assert_eq!(product(&[2], &[2, 2, 1]), (vec![2, 1], vec![1.0, 3.0]));
    assert_eq!(product(&[2, 1, 2], &[2]), (vec![2, 1], vec![1.0, 3.0]));
}

#[test]
fn reductions_take_negative_axes_and_keep_dimensions() {
    let x = |g: &GraphBuilder| constant(g, &[2, 3], &[1.0, 2.0, 6.0, 4.0, 4.0, 4.0]);
    assert_eq!(eval(|g| x(g).sum_axes([-1])), [9.0, 12.0]);
    assert_eq!(eval(|g| x(g) - x(g).mean_keepdims([1])), [-2.0, -1.0, 3.0, 0.0, 0.0, 0.0]);
    assert_close(&eval(|g| x(g).var_axes([1])), &[14.0 / 3.0, 0.0], 1e-15);
    assert_close(&eval(|g| x(g).var()), &[15.5 / 6.0], 1e-15);
    assert_eq!(eval(|g| x(g).max_axes([0])), [4.0, 4.0, 6.0]);
    assert_eq!(eval(|g| x(g).min()), [1.0]);
    assert_eq!(eval(|g| x(g).prod_axes([1])), [12.0, 64.0]);
    assert_eq!(eval(|g| x(g).argmax(-1)), [2.0, 0.0]);
    assert_eq!(eval(|g| x(g).argmin(0)), [0.0, 0.0, 1.0]);
}

#[test]
fn movement_puts_elements_where_it_says() {
    let x = |g: &GraphBuilder| constant(g, &[2, 3], &count(6));
    assert_eq!(eval(|g| x(g).transpose()), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_eq!(eval(|g| x(g).reshape([3, -1]).slice_axis(0, 1..2)), [2.0, 3.0]);
    assert_eq!(eval(|g| x(g).concat(&[&x(g).slice_axis(-1, 0..1)], 1)), [0.0, 1.0, 2.0, 0.0, 3.0, 4.0, 5.0, 3.0]);
    assert_eq!(eval(|g| x(g).stack(&[&(x(g) * 10)], -1).slice_axis(0, 0..1)), [0.0, 0.0, 1.0, 10.0, 2.0, 20.0]);
    assert_eq!(eval(|g| x(g).reverse([-1])), [2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
    assert_eq!(eval(|g| x(g).slice_axis(0, 0..1).squeeze([0]).pad(9.0, [(1, 0)])), [9.0, 0.0, 1.0, 2.0]);
    assert_eq!(eval(|g| x(g).slice_strided([0, 0], [2, 3], [1, 2])), [0.0, 2.0, 3.0, 5.0]);
    assert_eq!(eval(|g| constant(g, &[2, 1], &[1.0, 2.0]).broadcast_to([2, 2])), [1.0, 1.0, 2.0, 2.0]);
}

#[test]
fn softmax_and_relatives_are_stable() {
    let logits = |g: &GraphBuilder| constant(g, &[3], &[1e4, 1e4 - 1.0, -1e4]);
    let z = 1.0 + (-1.0f64).exp();
    assert_close(&eval(|g| logits(g).softmax(-1)), &[1.0 / z, (-1.0f64).exp() / z, 0.0], 1e-15);
    assert_close(&eval(|g| logits(g).log_softmax(0)), &[-z.ln(), -1.0 - z.ln(), -2e4 - z.ln()], 1e-15);
    assert_close(&eval(|g| logits(g).logsumexp(0)), &[1e4 + z.ln()], 1e-15);
    assert_close(&eval(|g| logits(g).softplus()), &[1e4, 9999.0, 0.0], 1e-15);
    assert_close(&eval(|g| constant(g, &[1], &[-40.0]).softplus()), &[(-40.0f64).exp()], 1e-30);
}

#[test]
fn indices_pick_add_and_are_checked() {
    let labels = |g: &GraphBuilder| constant(g, &[2], &[2.0, 0.0]).cast(DType::I64);
    let table = |g: &GraphBuilder| constant(g, &[3, 2], &count(6));
    assert_eq!(eval(|g| table(g).gather(labels(g))), [4.0, 5.0, 0.0, 1.0]);
    assert_eq!(eval(|g| labels(g).one_hot(3, DType::F64)), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!(eval(|g| table(g).transpose().pick(labels(g))), [4.0, 1.0]);
    assert_eq!(eval(|g| table(g).scatter_add(labels(g), g.ones(f64([2, 2])))), [1.0, 2.0, 2.0, 3.0, 5.0, 6.0]);
    let g = GraphBuilder::new("test");
    g.output("y", &g.input("x", f64([2, 3])).pick(g.input("i", i32([2]))));
    let mut runner = Runner::new(&g.finish().unwrap());
    let x = value(f64([2, 3]), &count(6));
    assert_eq!(runner.step(&[("x", x.clone()), ("i", value(i32([2]), &[2.0, 1.0]))])["y"].to_f64_vec(), [2.0, 4.0]);
    let error = runner.try_step(&[("x", x), ("i", value(i32([2]), &[2.0, 3.0]))]).unwrap_err();
    assert!(error.contains("index 3 is out of range"), "{error}");
}

#[test]
fn elements_are_taken_along_any_axis() {
    let index = |g: &GraphBuilder, dims: &[usize], values: &[f64]| constant(g, dims, values).cast(DType::I32);
    let x = |g: &GraphBuilder| constant(g, &[2, 3], &count(6));
    let rows = eval(|g| x(g).take_along_axis(index(g, &[2, 2], &[2.0, 0.0, 1.0, 1.0]), -1));
    assert_eq!(rows, [2.0, 0.0, 4.0, 4.0]);
    assert_eq!(eval(|g| x(g).take_along_axis(index(g, &[1, 3], &[1.0, 0.0, 1.0]), 0)), [3.0, 1.0, 5.0]);
    // One index for all rows, and one row for all indices, are repeated.
    assert_eq!(eval(|g| x(g).take_along_axis(index(g, &[1, 1], &[2.0]), 1)), [2.0, 5.0]);
    let one_row = eval(|g| x(g).slice_axis(0, 1..2).take_along_axis(index(g, &[2, 1], &[2.0, 0.0]), 1));
    assert_eq!(one_row, [5.0, 3.0]);
    // What an index names twice gets both gradients.
    let gradient = |dims: &'static [usize], indices: &'static [f64], axis: isize| {
        eval(|g| {
            let x = x(g);
            let taken = x.take_along_axis(index(g, dims, indices), axis);
            let weights = constant(g, dims, &count(dims.iter().product())) + 1.0;
            g.gradients(&(taken * weights).sum(), &[&x]).remove(0)
        })
    };
    assert_eq!(gradient(&[2, 3], &[1.0, 1.0, 0.0, 2.0, 1.0, 2.0], 1), [3.0, 3.0, 0.0, 0.0, 5.0, 10.0]);
    assert_eq!(gradient(&[3, 3], &[1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0], 0), [0.0, 15.0, 12.0, 12.0, 0.0, 6.0]);
    assert_eq!(gradient(&[2, 1], &[1.0, 0.0], 1), [0.0, 1.0, 0.0, 2.0, 0.0, 0.0]);
}

#[test]
fn what_cannot_be_taken_is_refused() {
    let refused = |x: &[usize], index: TypeSpec, axis: isize| {
        let g = GraphBuilder::new("test");
        g.output("y", &g.input("x", f64(x)).take_along_axis(g.input("i", index), axis));
        g.finish().unwrap_err().to_string()
    };
    assert!(refused(&[2, 3], i32([2]), 1).contains("must have the same rank"));
    assert!(refused(&[2, 3], i32([3, 1]), 1).contains("take_along_axis"));
    assert!(refused(&[2, 3], i32([2, 1]), 2).contains("axis 2 is out of range"));
    assert!(refused(&[2, 3], f64([2, 1]), 1).contains("must be i32 or i64"));
    assert!(refused(&[], i32([]), 0).contains("a scalar has no axes"));
}

#[test]
fn mean_pooling_leaves_padding_out() {
    let window = Window { size: vec![2], stride: vec![2], pad: vec![(0, 1)], dilation: vec![1] };
    let got = eval(|g| constant(g, &[1, 3, 1], &[1.0, 3.0, 5.0]).avg_pool(window.clone()));
    assert_eq!(got, [2.0, 5.0]);
}

/// Counts along a short axis are constants, along a long one computed.
#[test]
fn mean_pooling_counts_what_is_inside_on_axes_of_any_length() {
    for (length, size, stride, dilation, pad) in [
        (11, 4, 2, 1, (3, 2)),
        (5000, 3, 1, 1, (1, 1)),
        (9001, 4, 2, 3, (7, 2)),
        (4100, 2, 1, 5, (5, 5)),
        (9, 2, 1, 5, (5, 5)),
    ] {
        let window = || Window {
            size: vec![size, 2],
            stride: vec![stride, 2],
            pad: vec![pad, (0, 1)],
            dilation: vec![dilation, 1],
        };
        let ones = |g: &GraphBuilder| g.ones(f64([1, length, 3, 1]));
        let counts = eval(|g| ones(g).sum_pool(window()));
        let mean = |f: fn(f64) -> f64| counts.iter().map(|&n| f(n)).collect::<Vec<f64>>();
        // A window of padding alone has the mean 0 / 0.
        let found = eval(|g| ones(g).avg_pool(window()));
        let expected = mean(|n| n / n);
        assert!(found.iter().zip(&expected).all(|(a, b)| a == b || (a.is_nan() && b.is_nan())), "{found:?}");
        assert_eq!(found.len(), expected.len());
    }
}

/// Its counts were a constant as large as the image, which took seconds to compile.
#[test]
fn a_program_does_not_grow_with_the_image_that_it_pools() {
    for (dims, size) in [(vec![1, 2000, 2000, 1], vec![3, 3]), (vec![1, 5_000_000, 1], vec![4])] {
        let g = GraphBuilder::new("test");
        let pad = vec![(1, 1); size.len()];
        g.output("y", &g.input("x", f32(dims)).avg_pool(Window { pad, ..Window::new(size) }));
        let step = g.finish().unwrap();
        let constants = step.graph.ids().filter(|&id| matches!(step.graph.op(id), ir::Op::Constant(_)));
        assert!(constants.map(|id| step.graph.ty(id).shape.numel()).sum::<usize>() <= 4000);
    }
}

#[test]
fn random_numbers_are_new_in_each_step_and_op() {
    let g = GraphBuilder::new("test");
    g.output("a", &g.random_uniform(f32([8])));
    g.output("b", &g.random_uniform(f32([8])));
    let step = g.finish().unwrap();
    let (mut one, mut other) = (Runner::new(&step), Runner::new(&step));
    let first = one.step(&[]);
    assert_eq!(first["a"], other.step(&[])["a"]);
    assert_ne!(first["a"], first["b"]);
    assert_eq!(one.state(STEP), [1.0]);
    assert_ne!(one.step(&[])["a"], first["a"]);
    assert_eq!(one.state(KEY), [42.0]);
}

#[test]
fn states_change_by_their_updates() {
    let g = GraphBuilder::new("test");
    let count = g.state("count", f64([2]), ones());
    g.set_update("count", &(&count * 2));
    g.output("now", &count);
    let mut runner = Runner::new(&g.finish().unwrap());
    runner.step(&[]);
    assert_eq!(runner.step(&[])["now"].to_f64_vec(), [2.0, 2.0]);
    assert_eq!(runner.state("count"), [4.0, 4.0]);
}

#[test]
fn diagnostics_name_the_line_and_poison_is_silent() {
    let g = GraphBuilder::new("test");
    let x = g.input("x", f32([32, 784]));
    let (line, bad) = (line!(), x.matmul(g.input("w", f32([512, 10]))));
    let silent = (bad.exp() + &x).softmax(-1).sum();
    assert!(silent.is_poisoned());
    g.output("y", &silent);
    let second = (line!(), &x + g.input("z", f32([31, 784]))).0;
    let wants = [
        (line, "matmul of f32[32,784] and f32[512,10]: contracted extents must be equal, 784 and 512"),
        (
            second,
            "add of f32[32,784] and f32[31,784]: shapes [32,784] and [31,784] do not broadcast: aligned from the right, each pair \
             of extents must be equal or one of them 1",
        ),
    ];
    let texts = errors(&g);
    assert_eq!(texts.len(), wants.len(), "{texts:#?}");
    for (text, (line, want)) in texts.iter().zip(wants) {
        let rest = text.strip_prefix(&format!("src/dsl/tests.rs:{line}:")).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(rest.split_once(": ").unwrap().1, want);
    }
}

#[test]
fn types_never_mix_silently() {
    let g = GraphBuilder::new("test");
    let (x, n) = (g.input("x", f32([2])), g.input("n", i32([2])));
    let _ = &x * &n;
    let _ = &n + 0.5;
    let _ = x.matmul(&n);
    let _ = n.exp();
    let _ = n.mean();
    let _ = &g.input("b", bool_([2])) + 1;
    let texts = errors(&g);
    let wants = [
        "mul of f32[2] and i32[2]: operands must have one element type, not f32 and i32: cast one of them",
        "of i32[2]: the literal 0.5 is not a value of i32: cast the tensor first",
        "matmul of f32[2] and i32[2]: operands must have one element type",
        "exp of i32[2]: operands must have a float type, not i32",
        "mean of i32[2]: operands must have a float type, not i32: cast first",
        "of bool[2]: the literal 1 is not a value of bool: cast the tensor first",
    ];
    assert_eq!(texts.len(), wants.len(), "{texts:#?}");
    for (text, want) in texts.iter().zip(wants) {
        assert!(text.contains(want), "{text}\nlacks\n{want}");
    }
}

#[test]
fn ports_and_shapes_are_checked() {
    let g = GraphBuilder::new("test");
    let x = g.input("x", f32([2, 3]));
    g.input("x", f32([2]));
    g.input("empty", f32([0, 3]));
    g.param("w", f32([3]), zeros());
    g.param("w", f32([3]), zeros());
    g.param("i", i32([3]), glorot_uniform());
    g.set_update("w", &x);
    g.set_update("nothing", &x);
    g.output("y", &x);
    g.output("y", &x);
    let _ = x.reshape([4, -1]);
    let _ = x.permute([0, 0]);
    let _ = x.sum_axes([2]);
    let _ = x.squeeze([0]);
    let _ = x.broadcast_to([3, 2]);
    let _ = &x + GraphBuilder::new("other").input("x", f32([2, 3]));
    let _ = g.gradients(&x, &[&x]);
    let texts = errors(&g);
    let wants = [
        "input \"x\": the graph has an input of that name already",
        "input \"empty\": axis 0 of [0,3] has extent 0",
        "state \"w\": the graph has a state of that name already",
        "state \"i\": random initial values need a float type, not i32",
        "update of state \"w\" of f32[3] and f32[2,3]: old and new value must have one type",
        "update of state \"nothing\": the graph has no such state",
        "output \"y\" of f32[2,3]: the graph has an output of that name already",
        "reshape of f32[2,3]: 6 elements can't be split into [4, -1]",
        "permute of f32[2,3]: axis 0 is given twice",
        "sum of f32[2,3]: axis 2 is out of range: valid are -2 to 1",
        "squeeze of f32[2,3]: axis 0 must have extent 1, not 2",
        "broadcast_to of f32[2,3]: the shape [2,3] does not broadcast to [3,2]",
        "its operands belong to different graphs",
        "the loss must be a float scalar, not f32[2,3]",
    ];
    assert_eq!(texts.len(), wants.len(), "{texts:#?}");
    for (text, want) in texts.iter().zip(wants) {
        assert!(text.contains(want), "{text}\nlacks\n{want}");
    }
}

#[test]
fn a_scan_uses_what_is_around_it() {
    let g = GraphBuilder::new("around");
    let xs = g.input("xs", f64([3, 2]));
    let w = g.input("w", f64([2]));
    // A scan in a scan: its body uses tensors of both graphs around it.
    let (sums, rows) = scan(&[&g.zeros(f64([2]))], &[&xs], |carry, x| {
        let scaled = &x[0] * &w;
        let (inner, _) = scan(&[&g.zeros(f64([]))], &[&scaled], |total, y| (vec![&total[0] + &y[0] * w.sum()], vec![]));
        let sum = &carry[0] + &scaled;
        (vec![sum], vec![inner[0].clone()])
    });
    g.output("sums", &sums[0]);
    g.output("rows", &rows[0]);
    let step = g.finish().unwrap_or_else(|e| panic!("{e}"));
    let inputs = [("xs", value(f64([3, 2]), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])), ("w", value(f64([2]), &[0.5, 2.0]))];
    let out = Runner::new(&step).step(&inputs);
    assert_eq!(out["sums"].to_f64_vec(), [4.5, 24.0]);
    assert_eq!(out["rows"].to_f64_vec(), [11.25, 23.75, 36.25]);
}

#[test]
fn broken_scans_name_the_line() {
    let g = GraphBuilder::new("broken");
    let (xs, ys) = (g.input("xs", f64([3, 2])), g.input("ys", f64([4, 2])));
    let h = g.zeros(f64([2]));
    let mut escaped = None;
    let keep = |c: &[Tensor], x: &[Tensor]| {
        escaped = Some(x[0].clone());
        (c.to_vec(), vec![])
    };
    let lines = [line!() + 1, line!() + 2, line!() + 3, line!() + 4, line!() + 5, line!() + 6];
    scan(&[&h], &[&xs, &ys], |c, _| (c.to_vec(), vec![]));
    scan(&[&h], &[&xs], |c, x| (vec![c[0].matmul(x[0].reshape([1, 2]))], vec![]));
    scan(&[&h], &[&xs], |c, _| (vec![c[0].unsqueeze(0)], vec![]));
    scan(&[&h], &[&xs], |_, x| (vec![], x.to_vec()));
    scan(&[&h], &[], |c, _| (c.to_vec(), vec![]));
    scan(&[&h], &[&xs], keep);
    g.output("escaped", &(escaped.unwrap() + 1.0));
    let text = g.finish().unwrap_err().to_string();
    let wants = [
        "sequence 1 has 4 steps, others have 3",
        "contracted extents must be equal, 2 and 1",
        "carry 0 of a scan is f64[2], the body carries on f64[1,2]",
        "the body gets 1 carries and gives 0",
        "without sequences it needs a length",
        "used outside of it",
    ];
    let found: Vec<&str> = text.lines().collect();
    assert_eq!(found.len(), wants.len(), "{text}");
    for (i, (found, want)) in found.iter().zip(wants).enumerate() {
        let line = lines[i] + u32::from(i == 5);
        assert!(found.starts_with(&format!("src/dsl/tests.rs:{line}:")) && found.contains(want), "{found}");
    }
}

#[test]
fn letters_that_do_not_fit_are_named() {
    let g = GraphBuilder::new("test");
    let (a, b) = (g.input("a", f32([2, 3])), g.input("b", f32([4, 5])));
    let equations = ["ij->i", "ij,jk->ik", "ii,jk->k", "ij,kl->m", "i,kl->k", "i.,kl->k", "ij,kl->kk"];
    for equation in equations {
        assert!(a.einsum(equation, &[&b]).is_poisoned(), "{equation}");
    }
    let texts: Vec<String> = g.finish().unwrap_err().diagnostics.iter().map(ToString::to_string).collect();
    let wants = [
        "it has letters for 1 tensors, there are 2",
        "`j` has the extents 3 and 4",
        "`i` stands twice in tensor 0",
        "`m` of the result is in no tensor",
        "tensor 0 has 2 axes, and 1 letters",
        "`.` is no letter",
        "`k` stands twice in the result",
    ];
    assert_eq!(texts.len(), wants.len(), "{texts:#?}");
    for (text, want) in texts.iter().zip(wants) {
        assert!(text.contains("src/dsl/tests.rs") && text.ends_with(want), "{text} lacks {want}");
    }
}

#[test]
fn order_has_nans_last_and_keeps_equals() {
    let x = [2.0, f64::NAN, -1.0, 2.0, f64::NEG_INFINITY, f64::NAN, f64::INFINITY, -0.0, 0.0];
    let order = |descending| eval(|g| constant(g, &[9], &x).argsort(0, descending));
    assert_eq!(order(false), [4.0, 2.0, 7.0, 8.0, 0.0, 3.0, 6.0, 1.0, 5.0]);
    assert_eq!(order(true), [1.0, 5.0, 6.0, 0.0, 3.0, 7.0, 8.0, 2.0, 4.0]);
    assert_eq!(eval(|g| constant(g, &[3, 1], &[1.0, 3.0, 2.0]).top_k(2, 0).1), [1.0, 2.0]);
    let g = GraphBuilder::new("test");
    let x = g.input("x", f32([3]));
    assert!(x.top_k(4, 0).0.is_poisoned() && x.top_k(0, 0).0.is_poisoned() && x.sort(1, false).is_poisoned());
    assert!(g.finish().unwrap_err().to_string().contains("top_k of f32[3]: it gives from 1 to 3 elements"));
}

#[test]
fn few_of_many_are_those_that_come_first_in_order() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let rows = [
        [1.0, nan, 3.0, inf, -inf, 3.0, nan, inf],
        [-inf, -inf, -inf, -inf, -inf, -inf, -inf, -inf],
        [2.0, 2.0, 2.0, 7.0, -1.0, 7.0, 0.0, -0.0],
    ];
    let numbers = rows.concat();
    for dtype in [DType::F64, DType::F32, DType::I32] {
        for (dims, axis) in [([3, 8], 1), ([8, 3], 0)] {
            let all = |g: &GraphBuilder| {
                let x = g.constant(value(TypeSpec::new(dtype, dims), &numbers));
                // Two of eight are picked, eight are counted.
                let picked = x.top_k(2, axis).1.flatten_from(0);
                picked.concat(&[&x.argsort(axis, true).slice_axis(axis, 0..2).flatten_from(0)], 0)
            };
            let found = eval(all);
            assert_eq!(found[..6], found[6..], "{dtype} {dims:?}");
        }
    }
}

/// Rows of blocks, with one to be filled up and without, along either axis.
#[test]
fn few_of_long_rows_are_those_that_come_first_in_order() {
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 2.0, 2.0, 1.0];
    for (extent, counts) in [(131, [1, 2, 30]), (144, [1, 17, 36])] {
        let mut random = SplitMix64::new(extent as u64);
        let numbers: Vec<f64> = (0..2 * extent)
            .map(|i| match random.bits() % 24 {
                n @ 0..8 => special[n as usize],
                // Hardly anything else in the second row.
                8..22 if i >= extent => f64::NEG_INFINITY,
                n => n as f64,
            })
            .collect();
        for (dtype, axis) in [(DType::F64, 1), (DType::F32, 0), (DType::F32, 1), (DType::Bf16, 1)] {
            for count in counts {
                let found = eval(|g: &GraphBuilder| {
                    let x = g.constant(value(TypeSpec::new(dtype, [2, extent]), &numbers));
                    let x = x.swap_axes(axis, 1);
                    let picked = x.top_k(count, axis).1.flatten_from(0);
                    picked.concat(&[&x.argsort(axis, true).slice_axis(axis, 0..count).flatten_from(0)], 0)
                });
                assert_eq!(found[..2 * count], found[2 * count..], "{count} of {extent}, {dtype}, axis {axis}");
            }
        }
    }
}
