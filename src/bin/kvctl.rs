//! The client.

fn main() -> std::process::ExitCode {
    kvd::ctl::main()
}
