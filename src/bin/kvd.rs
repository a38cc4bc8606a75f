//! The daemon.

fn main() -> std::process::ExitCode {
    kvd::daemon::main()
}
