//! The command `gradc`; see [`gradc::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    gradc::cli::main()
}
