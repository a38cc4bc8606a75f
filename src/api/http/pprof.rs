//! `/debug/pprof/`: a CPU profile in pprof's format, the threads, and the program's name. As in etcd it is off unless
//! `--enable-pprof` or the log level debug says so, and asks for no user.

use std::collections::HashMap;
use std::fs;
use std::hash::Hash;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::CONTENT_DISPOSITION;
use http::{HeaderValue, Response, StatusCode};
use pprof::{ProfilerGuard, ProfilerGuardBuilder, Report};
use prost::Message;

use super::answer::{page, plain, query_values};
use crate::api::body::ReplyBody;
use crate::api::services::Stop;

/// Samples per second of CPU time, as Go's profiler takes.
const FREQUENCY: i32 = 100;
/// How long a profile takes if nothing is asked for, and at most.
const USUAL: u64 = 30;
const LONGEST: u64 = 300;
/// Code that must not be interrupted to look at the stack: it may hold the locks that this needs.
const UNTOUCHED: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

/// Only one profile at a time: the signal is the process's.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// mimalloc counts what it holds, but not who has asked for it.
const NO_HEAP: &str = "kvd's allocator (mimalloc) does not record who allocates, so there is no heap profile; \
                       /metrics has the memory, and heaptrack(1) or perf(1) record allocations\n";

const INDEX: &str = "profile?seconds=30  CPU profile, for: go tool pprof\n\
                     goroutine           the threads of this process\n\
                     cmdline             the program\n";

/// The page below `/debug/pprof`, if there is one.
pub(super) async fn answer(below: &str, query: &str, stop: &Stop) -> Option<Response<ReplyBody>> {
    Some(match below {
        "" | "/" => plain(StatusCode::OK, INDEX),
        "/profile" => profile(seconds(query), stop).await,
        "/goroutine" | "/threadcreate" => plain(StatusCode::OK, threads()),
        "/cmdline" => {
            // The arguments may hold secrets.
            let program = std::env::args_os().next().unwrap_or_default();
            plain(StatusCode::OK, program.to_string_lossy().into_owned())
        }
        "/symbol" => plain(StatusCode::OK, "num_symbols: 1\n"),
        "/heap" | "/allocs" => plain(StatusCode::NOT_IMPLEMENTED, NO_HEAP),
        "/block" | "/mutex" | "/trace" => {
            plain(StatusCode::NOT_IMPLEMENTED, "kvd has no such profile; perf(1) has\n")
        }
        _ => return None,
    })
}

/// As Go reads it: anything else than a positive number is the usual time.
fn seconds(query: &str) -> u64 {
    let asked = query_values(query, "seconds").next().and_then(|text| text.parse().ok());
    asked.filter(|seconds| *seconds > 0).unwrap_or(USUAL).min(LONGEST)
}

