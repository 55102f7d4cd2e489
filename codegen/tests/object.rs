//! Objects as bytes: what is written is read, and nothing else is.

use codegen::{EmitOptions, Object, emit};
use kernel::{Buffer, Check, InstructionSet, Program, Target};

/// A program with every kind of buffer, a check, scratch memory and a parallel loop.
fn object() -> Object {
    let text = "program \"all\"
        b0: i64[4] input \"i\" b1: f32[64] state \"w\" b2: f32[64] temp b3: f32[4] output \"y\" b4: f32[64] next \"w\"
        b5: f32[2] constant [1.0, 2.0]
        check #0 \"gather: out of range\" at \"model.rs:3:5\"
        check #1 \"again\"
        kernel grow(p0: read f32[64], p1: write f32[64]) {
          local l0: f32[3]
          parallel i0 in 0..64 { store p1[i0] = add(load p0[i0], 1.0f32) }
        }
        kernel pick(p0: read i64[4], p1: read f32[64], p2: write f32[4]) {
          for i0 in 0..4 { let i1 = checked(load p0[i0], 64, #0) store p2[i0] = load p1[i1] }
        }
        launch grow(b1, b2) launch pick(b0, b2, b3) launch grow(b2, b4)";
    let mut program: Program = text.parse().unwrap_or_else(|e| panic!("{e}"));
    let mut end = 0;
    for buffer in &mut program.buffers {
        buffer.offset = Some(end);
        end += Buffer::size_bytes(buffer).next_multiple_of(64);
    }
    program.arena_bytes = Some(end);
    emit(program, &EmitOptions::new(Target::avx2())).expect("compiles")
}

#[test]
fn an_object_survives_the_trip() {
    let object = object();
    assert_eq!(object.checks()[0], Check { message: "gather: out of range".into(), loc: Some("model.rs:3:5".into()) });
    let read = Object::from_bytes(&object.to_bytes().expect("was checked")).expect("is one");
    assert_eq!(read.to_bytes().expect("was checked"), object.to_bytes().expect("was checked"));
    assert_eq!((read.target(), read.kernels().len()), (&Target::avx2(), 2));
    assert!(read.functions().iter().any(|f| !f.relocs().is_empty()), "the step calls kernels");
}

#[test]
fn the_same_program_is_the_same_code_on_any_number_of_threads() {
    let options = |threads| EmitOptions { threads, ..EmitOptions::new(Target::avx512()) };
    let program: Program = "program \"p\" b0: f32[8] output \"y\"
        kernel a(p0: write f32[8]) { for i0 in 0..8 { store p0[i0] = 1.0f32 } }
        kernel b(p0: readwrite f32[8]) { for i0 in 0..8 { store p0[i0] = mul(load p0[i0], 3.0f32) } }
        kernel c(p0: readwrite f32[8]) { for i0 in 0..8 { store p0[i0] = sqrt(load p0[i0]) } }
        launch a(b0) launch b(b0) launch c(b0)"
        .parse()
        .expect("parses");
    let one = emit(program.clone(), &options(1)).expect("compiles");
    let three = emit(program, &options(3)).expect("compiles");
    assert_eq!(one.to_bytes().expect("was checked"), three.to_bytes().expect("was checked"));
}

/// What the code is for decides what it is, not where it is compiled.
#[test]
fn each_target_has_code_of_its_own() {
    let program: Program = "program \"p\" b0: f32[64] input \"x\" b1: f32[64] output \"y\"
        kernel k(p0: read f32[64], p1: write f32[64]) {
          for i0 in 0..64 { store p1[i0] = fma(load p0[i0], 3.0f32, 1.0f32) } }
        launch k(b0, b1)"
        .parse()
        .expect("parses");
    let (mut all, mut refused) = (vec![], vec![]);
    for set in InstructionSet::ALL {
        let target = if set.is_x86() { Target::baseline().with_instruction_set(set) } else { Ok(Target::aarch64()) };
        let Ok(object) = emit(program.clone(), &EmitOptions::new(target.expect("exists"))) else {
            refused.push(set);
            continue;
        };
        let calls = object.functions().iter().flat_map(|f| f.relocs()).count();
        // A call of a function outside where there is no fused multiply-add, and of the kernel by the step.
        assert_eq!(calls, if set == InstructionSet::X86_64 { 2 } else { 1 }, "{set}");
        all.push(object.to_bytes().expect("was checked"));
    }
    // Code for other architectures needs the feature.
    assert!(!all.is_empty() && (refused.is_empty() || cfg!(not(feature = "cross"))), "{refused:?}");
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn what_is_no_object_is_refused() {
    let bytes = object().to_bytes().expect("was checked");
    for len in 0..bytes.len() {
        assert!(Object::from_bytes(&bytes[..len]).is_err(), "{len} bytes of {}", bytes.len());
    }
    assert!(Object::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    // A flipped bit may make another object, but never a panic, and never one whose functions aren't there.
    for at in 0..bytes.len() {
        for bit in [0, 7] {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if let Ok(object) = Object::from_bytes(&changed) {
                let count = object.functions().len();
                assert!(object.kernels().iter().all(|k| (k.function.as_u32() as usize) < count));
            }
        }
    }
}
