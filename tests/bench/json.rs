//! The load of clients that use the JSON gateway: HTTP/1.1, one connection each, which stays open.

use crate::dice::Dice;
use crate::load::{KEYS, Outcome, VALUE, histogram, key, own_cpu, put};
use crate::server::Server;
use crate::wire::Wire;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use kvd::api::proto::etcdserverpb::kv_client::KvClient;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// The request that a client repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Put of a random key.
    Put,
    /// Linearizable get of a random key.
    Get,
}

/// The measured time and the measurements in it.
struct Window {
    from: Cell<Instant>,
    until: Cell<Instant>,
    latency: RefCell<Histogram<u64>>,
}

impl Window {
    fn new(seconds: f64) -> Rc<Window> {
        let from = Instant::now() + Duration::from_secs_f64(seconds / 5.0);
        let until = from + Duration::from_secs_f64(seconds);
        let (from, until) = (Cell::new(from), Cell::new(until));
        Rc::new(Window { from, until, latency: RefCell::new(histogram()) })
    }

    fn record(&self, begun: Instant) {
        let now = Instant::now();
        if now >= self.from.get() && now < self.until.get() {
            self.latency.borrow_mut().saturating_record((now - begun).as_nanos() as u64);
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until.get()
    }

    /// Waits for the end, and adds what the time has cost.
    async fn measure(&self, server: &Server) -> Result<Outcome, String> {
        tokio::time::sleep_until(self.from.get().into()).await;
        let (start, server_before, load_before) = (Instant::now(), server.cpu()?, own_cpu()?);
        tokio::time::sleep_until(self.until.get().into()).await;
        let (elapsed, server_cpu) = (start.elapsed(), server.cpu()? - server_before);
        let load_cpu = own_cpu()? - load_before;
        let latency = self.latency.replace(histogram());
        Ok(Outcome { count: latency.len(), elapsed, latency, server_cpu, load_cpu })
    }
}

/// Runs `work` with `clients` for `seconds`, after a warm-up of a fifth of it.
pub async fn run(server: &Server, work: Work, clients: usize, seconds: f64) -> Result<Outcome, String> {
    let window = Window::new(seconds);
    let mut tasks = Vec::with_capacity(clients);
    for client in 0..clients {
        let mut connection = Connection::open(server).await?;
        let window = window.clone();
        tasks.push(tokio::task::spawn_local(async move {
            let mut dice = Dice::new(client as u64);
            while !window.is_over() {
                let begun = Instant::now();
                connection.ask(work, &mut dice).await?;
                window.record(begun);
            }
            Ok::<(), String>(())
        }));
    }
    let outcome = window.measure(server).await?;
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    Ok(outcome)
}

/// Opens `watchers` on one prefix for `seconds`, each on a connection of its own. An operation is one event at one
/// watcher. A gRPC client puts; it waits until all watchers have seen a put before it sends the next one.
pub async fn watch(server: &Server, watchers: usize, seconds: f64) -> Result<Outcome, String> {
    let window = Window::new(seconds);
    let sent = Rc::new(Cell::new(Instant::now()));
    let missing = Rc::new(Cell::new(0usize));
    let all_seen = Rc::new(Notify::new());
    let mut tasks = Vec::new();
    for _ in 0..watchers {
        let mut connection = Connection::open(server).await?;
        let (from, to) = (STANDARD.encode("bench/"), STANDARD.encode("bench0"));
        let create = format!(r#"{{"create_request":{{"key":"{from}","range_end":"{to}"}}}}"#);
        connection.send("/v3/watch", &create).await?;
        connection.head().await?;
        connection.line_with("\"created\"").await?;
        let (window, sent, missing, all_seen) =
            (window.clone(), sent.clone(), missing.clone(), all_seen.clone());
        tasks.push(tokio::task::spawn_local(async move {
            loop {
                connection.line_with("\"events\"").await?;
                window.record(sent.get());
                missing.set(missing.get() - 1);
                if missing.get() == 0 {
                    all_seen.notify_one();
                }
            }
            #[allow(unreachable_code)]
            Ok::<(), String>(())
        }));
    }
    // Opening took its time.
    window.from.set(Instant::now() + Duration::from_secs_f64(seconds / 5.0));
    window.until.set(window.from.get() + Duration::from_secs_f64(seconds));
    let mut kv = KvClient::new(Wire::connect(server.port()).await?);
    let writer = {
        let window = window.clone();
        tokio::task::spawn_local(async move {
            let mut dice = Dice::new(0);
            while !window.is_over() {
                missing.set(watchers);
                sent.set(Instant::now());
                let request = put(key(dice.below(KEYS)), dice.bytes(VALUE));
                kv.put(request).await.map_err(|status| format!("put: {status}"))?;
                all_seen.notified().await;
            }
            Ok::<(), String>(())
        })
    };
    let outcome = window.measure(server).await?;
    if let Some(ended) = tasks.iter().position(|task| task.is_finished()) {
        return Err(match tasks.swap_remove(ended).await {
            Ok(Err(error)) => error,
            other => format!("a watcher ended: {other:?}"),
        });
    }
    tasks.iter().for_each(|task| task.abort());
    writer.abort();
    Ok(outcome)
}

struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Connection {
    async fn open(server: &Server) -> Result<Connection, String> {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        Ok(Connection { stream: BufReader::new(stream), line: String::new() })
    }

    async fn send(&mut self, path: &str, body: &str) -> Result<(), String> {
        let length = body.len();
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
        self.stream.write_all(request.as_bytes()).await.map_err(broken)
    }

    /// The next line, without its end.
    async fn next_line(&mut self) -> Result<&str, String> {
        self.line.clear();
        match self.stream.read_line(&mut self.line).await.map_err(broken)? {
            0 => Err("the connection ended".to_owned()),
            _ => Ok(self.line.trim_end()),
        }
    }

    /// Reads the head of an answer: the length of its body, if it is known.
    async fn head(&mut self) -> Result<Option<usize>, String> {
        let status = self.next_line().await?;
        if !status.starts_with("HTTP/1.1 200") {
            return Err(format!("refused: {status}"));
        }
        let mut length = None;
        loop {
            let line = self.next_line().await?.to_ascii_lowercase();
            if line.is_empty() {
                return Ok(length);
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().ok();
            }
        }
    }

    /// Reads lines until one contains `word`.
    async fn line_with(&mut self, word: &str) -> Result<(), String> {
        while !self.next_line().await?.contains(word) {}
        Ok(())
    }

    async fn ask(&mut self, work: Work, dice: &mut Dice) -> Result<(), String> {
        let name = STANDARD.encode(key(dice.below(KEYS)));
        let (path, body) = match work {
            Work::Put => {
                let value = STANDARD.encode(dice.bytes(VALUE));
                ("/v3/kv/put", format!(r#"{{"key":"{name}","value":"{value}"}}"#))
            }
            Work::Get => ("/v3/kv/range", format!(r#"{{"key":"{name}"}}"#)),
        };
        self.send(path, &body).await?;
        let length = self.head().await?.ok_or("an answer of unknown length")?;
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await.map_err(broken)?;
        let wanted: &[u8] = if work == Work::Get { b"\"kvs\"" } else { b"\"header\"" };
        let found = answer.windows(wanted.len()).any(|window| window == wanted);
        if found { Ok(()) } else { Err(String::from_utf8_lossy(&answer).into_owned()) }
    }
}

fn broken(error: std::io::Error) -> String {
    format!("connection: {error}")
}
