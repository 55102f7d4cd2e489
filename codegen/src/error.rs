//! What can go wrong between a kernel program and machine code.

/// Why a program could not be compiled.
#[derive(thiserror::Error)]
pub enum CodegenError {
    /// There is no code generator for a target.
    #[error("no code generator for {target}: {message}")]
    Target {
        /// The target.
        target: Box<kernel::Target>,
        /// What is missing.
        message: String,
    },
    /// A kernel uses something that the emitter doesn't provide: an op that a pass should have expanded, a type.
    #[error("kernel `{kernel}`: {what}")]
    Unsupported {
        /// The kernel's name.
        kernel: String,
        /// What it uses, and what would help.
        what: String,
    },
    /// A kernel breaks a rule of the kernel IR (the verifier tells more).
    #[error("kernel `{kernel}` is malformed: {what}")]
    Malformed {
        /// The kernel's name.
        kernel: String,
        /// The rule.
        what: String,
    },
    /// Cranelift refused its input.
    #[error("the code generator refused `{function}`: {message}")]
    Backend {
        /// The function.
        function: String,
        /// What it said.
        message: String,
    },
}

/// The message: what a program shows that returns the error from `main`.
impl std::fmt::Debug for CodegenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The same, before the kernel's name is known to whoever reports it.
#[derive(Debug)]
pub(crate) enum EmitError {
    Unsupported(String),
    Malformed(String),
}

impl EmitError {
    pub(crate) fn in_kernel(self, kernel: &str) -> CodegenError {
        let kernel = kernel.to_owned();
        match self {
            Self::Unsupported(what) => CodegenError::Unsupported { kernel, what },
            Self::Malformed(what) => CodegenError::Malformed { kernel, what },
        }
    }
}

pub(crate) fn unsupported<T>(what: impl Into<String>) -> Result<T, EmitError> {
    Err(EmitError::Unsupported(what.into()))
}

pub(crate) fn malformed<T>(what: impl Into<String>) -> Result<T, EmitError> {
    Err(EmitError::Malformed(what.into()))
}
