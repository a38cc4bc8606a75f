//! Compares kvd with a real etcd: the same load on the same machine, in turn, medians of several rounds.
//!
//! `tests/bench/run` is the one command; `cargo bench --bench compare -- --help` lists the options. Each run of a case
//! has fresh servers with default durability on loopback and fresh data directories on the same file system. The
//! servers' own CPU time is shown next to throughput, because the load generator shares the machine: throughput and
//! latency show the performance of both together, CPU per operation shows the cost of the servers, summed over a
//! cluster.
//!
//! In clusters kvd's members use QUIC with mutual TLS, as they always do, and etcd's plain HTTP, which is its default.
//!
//! | file | content |
//! |---|---|
//! | `cases` | the comparisons, and the targets |
//! | `load`, `watch`, `lease`, `hash`, `json`, `backup` | the load |
//! | `overload` | loads that are too much, and what others notice |
//! | `gaps`, `catch_up` | events in clusters: leaders that fail, members that are added |
//! | `wire`, `tls`, `dice` | its connections and its randomness |
//! | `server`, `cluster`, `usage` | the processes under load, and their use of resources |
//! | `report`, `options` | output and input |

mod backup;
mod cases;
mod catch_up;
mod cluster;
mod dice;
mod gaps;
mod hash;
mod json;
mod lease;
mod load;
mod options;
mod overload;
mod report;
mod server;
mod tls;
mod usage;
mod watch;
mod wire;

use options::Options;
use report::{Metric, Report, Sample};
use server::Program;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = Options::parse().and_then(|options| options.map_or(Ok(true), |options| compare(&options)));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs everything and prints the report; returns whether the run counts as a success.
fn compare(options: &Options) -> Result<bool, String> {
    let [kvd_args, etcd_args] = options.extra.clone();
    let etcd = Program { name: "etcd", path: options.etcd.clone(), args: etcd_args, tls: None };
    let kvd = Program { name: "kvd", path: options.kvd.clone(), args: kvd_args, tls: None };
    let programs = [etcd, kvd];
    let mut report = Report::new(heading(options, &programs)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let ended = runtime.block_on(async {
        tokio::select! {
            () = rounds(options, &programs, &mut report) => Ok(()),
            signal = interrupted() => Err(signal.map_or_else(|error| error.to_string(), str::to_owned)),
        }
    });
    ended?;
    publish(&report, options)?;
    Ok(report.is_good() || !options.check)
}

async fn rounds(options: &Options, programs: &[Program; 2], report: &mut Report) {
    for round in 1..=options.rounds {
        for case in &options.cases {
            // The order changes from round to round, so that neither always follows the other.
            let order = if round % 2 == 1 { [0, 1] } else { [1, 0] };
            for program in order {
                let name = programs[program].name;
                eprint!("round {round}/{} {:<20} {name:<5}", options.rounds, case.id);
                let local = tokio::task::LocalSet::new();
                match local.run_until(case.run(&programs[program], options)).await {
                    Ok(samples) => {
                        eprintln!("{}", progress(&samples));
                        report.add(program, &samples);
                    }
                    Err(error) => {
                        eprintln!(" FAILED: {error}");
                        report.fail(format!("{} with {name}, round {round}: {error}", case.id));
                    }
                }
            }
        }
    }
}

/// A signal that ends the comparison also ends the servers and removes their directories.
async fn interrupted() -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok("interrupted"),
        _ = terminate.recv() => Ok("told to end"),
    }
}

fn publish(report: &Report, options: &Options) -> Result<(), String> {
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    println!("\n{}", report.markdown());
    if let Some(path) = &options.markdown {
        write(path, report.markdown())?;
    }
    if let Some(path) = &options.json {
        write(path, format!("{:#}\n", report.json()))?;
    }
    Ok(())
}

fn heading(options: &Options, programs: &[Program; 2]) -> Result<Vec<String>, String> {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    Ok(vec![
        format!("{}, {}", programs[0].version()?, programs[1].version()?),
        format!(
            "{} rounds of {} s in turn, medians; {} B values, {} keys in many-keys; {cpus} CPUs, Linux {kernel}",
            options.rounds,
            options.seconds,
            load::VALUE,
            options.keys
        ),
    ])
}

/// The most important figures of a run, printed while the comparison runs.
fn progress(samples: &[Sample]) -> String {
    let shown = [
        Metric::Throughput,
        Metric::Median,
        Metric::ServerCpu,
        Metric::Anonymous,
        Metric::Disk,
        Metric::Time,
        Metric::Gap,
        Metric::Elections,
    ];
    let samples = samples.iter().filter(|sample| shown.contains(&sample.metric));
    samples.map(|sample| format!("  {}", sample.metric.format(sample.value))).collect()
}
