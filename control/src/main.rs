//! The program `sabha`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sabha_control::cli::main()
}
