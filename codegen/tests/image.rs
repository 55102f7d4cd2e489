//! Images as bytes: what is written is read, and nothing else is.

use codegen::{Image, JitOptions, jit};
use kernel::{Buffer, Check, Program};

/// A program with every kind of buffer, a check, scratch memory and a parallel loop.
fn image() -> Image {
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
    jit(program, &JitOptions::default()).expect("compiles")
}

/// Without what isn't kept: times of compiling.
fn bare(mut image: Image) -> Image {
    image.kernels.iter_mut().for_each(|k| k.compile_time = std::time::Duration::ZERO);
    image
}

#[test]
fn an_image_survives_the_trip() {
    let image = bare(image());
    assert_eq!(image.checks[0], Check { message: "gather: out of range".into(), loc: Some("model.rs:3:5".into()) });
    assert_eq!(Image::from_bytes(&image.to_bytes()).as_ref(), Ok(&image));
}

#[test]
fn the_same_program_is_the_same_code_on_any_number_of_threads() {
    let options = |threads| JitOptions { threads, ..JitOptions::default() };
    let program: Program = "program \"p\" b0: f32[8] output \"y\"
        kernel a(p0: write f32[8]) { for i0 in 0..8 { store p0[i0] = 1.0f32 } }
        kernel b(p0: readwrite f32[8]) { for i0 in 0..8 { store p0[i0] = mul(load p0[i0], 3.0f32) } }
        kernel c(p0: readwrite f32[8]) { for i0 in 0..8 { store p0[i0] = sqrt(load p0[i0]) } }
        launch a(b0) launch b(b0) launch c(b0)"
        .parse()
        .expect("parses");
    let one = jit(program.clone(), &options(1)).expect("compiles");
    let three = jit(program, &options(3)).expect("compiles");
    assert_eq!(one.to_bytes(), three.to_bytes());
}

#[test]
fn what_is_no_image_is_refused() {
    let bytes = image().to_bytes();
    for len in 0..bytes.len() {
        assert!(Image::from_bytes(&bytes[..len]).is_err(), "{len} bytes of {}", bytes.len());
    }
    assert!(Image::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
    // A flipped bit may make another image, but never a panic, and never one whose functions lie outside of its code.
    for at in 0..bytes.len() {
        for bit in [0, 7] {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if let Ok(image) = Image::from_bytes(&changed) {
                assert!(image.kernels.iter().all(|k| k.start < image.code.len()) && image.step < image.code.len());
            }
        }
    }
}
