//! The program; everything is in the library.

fn main() -> std::process::ExitCode {
    guildhall_cli::main()
}
