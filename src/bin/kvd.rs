//! The daemon.

fn main() -> std::process::ExitCode {
    let surroundings = kvd::config::Surroundings::of_process(std::env::args().skip(1).collect());
    match kvd::config::read(&surroundings).into_result() {
        Ok((config, warnings)) => kvd::daemon::run(config, warnings),
        Err(findings) => {
            for finding in findings {
                eprintln!("{finding}");
            }
            std::process::ExitCode::from(78)
        }
    }
}
