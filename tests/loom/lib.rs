//! Nothing: `tests/protocol.rs` is what stands here, apart from other packages so that they needn't compile `loom`.
