//! The interpreter: each construct means what its doc says, and what programs must not rely on shows.

use kernel::eval::{EvalError, Interpreter, ParallelOrder, Tensors, eval};
use kernel::{Data, Program, dot_pair};

fn program(text: &str) -> Program {
    text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Runs a kernel body with `p0: read f32[8]`, `p1: readwrite f32[8]`, `p2: read i32[2]`, and one check; gives `p1`.
fn run(x: [f32; 8], picks: [i32; 2], body: &str) -> Result<Vec<f32>, EvalError> {
    let text = format!(
        "program \"p\"\nb0: f32[8] input \"x\"\nb1: f32[8] output \"y\"\nb2: i32[2] input \"i\"\n\
         check #0 \"out of range\" at \"main.rs:1:1\"\n\
         kernel k(p0: read f32[8], p1: readwrite f32[8], p2: read i32[2]) {{ local l0: f32[8]\n{body} }}\nlaunch k(b0, b1, b2)"
    );
    let inputs = Tensors::from([("x".into(), Data::F32(x.to_vec())), ("i".into(), Data::I32(picks.to_vec()))]);
    let (outputs, _) = eval(&program(&text), &inputs, &Tensors::new())?;
    match &outputs["y"] {
        Data::F32(y) => Ok(y.clone()),
        other => panic!("{other:?}"),
    }
}

const X: [f32; 8] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];

