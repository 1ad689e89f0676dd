//! The `hooks` command.

fn main() -> std::process::ExitCode {
    hooks_cli::main()
}
