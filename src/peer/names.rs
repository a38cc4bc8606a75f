//! Resolves host names to addresses. The system's resolver blocks for an unlimited time: so it is called on threads of
//! its own, once per name at a time, and nobody waits for it longer than [`RESOLVE`].

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::tuning::{MAX_ADDRESSES, RESOLVE};

/// The addresses of a host; blocks.
pub type Resolver = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// The system's resolver.
fn system(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

type Found = Result<Vec<IpAddr>, String>;

/// Number of names whose last addresses are remembered.
const REMEMBERED: usize = 256;

/// Resolves names. Clones share the lookups in progress.
#[derive(Clone)]
pub struct Names {
    resolver: Resolver,
    /// Most names that are looked up at the same time: one thread each.
    limit: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    running: BTreeMap<String, watch::Receiver<Option<Found>>>,
    /// The last addresses of each name, in case the resolver fails.
    last: BTreeMap<String, Vec<IpAddr>>,
}

impl Names {
    /// Uses the system's resolver for at most `limit` names at the same time.
    pub fn new(limit: usize) -> Self {
        Self::asking(Arc::new(system), limit)
    }

    /// Uses `resolver`.
    pub fn asking(resolver: Resolver, limit: usize) -> Self {
        Self { resolver, limit, state: Arc::default() }
    }

    /// The addresses of a host: an address as it is written; a name as the resolver answers now, or as it answered last
    /// if it fails or does not answer in time.
    ///
    /// # Errors
    /// A text that says why there is no address.
    pub async fn find(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let at = |addresses: Vec<IpAddr>| {
            addresses.into_iter().take(MAX_ADDRESSES).map(|ip| SocketAddr::new(ip, port)).collect()
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(at(vec![ip]));
        }
        let found = match self.look_up(host) {
            Ok(mut running) => match tokio::time::timeout(RESOLVE, running.wait_for(Option::is_some)).await {
                Ok(Ok(found)) => found.clone().unwrap_or_else(|| Err("nothing was found".into())),
                Ok(Err(_)) => Err("the resolver has ended".into()),
                Err(_) => Err(format!("the name is not resolved within {RESOLVE:?}")),
            },
            Err(why) => Err(why),
        };
        match found {
            Ok(addresses) => Ok(at(addresses)),
            Err(why) => match self.state.lock().last.get(host) {
                Some(last) => Ok(at(last.clone())),
                None => Err(format!("{host}: {why}")),
            },
        }
    }

    /// The addresses of `host:port`, with an IPv6 address in brackets.
    ///
    /// # Errors
    /// As [`find`](Self::find), or if there is no port.
    pub async fn at(&self, place: &str) -> Result<Vec<SocketAddr>, String> {
        let parsed = place.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = parsed.ok_or_else(|| format!("{place}: there is no port"))?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        self.find(bare, port).await
    }

    /// Starts a lookup of a name, unless one is in progress.
    fn look_up(&self, host: &str) -> Result<watch::Receiver<Option<Found>>, String> {
        let mut state = self.state.lock();
        if let Some(running) = state.running.get(host) {
            return Ok(running.clone());
        }
        if state.running.len() >= self.limit {
            return Err("too many names are being looked up".into());
        }
        let (sender, receiver) = watch::channel(None);
        let (resolver, shared, host) = (self.resolver.clone(), self.state.clone(), host.to_owned());
        let name = host.clone();
        let body = move || {
            let found = resolver(&host).map_err(|error| error.to_string());
            let mut state = shared.lock();
            state.running.remove(&host);
            if let Ok(addresses) = &found
                && (state.last.len() < REMEMBERED || state.last.contains_key(&host))
            {
                state.last.insert(host, addresses.clone());
            }
            drop(state);
            sender.send_replace(Some(found));
        };
        let thread = std::thread::Builder::new().name("kvd-names".into()).spawn(body);
        thread.map_err(|error| error.to_string())?;
        state.running.insert(name, receiver.clone());
        Ok(receiver)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_never_answers_holds_one_thread_a_name() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let names = Names::asking(
            Arc::new(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                loop {
                    std::thread::park();
                }
            }),
            2,
        );
        for _ in 0..100 {
            let (one, two) = tokio::join!(names.find("one", 1), names.find("two", 1));
            assert!(one.unwrap_err().contains("one: the name is not resolved within 2s"));
            assert!(two.is_err());
        }
        assert!(names.find("three", 1).await.unwrap_err().contains("too many names"));
        assert_eq!(
            names.find("::1", 7).await,
            Ok(vec!["[::1]:7".parse().unwrap()]),
            "an address needs nobody"
        );
        assert!(asked.load(Ordering::SeqCst) <= 2);
    }

    #[tokio::test]
    async fn what_a_name_led_to_last_counts_while_the_resolver_fails() {
        let works = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let switch = works.clone();
        let names = Names::asking(
            Arc::new(move |_| match switch.load(Ordering::SeqCst) {
                true => Ok(vec!["127.0.0.9".parse().unwrap()]),
                false => Err(io::Error::other("no server answers")),
            }),
            2,
        );
        let there = Ok(vec!["127.0.0.9:1".parse().unwrap()]);
        assert_eq!(names.find("a", 1).await, there);
        works.store(false, Ordering::SeqCst);
        assert_eq!(names.find("a", 1).await, there);
        assert_eq!(names.find("b", 1).await, Err("b: no server answers".to_string()));
    }
}
