//! Text as a program of kernels: what parses is verified without a panic, and prints to text that parses to the same program.

#![no_main]

use kernel::{Program, Spec, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(program) = text.parse::<Program>() else { return };
    let _ = verify(&program, Spec::default());
    let printed = program.to_string();
    let again: Program = printed.parse().expect("printed text parses");
    assert_eq!(again.to_string(), printed);
});
