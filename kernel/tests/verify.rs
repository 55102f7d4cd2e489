//! The verifier: what it proves, and each invariant broken once.

use kernel::{Kernel, Program, Spec, in_place_safe, verify, verify_kernel};

fn kernel(text: &str) -> Kernel {
    text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// The invariants that a kernel with these parameters, locals and body breaks.
fn broken(params: &str, body: &str) -> Vec<u32> {
    let kernel = kernel(&format!("kernel k({params}) {{\n{body}\n}}"));
    let checks = [kernel::Check { message: "c".into(), loc: None }];
    match verify_kernel(&kernel, &checks, Spec::LOWERED) {
        Ok(()) => vec![],
        Err(e) => e.errors().iter().map(|e| e.invariant).collect(),
    }
}

fn assert_sound(params: &str, body: &str) {
    let kernel = kernel(&format!("kernel k({params}) {{\n{body}\n}}"));
    let checks = [kernel::Check { message: "c".into(), loc: None }];
    if let Err(e) = verify_kernel(&kernel, &checks, Spec::LOWERED) {
        panic!("{e}");
    }
}

const XY: &str = "p0: read f32[64], p1: write f32[64]";

#[test]
fn names_and_types() {
    assert_sound(XY, "for i0 in 0..64 { let v0 = load p0[i0] store p1[i0] = neg(v0) }");
    for (invariant, body) in [
        (2, "store p1[i0] = 1.0f32"),
        (2, "for i0 in 0..2 { let v0 = 1.0f32 } for i1 in 0..2 { let v0 = 1.0f32 }"),
        (2, "for i0 in 0..2 { } store p1[i0] = 1.0f32"),
        (3, "store p1[0] = v0"),
        (3, "if true { let v0 = 1.0f32 } store p1[0] = v0"),
        (3, "store p1[0] = add(1.0f32, 1i32)"),
        (3, "store p1[0] = add(splat.x4(1.0f32), 1.0f32)"),
        (3, "store p1[0] = 1i32"),
        (3, "let v0 = 1.0f32 v0 = 2.0f32"),
        (3, "var v0 = 1.0f32 v0 = 2i32"),
        (3, "var v0 = 1.0f32 v0 sub= 2.0f32"),
        (3, "if 1.0f32 { }"),
        (3, "let v0 = fold sub(splat.x4(1.0f32))"),
        (3, "let v0 = load.x4 p0[0] stride 0"),
        (3, "let v0 = splat.x4(splat.x4(1.0f32))"),
        (3, "let v0 = splat.x1(1.0f32)"),
        (3, "let v0 = index 3 : i32x0 stride 1"),
        (3, "let v0 = splat.x65(1.0f32)"),
        (3, "let v0 = fold add(load p0[0])"),
        (3, "let v0 = bitcast(1.0f32 : i64)"),
    ] {
        assert_eq!(broken(XY, body), [invariant], "{body}");
    }
}

#[test]
fn structure() {
    for (invariant, body) in [
        (4, "for i0 in 0..0 { }"),
        (4, "parallel i0 in 0..2 { } let v0 = 1.0f32"),
        (4, "for i0 in 0..2 { parallel i1 in 0..2 { } }"),
        (4, "vector i0 in 0..2 { for i1 in 0..2 { } }"),
        (6, "for i0 in 0..2 { let i1 = (i0 + -1) / 2 }"),
        (6, "for i0 in 0..2 { let i1 = (i0) % 0 }"),
        (6, "let i0 = clamp(3, 2, 1)"),
        (6, "let i0 = checked(1i32, 0, #0)"),
        (6, "let i0 = checked(1i32, 4, #7)"),
        (6, "for i0 in 0..3 { let v0 = index i0*2000000000 : i32 }"),
        (6, "for i0 in 0..3 { store p1[i0*9223372036854775807] = 1.0f32 }"),
    ] {
        assert_eq!(broken(XY, body), [invariant], "{body}");
    }
    assert_eq!(broken("p0: read f32[1]", "store p0[0] = 1.0f32"), [9]);
    assert_eq!(broken("p0: write f32[1]", "let v0 = load p0[0]"), [9]);
}

#[test]
fn bounds() {
    for body in [
        "for i0 in 0..16 { store p1[i0*4] = load.x4 p0[i0*4] }",
        "for i0 in 0..16 { store p1[i0] = fold add(load.x4 p0[i0] stride 16) }",
        "for i0 in 0..64 { let i1 = (i0) / 8 let i2 = (i0) % 8 store p1[i2*8 + i1] = load p0[i1*8 + i2] }",
        // Not a multiple: only together are quotient and remainder within the bounds.
        "for i0 in 0..63 { let i1 = (i0) / 5 let i2 = (i0) % 5 store p1[i1*5 + i2] = 1.0f32 }",
        "for i0 in 0..70 { let i1 = clamp(i0 + -3, 0, 63) store p1[i1] = load p0[i1] }",
        "let i0 = checked(3i32, 64, #0) store p1[i0] = 1.0f32",
        "for i0 in 0..8 { let i1 = i0*-8 + 63 store p1[i1] = load.x8 p0[i1] stride -1 }",
    ]
    .map(|b| b.replace(" store p1[i1] = load.x8 p0[i1] stride -1", " let v0 = load.x8 p0[i1] stride -1"))
    {
        assert_sound(XY, &body);
    }
    for body in [
        "for i0 in 0..65 { store p1[i0] = 1.0f32 }",
        "for i0 in 0..65 { if lt(index i0 : i64, 64i64) { store p1[i0 + 1] = 1.0f32 } else { } }",
        "for i0 in 0..65 { if lt(index i0 : i64, 64i64) { } else { store p1[i0] = 1.0f32 } }",
        "for i0 in 0..65 { if lt(index i0 : i64, 64i64) { } else { } store p1[i0] = 1.0f32 }",
        "for i0 in 0..65 { if le(index i0 : i64, 64i64) { store p1[i0] = 1.0f32 } else { } }",
        "for i0 in 0..64 { store p1[i0 + -1] = 1.0f32 }",
        "for i0 in 0..16 { store p1[i0*4 + 1] = splat.x4(1.0f32) }",
        "let v0 = load.x4 p0[0] stride 22",
        "let v0 = load.x2 p0[0] stride -1",
        "for i0 in 0..66 { let i1 = (i0) / 5 store p1[i1*5] = 1.0f32 }",
        "let i0 = checked(3i32, 65, #0) store p1[i0] = 1.0f32",
    ] {
        assert_eq!(broken(XY, body), [7], "{body}");
    }
}

const ABC: &str = "p0: read f32[60], p1: read f32[80], p2: readwrite f32[48]";

#[test]
fn micros() {
    let micro = |head: &str, sums: &str| format!("micro 6x8 {head}, {sums}");
    let sound = "a=p0[0] stride 10, b=p1[0], reduce=[(10, 1, 8)]";
    let sums = "c=p2[0] stride 8";
    assert_sound(ABC, &micro(sound, sums));
    assert_sound(ABC, &micro(sound, "c add=p2[0] stride 8"));
    assert_sound(ABC, &micro(sound, "c=p2[40] stride -8"));
    for (invariants, head, sums) in [
        (vec![7], "a=p0[1] stride 10, b=p1[0], reduce=[(10, 1, 8)]", sums),
        (vec![7], "a=p0[0] stride 10, b=p1[0], reduce=[(11, 0, 8)]", sums),
        (vec![7], sound, "c=p2[1] stride 8"),
        (vec![7], sound, "c=p2[39] stride -8"),
        (vec![8], "a=p0[0] stride 10, b=p1[0] stride 2, reduce=[(1, 1, 8)]", sums),
        (vec![8], "a=p0[0] stride 10, b=p1[0], reduce=[]", sums),
        (vec![8], "a=p0[0] stride 4, b=p2[0], reduce=[(1, 1, 8)]", sums),
        (vec![8], sound, "c=p2[0] stride 7"),
        (vec![2], sound, "c=p3[0] stride 8"),
        (vec![9], sound, "c=p0[0] stride 8"),
    ] {
        let found = broken(ABC, &micro(head, sums));
        assert!(invariants.iter().all(|i| found.contains(i)) && found.len() <= 2, "{head} {sums}: {found:?}");
    }
    let pairs = "p0: read i32[60], p1: read i32[80], p2: write f32[48]";
    assert_sound(pairs, &micro(sound, sums));
    assert_eq!(broken("p0: read f32[60], p1: read i32[80], p2: write f32[48]", &micro(sound, sums)), [8]);
    assert_eq!(broken("p0: read i64[60], p1: read i64[80], p2: write i64[48]", &micro(sound, sums)), [8]);
    assert_eq!(broken("p0: read i32[60], p1: read i32[80], p2: write f64[48]", &micro(sound, sums)), [3]);
    assert_eq!(broken(pairs, &micro(sound, "c add=p2[0] stride 8")), [9]);
    assert_eq!(broken(ABC, &micro("a=p0[i0] stride 5, b=p1[0], reduce=[(1, 1, 8)]", sums)), [2]);
}

#[test]
fn parallel_iterations_are_apart() {
    let params = "p0: readwrite f32[64], p1: write f32[64], p2: read f32[8]";
    for body in [
        "for i1 in 0..8 { store p1[i0*8 + i1] = 1.0f32 }",
        "for i1 in 0..8 { store p1[i1*8 + i0] = 1.0f32 }",
        "micro 8x1 a=p2[0], b=p2[0], reduce=[(1, 1, 1)], c=p1[i0] stride 8",
        "let i1 = (i0) / 4 let i2 = (i0) % 4 for i3 in 0..4 { store p1[i1*4 + i2*8 + i3] = 1.0f32 }",
        "let i1 = (i0) / 2 let i2 = (i1) % 2 let i3 = (i1) / 2 let i4 = (i0) % 2 store p1[i2 + i3*2 + i4*4] = 1.0f32",
        "for i1 in 0..8 { store p0[i0*8 + i1] = load p0[i0*8 + 7] }",
        "store p1[i0*-8 + 56] = splat.x8(1.0f32)",
        // Rows go by inside, columns are the iteration's.
        "for i1 in 0..4 { store p1[i1*16 + i0*2] = splat.x2(1.0f32) } for i2 in 0..4 { store p1[i2*16 + i0*2 + 1] = 1.0f32 }",
        // Batch, row (inside), column.
        "let i1 = (i0) / 4 let i2 = (i0) % 4 for i3 in 0..4 { store p1[i1*32 + i3*8 + i2*2] = splat.x2(1.0f32) }",
        "for i1 in 0..4 { store p0[i1*8 + i0] = load p0[i1*-8 + i0 + 32] }",
    ] {
        assert_sound(params, &format!("parallel i0 in 0..8 {{ {body} }}"));
    }
    for body in [
        "store p1[0] = 1.0f32",
        "for i1 in 0..9 { store p1[i0*7 + i1] = 1.0f32 }",
        "let i1 = (i0) / 4 store p1[i1] = 1.0f32",
        "let i1 = (i0) % 4 store p1[i1*8] = 1.0f32",
        "let i1 = clamp(i0, 0, 6) store p1[i1] = 1.0f32",
        "store p0[i0] = load p0[i0 + 1]",
        "store p0[i0*8] = load p0[0]",
        "let i1 = checked(1i32, 8, #0) store p1[i1] = 1.0f32",
        "store p1[i0*4] = splat.x8(1.0f32)",
        "for i1 in 0..4 { store p1[i1*12 + i0*2] = splat.x2(1.0f32) }",
        "for i1 in 0..4 { store p1[i1*8 + i0] = splat.x2(1.0f32) }",
        "let i1 = (i0) / 4 let i2 = (i0) % 4 for i3 in 0..5 { store p1[i1*24 + i3*6 + i2*2] = 1.0f32 }",
    ] {
        assert_eq!(broken(params, &format!("parallel i0 in 0..8 {{ {body} }}")), [10], "{body}");
    }
}

#[test]
fn in_place() {
    let safe = |body: &str| in_place_safe(&kernel(&format!("kernel k({XY}) {{ {body} }}")), 0, 1).is_ok();
    for body in [
        "for i0 in 0..64 { let v0 = load p0[i0] store p1[i0] = neg(v0) }",
        "parallel i0 in 0..64 { let i1 = (i0) / 8 let i2 = (i0) % 8 store p1[i1*8 + i2] = load p0[i1*8 + i2] }",
        // A row is read whole before it is written.
        "for i0 in 0..8 { var v0 = 0.0f32 for i1 in 0..8 { v0 add= load p0[i0*8 + i1] } \
         for i2 in 0..8 { store p1[i0*8 + i2] = sub(load p0[i0*8 + i2], v0) } }",
        "for i0 in 0..15 { store p1[i0*4] = load.x4 p0[i0*4] } for i1 in 0..4 { store p1[i1 + 60] = load p0[i1 + 60] }",
        "for i0 in 0..64 { let v0 = load p0[i0] } for i1 in 0..64 { store p1[i1] = 0.0f32 }",
        "for i0 in 0..32 { store p1[i0] = load p0[i0 + 32] }",
        // Unrolled: what is loaded after a store is elsewhere.
        "for i0 in 0..32 { store p1[i0*2] = load p0[i0*2] store p1[i0*2 + 1] = load p0[i0*2 + 1] }",
        "for i0 in 0..8 { store p1[i0*8] = load.x4 p0[i0*8] store p1[i0*8 + 4] = load.x4 p0[i0*8 + 4] }",
    ] {
        assert!(safe(body), "{body}");
    }
    for body in [
        "for i0 in 0..64 { store p1[i0] = 0.0f32 let v0 = load p0[i0] }",
        "for i0 in 0..64 { store p1[i0] = load p0[i0*-1 + 63] }",
        "for i0 in 0..63 { store p1[i0 + 1] = load p0[i0] }",
        "for i0 in 0..2 { for i1 in 0..64 { store p1[i1] = load p0[i1] } }",
        "for i0 in 0..8 { store p1[i0*8] = load.x4 p0[i0*8] store p1[i0*8 + 4] = load.x4 p0[i0*8 + 3] }",
        "for i0 in 0..63 { store p1[i0] = load p0[i0] store p1[i0 + 1] = load p0[i0 + 1] }",
        "for i0 in 0..32 { store p1[i0*2 + 1] = load p0[i0*2] store p1[i0*2] = load p0[i0*2 + 1] }",
        "for i0 in 0..8 { for i1 in 0..8 { store p1[i0*8 + i1] = load p0[i0*8] } }",
        "micro 1x8 a=p0[0], b=p0[0], reduce=[(1, 1, 1)], c=p1[0]",
    ] {
        assert!(!safe(body), "{body}");
    }
}

const COPY: &str = "kernel copy(p0: read f32[16], p1: write f32[16]) { for i0 in 0..16 { store p1[i0] = load p0[i0] } }
kernel flip(p0: read f32[16], p1: write f32[16]) { for i0 in 0..16 { store p1[i0] = load p0[i0*-1 + 15] } }";

fn program(buffers: &str, launches: &str) -> Program {
    let (arena, buffers) = buffers.split_once('\n').unwrap_or(("", buffers));
    let text = format!("program \"p\" {arena}\n{buffers}\n{COPY}\n{launches}");
    text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn broken_program(buffers: &str, launches: &str, spec: Spec) -> Vec<u32> {
    match verify(&program(buffers, launches), spec) {
        Ok(()) => vec![],
        Err(e) => e.errors().iter().map(|e| e.invariant).collect(),
    }
}

#[test]
fn programs() {
    let io = "\nb0: f32[16] input \"x\" b1: f32[16] output \"y\" b2: f32[16] temp";
    for (invariants, buffers, launches) in [
        (vec![], io, "launch copy(b0, b2) launch copy(b2, b1)"),
        (vec![12], io, "launch copy(b0, b2)"),
        (vec![12], io, "launch copy(b2, b1)"),
        (vec![12, 12], io, "launch copy(b1, b0)"),
        (vec![12], io, "launch copy(b0, b1) launch copy(b0)"),
        (vec![12], io, "launch copy(b0, b1) launch copy(b0, b9)"),
        (vec![13], io, "launch copy(b0, b1) launch flip(b1, b1)"),
        (vec![], io, "launch copy(b0, b1) launch copy(b1, b1)"),
        (vec![11], "\nb0: f32[0] temp", ""),
        (vec![11], "\nb0: f32[2] constant x\"00\"", ""),
        (vec![11], "\nb0: bool[1] constant x\"02\"", ""),
        (vec![11], "\nb0: f32[1] input \"x\" b1: f32[1] input \"x\"", ""),
        (vec![11, 12], "\nb0: f32[16] next \"w\"", ""),
        (vec![12], "\nb0: f32[15] temp b1: f32[16] output \"y\"", "launch copy(b1, b0) launch copy(b0, b1)"),
    ] {
        let found = broken_program(buffers, launches, Spec::LOWERED);
        if found.len() > invariants.len() && !invariants.is_empty() {
            assert!(invariants.iter().all(|i| found.contains(i)), "{buffers} {launches} {found:?}");
        } else {
            assert_eq!(found, invariants, "{buffers} {launches}");
        }
    }
}

#[test]
fn plans() {
    let w = |state: &str, next: &str| {
        format!(
            "arena 256\nb0: f32[16] input \"x\" @ 0 b1: f32[16] output \"y\" @ 64 \
             b2: f32[16] state \"w\" {state} b3: f32[16] next \"w\" {next}"
        )
    };
    let step = "launch copy(b0, b1) launch copy(b2, b3)";
    let copied = "launch copy(b0, b1) launch copy(b2, b3) launch copy(b3, b2)";
    for (invariants, buffers, launches) in [
        // In its state's memory, and in the arena.
        (vec![], w("", ""), step),
        (vec![], w("", "@ 192"), copied),
        (vec![17], w("", "@ 192"), step),
        (vec![16], w("", ""), "launch copy(b0, b1) launch flip(b2, b3)"),
        (vec![16], w("", ""), "launch copy(b0, b3) launch copy(b2, b1)"),
        (vec![15, 16], w("@ 128", ""), step),
        (vec![15], w("", "@ 130"), copied),
        (vec![15], w("", "@ 256"), copied),
        (vec![16], w("", "@ 64"), copied),
        (vec![], w("", "@ 0"), copied),
        (vec![16], w("", "@ 0"), "launch copy(b2, b3) launch copy(b0, b1) launch copy(b3, b2)"),
    ] {
        let found = broken_program(&buffers, launches, Spec::PLANNED);
        assert_eq!(found, invariants, "{buffers} {launches}");
    }
    let temps = |launches: &str| {
        let buffers = "arena 256\nb0: f32[16] input \"x\" @ 0 b1: f32[16] temp @ 64 b2: f32[16] temp @ 64 b3: f32[16] output \"y\" @ 128";
        broken_program(buffers, launches, Spec::PLANNED)
    };
    assert_eq!(temps("launch copy(b0, b1) launch copy(b1, b2) launch copy(b2, b3)"), []);
    assert_eq!(temps("launch copy(b0, b1) launch flip(b1, b2) launch copy(b2, b3)"), [16]);
    assert_eq!(temps("launch copy(b0, b1) launch copy(b0, b2) launch copy(b1, b3)"), [16]);
    assert_eq!(broken_program("arena 64\nb0: f32[16] input \"x\"", "", Spec::PLANNED), [15]);
}

#[test]
fn errors_stand_under_their_lines() {
    let text = "program \"p\"\nb0: f32[4] input \"x\"\nkernel good() { }\nkernel bad(p0: write f32[4]) {\n\
                for i0 in 0..4 { let v0 = 1.0f32 store p0[i0 + 1] = v0 } }\nlaunch bad(b0)";
    let error = verify(&text.parse().unwrap(), Spec::LOWERED).unwrap_err();
    let expected = "program \"p\"

kernel bad(p0: write f32[4]) {
  for i0 in 0..4 {
    let v0 = 1.0f32
    store p0[i0 + 1] = v0
    ^ error: store of p0[1..=4] leaves its 4 elements [7]
  }
}

launch bad(b0)
^ error: b0 is not to be written [12]
";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn expansions_are_gone_when_decomposed() {
    let kernel = kernel("kernel k(p0: write f32[1]) { store p0[0] = relu(1.0f32) }");
    assert!(verify_kernel(&kernel, &[], Spec::LOWERED).is_ok());
    assert_eq!(verify_kernel(&kernel, &[], Spec::DECOMPOSED).unwrap_err().errors()[0].invariant, 14);
}
