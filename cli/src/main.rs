//! The command `gradc`; see [`gradc_cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    gradc_cli::main()
}
