//! Bytes as compiled code: what is accepted is written as the bytes it was read from. No code runs.

#![no_main]

use codegen::Object;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(object) = Object::from_bytes(bytes) {
        assert_eq!(object.to_bytes().as_deref(), Ok(bytes));
    }
});
