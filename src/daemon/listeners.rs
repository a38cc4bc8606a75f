//! From URLs to listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sockets::{self, Inherited};
use crate::api::server::listen::SocketOptions;
use crate::api::server::tls::{Tls, TlsOptions};
use crate::api::server::{Address, Encryption, Faces, Listener};
use crate::config::{Config, TlsVersion, Url};
use crate::pki::{Allowed, Pair, Trust, self_signed};

/// The sockets for clients.
pub struct Clients {
    /// The sockets.
    pub listeners: Vec<Listener>,
    /// The TLS of the encrypted ones.
    pub tls: Option<Arc<Tls>>,
}

/// A socket that systemd was asked to close is gone within this.
const GIVEN_UP: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(20);

/// The TLS of listeners. Errors name the file.
pub fn open_tls(config: &Config) -> io::Result<Option<Arc<Tls>>> {
    Ok(client_tls(config)?.map(Tls::new).transpose()?.map(Arc::new))
}

/// Binds the sockets for clients, or takes over inherited ones. Errors name the URL.
pub fn bind(config: &Config, tls: Option<Arc<Tls>>, inherited: &mut Inherited) -> io::Result<Clients> {
    let split = !config.addresses.listen_client_http_urls.is_empty();
    let faces = if split { Faces::Grpc } else { Faces::All };
    let groups = [
        (&config.addresses.listen_client_urls, faces),
        (&config.addresses.listen_client_http_urls, Faces::Http),
        (&config.addresses.listen_metrics_urls, Faces::Metrics),
    ];
    let all = groups.iter().flat_map(|(urls, _)| urls.iter()).flat_map(addresses);
    inherited.give_up_others(&all.collect::<Vec<_>>());
    let options = SocketOptions {
        reuse_port: config.addresses.socket_reuse_port,
        reuse_address: config.addresses.socket_reuse_address,
    };
    let mut listeners = Vec::new();
    for (urls, faces) in groups {
        for Place { address, url, plain, encrypted } in places(urls, faces, tls.is_some())? {
            let encryption = match (tls.as_ref().filter(|_| encrypted), plain) {
                (Some(tls), false) => Encryption::Tls(tls.clone()),
                (Some(tls), true) => Encryption::Either(tls.clone()),
                (None, _) => Encryption::None,
            };
            let listener = match take_over(&address, inherited, encryption.clone(), faces) {
                Some(listener) => listener,
                None => {
                    let patience = if inherited.has_given_up(&address) { GIVEN_UP } else { Duration::ZERO };
                    let bind = || Listener::bind(&address, options, encryption.clone(), faces);
                    retried(patience, bind).map_err(|error| {
                        let what = format!("cannot listen on {}: {error}", url.as_str());
                        io::Error::new(error.kind(), what)
                    })?
                }
            };
            sockets::keep(&listener);
            listeners.push(listener);
        }
    }
    Ok(Clients { listeners, tls })
}

/// An address to listen on, and one of the URLs that name it.
struct Place<'u> {
    address: Address,
    url: &'u Url,
    plain: bool,
    encrypted: bool,
}

/// The addresses of these URLs. As in etcd, one address may be named by an http URL and by an https URL: then each
/// connection is encrypted or not, as its client begins.
fn places(urls: &[Url], faces: Faces, has_tls: bool) -> io::Result<Vec<Place<'_>>> {
    let mut places: Vec<Place<'_>> = Vec::new();
    for url in urls {
        let encrypted = is_encrypted(url, has_tls)?;
        if !encrypted && faces != Faces::Metrics {
            tracing::warn!(
                url = url.as_str(),
                "serving client traffic insecurely; this is strongly discouraged!"
            );
        }
        for address in addresses(url) {
            match places.iter_mut().find(|place| place.address == address) {
                Some(place) => {
                    place.plain |= !encrypted;
                    place.encrypted |= encrypted;
                }
                None => places.push(Place { address, url, plain: !encrypted, encrypted }),
            }
        }
    }
    Ok(places)
}

