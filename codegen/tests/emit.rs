//! What compiling gives and refuses. That the code computes what it should is tested where it can be run, in `runtime`.

use codegen::{Backend, CodegenError, EmitOptions, emit};
use kernel::{Program, Target};

fn program(body: &str, dtype: &str) -> Program {
    let text = format!(
        "program \"p\" b0: {dtype}[8] input \"x\" b1: {dtype}[8] output \"y\"
        kernel k(p0: read {dtype}[8], p1: write {dtype}[8]) {{ {body} }}
        launch k(b0, b1)"
    );
    text.parse().unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Everything on, for the portable emitter.
fn options() -> EmitOptions {
    options_for(Target::baseline())
}

fn options_for(target: Target) -> EmitOptions {
    EmitOptions { verify: true, dump: true, threads: 2, ..EmitOptions::new(target) }
}

fn refused(program: &Program) -> CodegenError {
    emit(program.clone(), &options()).expect_err("a refusal")
}

#[test]
fn a_vector_strip_is_vector_code() {
    let program = program("vector i0 in 0..2 { store p1[i0*4] = add(load.x4 p0[i0*4], load.x4 p0[i0*4]) }", "f32");
    let compiled = emit(program, &options()).expect("compiles");
    let kernel = &compiled.kernels()[0];
    let dump = kernel.dump.as_ref().expect("was asked for");
    assert!(dump.clif.contains("load.f32x4") && dump.clif.contains("fadd"), "{}", dump.clif);
    assert!(!dump.assembly.is_empty() && kernel.code_bytes > 0 && kernel.code_bytes < compiled.code_bytes());
    assert_eq!((kernel.parallel, compiled.scratch_bytes()), (None, 0));
}

/// The emitter for wide vectors takes this kernel wherever there are any, and says so.
#[test]
fn wide_vectors_have_an_emitter_of_their_own() {
    let program = program("vector i0 in 0..1 { store p1[i0*8] = add(load.x8 p0[i0*8], load.x8 p0[i0*8]) }", "f32");
    for (target, expected) in
        [(Target::avx2(), Backend::X86), (Target::baseline(), Backend::Portable { because: None })]
    {
        let compiled = emit(program.clone(), &options_for(target)).expect("compiles");
        let kernel = &compiled.kernels()[0];
        assert_eq!(kernel.emitter, expected);
        let text = &kernel.dump.as_ref().expect("was asked for").assembly;
        assert_eq!(text.contains("vaddps ymm0,ymm0,"), expected == Backend::X86, "{text}");
    }
}

/// Each element took both orders of the operands, a sum for NaN and a selection: six instructions, where the loop's end can tell zeros and NaN.
#[test]
fn a_loop_for_extrema_asked_for_zeros_and_nan_at_each_element() {
    for (op, start, instruction) in [("max", "-inf", "vmaxps"), ("min", "inf", "vminps")] {
        let body = format!(
            "var v0 = splat.x8({start}:f32) var v1 = splat.x8({start}:f32)
             vector i0 in 0..100 {{
                 let v2 = load.x8 p0[0]
                 let v3 = neg(load.x8 p0[0])
                 v0 {op}= v2
                 v1 {op}= v3
             }}
             store p1[0] = add(v0, v1)"
        );
        let compiled = emit(program(&body, "f32"), &options_for(Target::avx2())).expect("compiles");
        let text = &compiled.kernels()[0].dump.as_ref().expect("was asked for").assembly;
        assert_eq!(text.matches(instruction).count(), 2, "{text}");
    }
}

/// Keys that a product reads down their columns were packed by a load and a store for each element.
#[test]
fn columns_were_packed_element_by_element() {
    for (dtype, per, one) in [("f32", 4, "vmovss"), ("f64", 2, "vmovsd")] {
        let copies: Vec<String> =
            (0..per).map(|at| format!("let v{at} = load p0[i0*24 + {at}] store p1[i0 + {}] = v{at}", at * 8)).collect();
        let text = format!(
            "program \"p\" b0: {dtype}[200] input \"x\" b1: {dtype}[64] output \"y\"
            kernel k(p0: read {dtype}[200], p1: write {dtype}[64]) {{ for i0 in 0..8 {{ {} }} }}
            launch k(b0, b1)",
            copies.join(" ")
        );
        let compiled = emit(text.parse().expect("parses"), &options_for(Target::avx2())).expect("compiles");
        let text = &compiled.kernels()[0].dump.as_ref().expect("was asked for").assembly;
        assert!(text.contains("vunpckhpd") && !text.contains(one), "{text}");
    }
}

/// What the other emitter doesn't provide is compiled all the same, with the reason.
#[test]
fn kernels_go_to_the_portable_emitter_with_a_reason() {
    let program = program("for i0 in 0..8 { store p1[i0] = div(load p0[i0], 3i64) }", "i64");
    for (target, has_reason) in [(Target::baseline(), false), (Target::avx512(), true)] {
        let compiled = emit(program.clone(), &options_for(target)).expect("compiles");
        match &compiled.kernels()[0].emitter {
            Backend::Portable { because } => assert_eq!(because.is_some(), has_reason),
            Backend::X86 => panic!("quotients of 64-bit integers are not vector code"),
        }
    }
}

/// Kernels with any of these were left to the portable emitter, with all else that they do.
#[test]
fn quotients_of_32_bits_and_what_rounds_once_to_16_bits_are_vector_code() {
    let quotient = |op: &str, by: &str| format!("vector i0 in 0..1 {{ store p1[0] = {op}(load.x8 p0[0], {by}) }}");
    let mut cases = vec![];
    for dtype in ["i32", "u8"] {
        let constant = format!("splat.x8(7{dtype})");
        for op in ["div", "rem"] {
            cases.push((quotient(op, "load.x8 p0[0]"), dtype));
            cases.push((quotient(op, &constant), dtype));
        }
    }
    for dtype in ["bf16", "f16"] {
        let wide = "fma(cast(load.x8 p0[0] : f64), splat.x8(3.0f64), splat.x8(1.0f64))";
        cases.push((format!("vector i0 in 0..1 {{ store p1[0] = cast({wide} : {dtype}) }}"), dtype));
        cases.push((
            "vector i0 in 0..1 { store p1[0] = fma(load.x8 p0[0], load.x8 p0[0], load.x8 p0[0]) }".into(),
            dtype,
        ));
    }
    for (body, dtype) in cases {
        for target in [Target::avx2(), Target::avx512()] {
            let compiled = emit(program(&body, dtype), &options_for(target)).expect("compiles");
            let kernel = &compiled.kernels()[0];
            assert_eq!(kernel.emitter, Backend::X86, "{body} of {dtype}");
            let text = &kernel.dump.as_ref().expect("was asked for").assembly;
            assert!(!body.contains("7") || !text.contains("vdiv"), "a constant's reciprocal: {text}");
        }
    }
}

#[test]
fn locals_take_whole_cache_lines() {
    let body = "local l0: u8[3] local l1: f32[17] for i0 in 0..3 { store l0[i0] = 1u8 }
        for i1 in 0..8 { store l1[i1] = load p0[i1] store p1[i1] = load l1[i1] }";
    let compiled = emit(program(body, "f32"), &options()).expect("compiles");
    assert_eq!(compiled.scratch_bytes(), 64 + 128);
}

#[test]
fn what_is_not_provided_is_named_with_its_kernel() {
    let half = refused(&program("for i0 in 0..8 { store p1[i0] = bitcast(cast(load p0[i0] : bf16) : f16) }", "f16"));
    assert!(
        matches!(&half, CodegenError::Unsupported { kernel, what } if kernel == "k" && what.contains("f16")),
        "{half}"
    );
    let exp = refused(&program("for i0 in 0..8 { store p1[i0] = exp(load p0[i0]) }", "f32"));
    assert!(matches!(&exp, CodegenError::Unsupported { what, .. } if what.contains("`exp`")), "{exp}");
}

#[test]
fn malformed_kernels_are_errors_not_panics() {
    for body in [
        "store p1[0] = v3",
        "store p1[i4] = load p0[0]",
        "v1 add= load p0[0]",
        "let v0 = load p0[0] v0 add= 1.0f32",
        "for i0 in 0..2 { parallel i1 in 0..2 { store p1[i1] = 1.0f32 } }",
        "store p1[0] = 1i32",
        "store p2[0] = 1.0f32",
        "store l0[0] = 1.0f32",
        "if splat.x4(true) { store p1[0] = 1.0f32 } else { }",
    ] {
        let error = refused(&program(body, "f32"));
        assert!(matches!(error, CodegenError::Malformed { .. }), "{body}: {error}");
    }
}

#[test]
fn a_launch_of_no_kernel_is_an_error() {
    let mut program = program("store p1[0] = load p0[0]", "f32");
    program.launches[0].kernel = 7;
    assert!(matches!(refused(&program), CodegenError::Backend { .. }));
}
