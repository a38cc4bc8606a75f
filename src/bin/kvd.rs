//! The daemon.

/// Smaller and faster than the system's allocator for many small, short-lived buffers shared between threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    kvd::daemon::main()
}