#[test]
fn expressions_and_statements() {
    for (body, y) in [
        ("for i0 in 0..8 { store p1[i0] = neg(load p0[i0]) }", X.map(|v| -v)),
        (
            "for i0 in 0..8 { let i1 = (i0) / 3 let i2 = (i0) % 3 store p1[i0] = cast(index i1*10 + i2 : i32 : f32) }",
            [0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 20.0, 21.0],
        ),
        (
            "for i0 in 0..8 { let i1 = clamp(i0 + -2, 0, 3) store p1[i0] = load p0[i1] }",
            [1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0],
        ),
        (
            "for i0 in 0..8 { if lt(load p0[i0], 3.5f32) { store p1[i0] = 1.0f32 } else { store p1[i0] = 0.0f32 } }",
            [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        ),
        (
            "for i0 in 0..2 { store p1[i0*4] = cast(index i0*4 : i32x4 stride 2 : f32) }",
            [0.0, 2.0, 4.0, 6.0, 4.0, 6.0, 8.0, 10.0],
        ),
        (
            "store p1[0] = load.x4 p0[7] stride -2 store p1[4] = splat.x4(load p0[1])",
            [8.0, 6.0, 4.0, 2.0, 2.0, 2.0, 2.0, 2.0],
        ),
        // All lanes are loaded before any is stored.
        ("store p1[0] = load.x8 p0[0] store p1[1] = load.x4 p1[0]", [1.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0]),
        (
            "var v0 = load.x4 p0[0] v0 = splat.x4(fold add(v0)) store p1[0] = v0 v0 mul= load.x4 p0[4] store p1[4] = v0",
            [10.0, 10.0, 10.0, 10.0, 50.0, 60.0, 70.0, 80.0],
        ),
        (
            "for i0 in 0..8 { store p1[i0] = bitcast(add(bitcast(load p0[i0] : i32), 8388608i32) : f32) }",
            X.map(|v| v * 2.0),
        ),
    ] {
        assert_eq!(run(X, [0, 1], body).unwrap(), y, "{body}");
    }
}

#[test]
fn folds_go_by_halves() {
    // (l0 + l2) + (l1 + l3): the ones vanish beside the large number unless they meet first.
    let x = [1e8, 1.0, -1e8, 3.0, 0.0, 0.0, 0.0, 0.0];
    let body = "store p1[0] = splat.x8(fold add(load.x4 p0[0]))";
    assert_eq!(run(x, [0, 0], body).unwrap(), [4.0; 8]);
    // Of three lanes the second one waits: (l0 + l2) + l1.
    let body = "store p1[0] = splat.x8(fold add(load.x3 p0[0]))";
    assert_eq!(run(x, [0, 0], body).unwrap(), [1.0; 8]);
    // ((l0 + l4) + l2) + ((l1) + l3), and no lane turns -0 to 0.
    let x = [1e8, 1.0, 0.5, 1.0, -1e8, 0.0, 0.0, 0.0];
    assert_eq!(run(x, [0, 0], "store p1[0] = splat.x8(fold add(load.x5 p0[0]))").unwrap(), [2.5; 8]);
    let zeros = run([-0.0; 8], [0, 0], "store p1[0] = splat.x8(fold add(load.x7 p0[0]))").unwrap();
    assert!(zeros.iter().all(|z| z.is_sign_negative()));
    let body = "store p1[0] = splat.x8(fold add(load.x4 p0[1] stride -1))";
    assert!(matches!(run(x, [0, 0], body), Err(EvalError::OutOfBounds { index: -1, len: 8, .. })));
}

#[test]
fn micro_is_its_documented_loop() {
    // C[2, 4] = 2 (1 + A[2, 2 by 1] * B[2, 4]), A = p0[0..4], B = p0[0..8].
    let body = "for i0 in 0..8 { store p1[i0] = 1.0f32 } \
        micro 2x4 a=p0[0] stride 2, b=p0[0], reduce=[(2, 1, 4), (1, 9, 9)], c add=p1[0] stride 4 \
        for i1 in 0..8 { store p1[i1] = mul(load p1[i1], 2.0f32) }";
    let mut expected = vec![];
    for i in 0..2 {
        for j in 0..4 {
            let sum = (0..2).fold(0.0f32, |acc, r| X[i * 2 + r].mul_add(X[r * 4 + j], acc));
            expected.push((1.0 + sum) * 2.0);
        }
    }
    assert_eq!(run(X, [0, 1], body).unwrap(), expected);
    let beyond = body.replace("(1, 9, 9)", "(2, 9, 9)");
    assert!(matches!(run(X, [0, 1], &beyond), Err(EvalError::OutOfBounds { index: 12, .. })));
}

/// A pair of `bf16` from numbers that have few digits.
fn pair(first: f32, second: f32) -> i32 {
    (second.to_bits() & 0xffff_0000 | first.to_bits() >> 16).cast_signed()
}

#[test]
fn a_pair_adds_its_second_product_first_and_drops_denormals() {
    // 1 + 2^-24 rounds to 1, so the sum depends on which product meets it first.
    let half_ulp = f32::exp2(-24.0);
    let (a, b) = (pair(1.0, half_ulp), pair(1.0, 1.0));
    assert_eq!(dot_pair(a, b, 0.0), 1.0);
    assert_eq!(dot_pair(a, b, half_ulp), 1.0 + f32::EPSILON);
    assert_eq!(dot_pair(pair(half_ulp, 1.0), b, half_ulp), 1.0);
    // Each of the three may be a denormal, or a sum on the way.
    let tiny = f32::from_bits(0x0040_0000);
    assert_eq!(dot_pair(pair(tiny, 0.0), pair(1e30, 0.0), 0.0), 0.0);
    assert_eq!(dot_pair(0, 0, -tiny).to_bits(), 0);
    assert_eq!(dot_pair(pair(f32::MIN_POSITIVE, 0.0), pair(0.5, 0.0), 0.0).to_bits(), 0);
    assert_eq!(dot_pair(pair(f32::INFINITY, 1.0), pair(1.0, 1.0), 1.0), f32::INFINITY);
    assert!(dot_pair(pair(f32::INFINITY, 1.0), pair(tiny, 1.0), 1.0).is_nan(), "infinity times what is taken for 0");
    assert!(dot_pair(pair(f32::NAN, 0.0), pair(0.0, 0.0), 1.0).is_nan());
}

#[test]
fn a_micro_of_pairs_sums_in_f32() {
    let text = "program \"p\"\nb0: i32[6] input \"a\"\nb1: i32[9] input \"b\"\nb2: f32[6] output \"c\"\n\
                kernel k(p0: read i32[6], p1: read i32[9], p2: write f32[6]) { micro 2x3 a=p0[0] stride 3, b=p1[0], \
                reduce=[(3, 1, 3)], c=p2[0] stride 3 }\nlaunch k(b0, b1, b2)";
    let pairs = |count: usize, by: f32| (0..count).map(|i| pair(i as f32 * by, 1.5 - i as f32)).collect::<Vec<i32>>();
    let (a, b) = (pairs(6, 0.25), pairs(9, 2.0));
    let inputs = Tensors::from([("a".to_string(), Data::I32(a.clone())), ("b".to_string(), Data::I32(b.clone()))]);
    let outputs = Interpreter::new(&program(text)).unwrap().run(&inputs).unwrap();
    for i in 0..2 {
        for j in 0..3 {
            let sum = (0..3).fold(0.0, |sum, r| dot_pair(a[i * 3 + r], b[r * 3 + j], sum));
            assert_eq!(outputs["c"].get(i * 3 + j).as_f64(), f64::from(sum));
        }
    }
}

#[test]
fn checks_stop_with_their_message() {
    let body = "for i0 in 0..8 { store p1[i0] = 0.0f32 } for i1 in 0..2 { let i2 = checked(load p2[i1], 8, #0) store p1[i2] = 1.0f32 }";
    assert_eq!(run(X, [7, 0], body).unwrap(), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    for wrong in [-1, 8] {
        let error = run(X, [0, wrong], body).unwrap_err();
        assert_eq!(error.to_string(), "out of range (at main.rs:1:1)");
        assert!(matches!(error, EvalError::Check { check: 0, .. }));
    }
}

#[test]
fn the_undefined_is_poison() {
    let y = run(X, [0, 0], "store p1[0] = load l0[0] store p1[1] = load p1[5]").unwrap();
    assert!(y[0].is_nan() && y[1].is_nan() && y[7].is_nan());
    // One iteration's scratch memory is not the next one's.
    let y = run(X, [0, 0], "parallel i0 in 0..8 { store p1[i0] = load l0[0] store l0[0] = 1.0f32 }").unwrap();
    assert!(y.iter().all(|v| v.is_nan()));
}

#[test]
fn dependent_iterations_show() {
    let text = "program \"p\"\nb0: f32[4] output \"y\"\nkernel k(p0: readwrite f32[4]) { parallel i0 in 0..4 { \
                store p0[0] = cast(index i0 : i32 : f32) } }\nlaunch k(b0)";
    let first = |order| {
        let mut machine = Interpreter::new(&program(text)).unwrap();
        machine.set_order(order);
        machine.run(&Tensors::new()).unwrap()["y"].get(0).as_f64()
    };
    assert_eq!((first(ParallelOrder::Forward), first(ParallelOrder::Backward)), (3.0, 0.0));
}

const STEP: &str = "b0: f64[2] input \"g\" @ 0
b1: f64[2] state \"w\"
b2: f64[2] next \"w\"
b3: f64[2] constant [0.5, 0.25] @ 128
b4: f64[2] output \"was\" @ 192
kernel copy(p0: read f64[2], p1: write f64[2]) { for i0 in 0..2 { store p1[i0] = load p0[i0] } }
kernel step(p0: read f64[2], p1: read f64[2], p2: read f64[2], p3: write f64[2]) {
  for i0 in 0..2 { store p3[i0] = fma(load p0[i0], load p2[i0], load p1[i0]) }
}
launch copy(b1, b4)
launch step(b0, b1, b3, b2)";

#[test]
fn states_move_on_with_and_without_a_plan() {
    let planned = format!("program \"p\" arena 256\n{STEP}");
    let unplanned = format!("program \"p\"\n{}", STEP.replace(" @ 0", "").replace(" @ 128", "").replace(" @ 192", ""));
    for text in [planned, unplanned] {
        let mut machine = Interpreter::new(&program(&text)).unwrap();
        machine.set_state("w", &Data::F64(vec![1.0, 2.0])).unwrap();
        let inputs = Tensors::from([("g".into(), Data::F64(vec![2.0, 4.0]))]);
        let first = machine.run(&inputs).unwrap();
        let second = machine.run(&inputs).unwrap();
        assert_eq!(first["was"], Data::F64(vec![1.0, 2.0]));
        assert_eq!(second["was"], Data::F64(vec![2.0, 3.0]));
        assert_eq!(machine.state("w"), Some(Data::F64(vec![3.0, 4.0])));
    }
    // A plan that overwrites what is still needed gives other results.
    let wrong =
        format!("program \"p\" arena 256\n{STEP}").replace("launch copy(b1, b4)\n", "") + "\nlaunch copy(b1, b4)";
    let mut machine = Interpreter::new(&program(&wrong)).unwrap();
    let inputs = Tensors::from([("g".into(), Data::F64(vec![2.0, 4.0]))]);
    assert_eq!(machine.run(&inputs).unwrap()["was"], Data::F64(vec![1.0, 1.0]));
}

#[test]
fn wrong_callers_get_errors() {
    let text = format!("program \"p\" arena 256\n{STEP}");
    let mut machine = Interpreter::new(&program(&text)).unwrap();
    assert_eq!(machine.run(&Tensors::new()).unwrap_err().to_string(), "the input \"g\" is missing");
    let wrong = Tensors::from([("g".into(), Data::F32(vec![0.0]))]);
    assert_eq!(machine.run(&wrong).unwrap_err().to_string(), "\"g\" takes 2 elements of f64, not 1 of f32");
    let many = Tensors::from([("g".into(), Data::F64(vec![0.0; 2])), ("h".into(), Data::F64(vec![0.0; 2]))]);
    assert_eq!(machine.run(&many).unwrap_err().to_string(), "there is no input or state \"h\"");
    assert!(machine.set_state("v", &Data::F64(vec![0.0; 2])).is_err());
    let unsound = program("program \"p\"\nkernel k() { let v0 = v1 }");
    assert!(matches!(Interpreter::new(&unsound), Err(EvalError::Unsound(_))));
}