/// Profiling in progress; ends when it is dropped, also because the client has left.
struct Running(ProfilerGuard<'static>);

impl Running {
    fn begin() -> Result<Self, String> {
        if RUNNING.swap(true, Ordering::AcqRel) {
            return Err("cpu profiling already in use".to_string());
        }
        let guard = ProfilerGuardBuilder::default().frequency(FREQUENCY).blocklist(&UNTOUCHED).build();
        guard.map(Self).map_err(|error| {
            RUNNING.store(false, Ordering::Release);
            error.to_string()
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.store(false, Ordering::Release);
    }
}

async fn profile(seconds: u64, stop: &Stop) -> Response<ReplyBody> {
    let failed = |why: String| {
        plain(StatusCode::INTERNAL_SERVER_ERROR, format!("Could not enable CPU profiling: {why}\n"))
    };
    let running = match Running::begin() {
        Ok(running) => running,
        Err(why) => return failed(why),
    };
    let begun = SystemTime::now();
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
        () = stop.stopping() => {}
    }
    // Finding the symbols reads the program's file.
    let encoded = tokio::task::spawn_blocking(move || {
        let report = running.0.report().build().map_err(|error| error.to_string())?;
        compressed(&Profile::of(&report, begun).encode_to_vec()).map_err(|error| error.to_string())
    });
    match encoded.await {
        Ok(Ok(profile)) => {
            let mut response = page(StatusCode::OK, "application/octet-stream", profile);
            let name = HeaderValue::from_static("attachment; filename=\"profile\"");
            response.headers_mut().insert(CONTENT_DISPOSITION, name);
            response
        }
        Ok(Err(why)) => failed(why),
        Err(error) => failed(error.to_string()),
    }
}

fn compressed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// The threads by name, with what each is doing for the kernel.
fn threads() -> String {
    let mut lines = Vec::new();
    for entry in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let status = read("status");
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or_default();
        let (name, number) = (read("comm"), entry.file_name());
        lines.push(format!("{:<16} {:>8} {}", name.trim(), number.to_string_lossy(), state.trim()));
    }
    lines.sort_unstable();
    format!("threads: {}\n{}\n", lines.len(), lines.join("\n"))
}

/// `perftools.profiles.Profile` of github.com/google/pprof, as far as it is used here.
#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    text: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

/// Numbers things in the order in which they come.
struct Numbered<T>(HashMap<T, usize>);

impl<T: Hash + Eq> Numbered<T> {
    /// The number of a thing, and whether it is new.
    fn of(&mut self, thing: T) -> (usize, bool) {
        let next = self.0.len();
        let number = *self.0.entry(thing).or_insert(next);
        (number, number == next)
    }
}

impl Profile {
    fn of(report: &Report, begun: SystemTime) -> Self {
        let mut profile = Self::default();
        let mut texts = Numbered(HashMap::new());
        let mut text = |table: &mut Vec<String>, text: &str| {
            let (number, is_new) = texts.of(text.to_string());
            if is_new {
                table.push(text.to_string());
            }
            number as i64
        };
        let strings = &mut profile.string_table;
        // The first one is empty.
        text(strings, "");
        let (samples, count) = (text(strings, "samples"), text(strings, "count"));
        let (cpu, nanoseconds) = (text(strings, "cpu"), text(strings, "nanoseconds"));
        let thread = text(strings, "thread");
        let period = 1_000_000_000 / i64::from(FREQUENCY);
        let (mut functions, mut places) = (Numbered(HashMap::new()), Numbered(HashMap::new()));
        for (frames, hits) in &report.data {
            let mut location_id = Vec::new();
            for symbol in frames.frames.iter().flatten() {
                let (name, file) = (symbol.name(), symbol.filename().into_owned());
                let (function, is_new) = functions.of((name.clone(), file.clone()));
                if is_new {
                    let name = text(strings, &name);
                    profile.function.push(Function {
                        id: function as u64 + 1,
                        name,
                        system_name: text(strings, &symbol.sys_name()),
                        filename: text(strings, &file),
                    });
                }
                let (place, is_new) = places.of((function, symbol.lineno()));
                if is_new {
                    let line = Line { function_id: function as u64 + 1, line: symbol.lineno().into() };
                    profile.location.push(Location { id: place as u64 + 1, line: vec![line] });
                }
                location_id.push(place as u64 + 1);
            }
            let hits = *hits as i64;
            let name = text(strings, &frames.thread_name);
            let label = vec![Label { key: thread, text: name }];
            profile.sample.push(Sample { location_id, value: vec![hits, hits * period], label });
        }
        profile.sample_type =
            vec![ValueType { kind: samples, unit: count }, ValueType { kind: cpu, unit: nanoseconds }];
        profile.period_type = Some(ValueType { kind: cpu, unit: nanoseconds });
        profile.period = period;
        let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        profile.time_nanos = begun.duration_since(UNIX_EPOCH).map_or(0, nanoseconds);
        profile.duration_nanos = nanoseconds(report.timing.duration);
        profile
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_time_is_read_as_go_reads_it() {
        let cases = [("", 30), ("seconds=5", 5), ("seconds=0", 30), ("seconds=-1", 30), ("seconds=x", 30)];
        for (query, expected) in cases.into_iter().chain([("debug=1&seconds=9999", LONGEST)]) {
            assert_eq!(seconds(query), expected, "{query}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_profile_at_a_time_and_it_names_what_ran() {
        let (_stopper, stop) = Stop::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let busy = std::thread::spawn({
            let is_over = is_over.clone();
            move || {
                let mut sum = 0_u64;
                while !is_over.load(Ordering::Relaxed) {
                    sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
                }
                sum
            }
        });
        // The first one has begun when the second is asked for.
        let (first, second) = tokio::join!(profile(1, &stop), profile(1, &stop));
        is_over.store(true, Ordering::Relaxed);
        busy.join().expect("it ends");
        assert_eq!(second.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(first.status(), StatusCode::OK);
        let ReplyBody::Page(bytes) = first.into_body() else { panic!("no page") };
        let mut plain = Vec::new();
        std::io::copy(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut plain).expect("gzip");
        let profile = Profile::decode(&plain[..]).expect("a profile");
        assert!(profile.sample.iter().map(|sample| sample.value[0]).sum::<i64>() > 0);
        assert!(profile.string_table.iter().any(|name| name.contains("black_box") || name.contains("pprof")));
        let last = profile.location.len() as u64;
        assert!(
            profile.sample.iter().flat_map(|sample| &sample.location_id).all(|id| (1..=last).contains(id))
        );
    }
}