/// Binds; while the address is in use it tries again, for at most this long.
fn retried(patience: Duration, bind: impl Fn() -> io::Result<Listener>) -> io::Result<Listener> {
    let begun = Instant::now();
    loop {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && begun.elapsed() < patience => {
                std::thread::sleep(AGAIN);
            }
            done => return done,
        }
    }
}

fn take_over(
    address: &Address,
    inherited: &mut Inherited,
    encryption: Encryption,
    faces: Faces,
) -> Option<Listener> {
    Some(match address {
        Address::Tcp(address) => Listener::from_tcp(inherited.tcp(*address)?, encryption, faces),
        Address::Unix(path) => Listener::from_unix(inherited.unix(path)?, encryption, faces),
    })
}

fn is_encrypted(url: &Url, has_tls: bool) -> io::Result<bool> {
    if url.scheme().is_tls() && !has_tls {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "TLS key/cert (--cert-file, --key-file) must be provided for client url {} with HTTPS scheme",
                url.as_str()
            ),
        ));
    }
    if !url.scheme().is_tls() && has_tls {
        tracing::warn!(
            url = url.as_str(),
            "scheme is HTTP while key and cert files are present; ignoring key and cert files"
        );
    }
    Ok(url.scheme().is_tls())
}

/// The addresses of a listening URL. `localhost` means both loopback addresses if the machine has both.
fn addresses(url: &Url) -> Vec<Address> {
    if let Some(path) = url.socket_path() {
        return vec![Address::Unix(path.to_path_buf())];
    }
    socket_addresses(url).into_iter().map(Address::Tcp).collect()
}

/// The addresses and ports of a URL that is not a Unix socket.
pub fn socket_addresses(url: &Url) -> Vec<SocketAddr> {
    if let Some(address) = url.socket_addr() {
        return vec![address];
    }
    // Only addresses and localhost can be bound, and the configuration has checked that.
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let usable = loopback.into_iter().filter(|ip| std::net::TcpListener::bind((*ip, 0)).is_ok());
    usable.map(|ip| SocketAddr::new(ip, url.port())).collect()
}

/// The TLS for clients, if the configuration has certificates.
///
/// # Errors
/// If a self-signed certificate cannot be made.
pub fn client_tls(config: &Config) -> io::Result<Option<TlsOptions>> {
    let tls = &config.client_tls;
    let Some(pair) = certificate(config)? else { return Ok(None) };
    let allowed = Allowed { common_names: Vec::new(), hosts: tls.allowed_hostnames.clone() };
    Ok(Some(TlsOptions {
        pair,
        client_cert_auth: tls.cert_auth,
        trust: Trust { ca: tls.trusted_ca_file.clone(), crl: tls.crl_file.clone(), allowed },
        cipher_suites: tls.cipher_suites.clone(),
        only_tls13: tls.min_version == TlsVersion::Tls13,
        only_tls12: tls.max_version == Some(TlsVersion::Tls12),
    }))
}

/// The operator's certificate and key, or the self-signed ones of `--auto-tls`.
fn certificate(config: &Config) -> io::Result<Option<Pair>> {
    let tls = &config.client_tls;
    if let Some(pair) = tls.key_pair() {
        return Ok(Some(Pair { cert: pair.cert, key: pair.key }));
    }
    if !tls.auto_tls {
        return Ok(None);
    }
    let urls = config.addresses.listen_client_urls.iter().chain(&config.addresses.advertise_client_urls);
    let mut hosts: Vec<String> =
        urls.map(|url| url.host().to_string()).filter(|host| !host.is_empty()).collect();
    hosts.push("localhost".to_string());
    hosts.sort();
    hosts.dedup();
    self_signed::provide(&own_certificates(config), &hosts, tls.self_signed_years).map(Some)
}

/// The directory of the certificate that `--auto-tls` makes; etcd's name.
pub fn own_certificates(config: &Config) -> PathBuf {
    config.member.data_dir.join("fixtures/client")
}
