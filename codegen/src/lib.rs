//! Machine code from kernel programs, by Cranelift
