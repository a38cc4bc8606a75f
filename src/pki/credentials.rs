//! A member's credentials: what it shows to others, and whom it trusts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{CipherSuite, ClientConfig, ServerConfig};

use super::authority::Authority;
use super::certificate::Certificate;
use super::chain::Roots;
use super::files::Stamps;
use super::secret::{self, Secret, SecretSource};
use super::verify::{Allowed, Verifier};
use super::{Files, Holder, PkiError, files};
use crate::model::Clock;

/// How long a leaf that a member issues to itself is valid. It is renewed after two thirds of it.
const LEAF_LIFE: Duration = Duration::from_secs(6 * 24 * 3600);

/// Credentials between members, from one of the three sources. Shared by all connections; a new connection uses the
/// credentials of that moment, which a reload or a renewal may have changed.
pub struct Credentials {
    source: Source,
    clock: Arc<dyn Clock>,
    provider: Arc<CryptoProvider>,
    life: Duration,
    reset_key: [u8; 32],
    state: Mutex<State>,
}

enum Source {
    Files(Box<Files>),
    Secret(SecretSource),
}

struct State {
    holder: Holder,
    trust: Trust,
    ready: Option<Ready>,
    reloads: u64,
    /// How the operator's files looked when they were last read, with or without success.
    read: Stamps,
}

enum Trust {
    Files(files::Loaded),
    /// Never empty; the first one issues this member's certificates.
    Authorities(Vec<Authority>),
}

#[derive(Clone)]
struct Ready {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    /// When it was made and when it is renewed (ms since the epoch); `None` for files.
    fresh: Option<(i64, i64)>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Credentials");
        match &self.source {
            Source::Files(files) => f.field("files", files).finish_non_exhaustive(),
            Source::Secret(source) => f.field("secret", source).finish_non_exhaustive(),
        }
    }
}

impl Credentials {
    /// Credentials from the operator's files. An expired certificate of this member only causes a warning: a reload may
    /// bring a better one.
    ///
    /// # Errors
    /// If a file is missing or has other contents, or if certificate and key are not a pair; the error names the file.
    pub fn from_files(files: Files, clock: Arc<dyn Clock>) -> Result<Self, PkiError> {
        let read = Stamps::of(files.all());
        let loaded = files::load(&files, clock.now_ms(), true)?;
        let key = std::fs::read(&files.pair.key).map_err(|error| PkiError::file(&files.pair.key, error))?;
        let reset_key = secret::derive(&key, &[b"stateless reset"])?;
        let credentials = Self::new(Source::Files(Box::new(files)), Trust::Files(loaded), reset_key, clock);
        credentials.state.lock().read = read;
        Ok(credentials)
    }

    /// Credentials from a secret that all members share. [`SecretSource::Absent`] logs a warning that explains what
    /// that means.
    ///
    /// # Errors
    /// If the secret cannot be read or is too short.
    pub fn from_secret(source: SecretSource, clock: Arc<dyn Clock>) -> Result<Self, PkiError> {
        let secrets = secret::read(&source)?;
        if matches!(source, SecretSource::Absent) {
            tracing::warn!(
                "members have no secret in common: whoever can reach the peer port can join and read everything; \
                 set cluster-secret-file, or certificates in [peer-transport-security]"
            );
        }
        let first = secrets.first().ok_or_else(|| PkiError::crypto("no secret"))?;
        let reset_key = first.derive(b"stateless reset")?;
        let trust = Trust::Authorities(authorities(&secrets)?);
        Ok(Self::new(Source::Secret(source), trust, reset_key, clock))
    }

    fn new(source: Source, trust: Trust, reset_key: [u8; 32], clock: Arc<dyn Clock>) -> Self {
        let (holder, read) = (Holder::default(), Stamps::default());
        let state = Mutex::new(State { holder, trust, ready: None, reloads: 0, read });
        Self { source, clock, provider: provider(), life: LEAF_LIFE, reset_key, state }
    }

    /// Issues leaves with another lifetime.
    pub fn with_leaf_life(mut self, life: Duration) -> Self {
        self.life = life;
        self
    }

    /// Sets who this member is; from now on its own certificates carry that identity.
    pub fn identify(&self, holder: Holder) {
        let mut state = self.state.lock();
        state.holder = holder;
        if matches!(state.trust, Trust::Authorities(_)) {
            state.ready = None;
        }
    }

    /// Reads the files again, changed or not: certificates, keys, CA bundle, revocation list, secret. New connections use
    /// them.
    ///
    /// # Errors
    /// As for the first reading, and if this member's certificate has expired; the old credentials then stay in use.
    pub fn reload(&self) -> Result<(), PkiError> {
        self.read_again(&mut self.state.lock())
    }

    fn read_again(&self, state: &mut State) -> Result<(), PkiError> {
        let trust = match &self.source {
            Source::Files(files) => {
                state.read = Stamps::of(files.all());
                Trust::Files(files::load(files, self.clock.now_ms(), false)?)
            }
            Source::Secret(source) => Trust::Authorities(authorities(&secret::read(source)?)?),
        };
        let ready = self.prepare(state.holder, &trust)?;
        state.trust = trust;
        state.ready = Some(ready);
        state.reloads += 1;
        Ok(())
    }

    /// Reads the operator's files again if they have changed: as with etcd, the next connection uses them. Half-written
    /// ones are refused with a warning; they change once more when they are whole.
    fn follow_files(&self, state: &mut State) {
        let Source::Files(files) = &self.source else { return };
        if state.read == Stamps::of(files.all()) {
            return;
        }
        match self.read_again(state) {
            Ok(()) => tracing::info!("new certificates between members are in use"),
            Err(error) => {
                tracing::warn!(%error, "the new certificates between members are refused; the old ones stay in use");
            }
        }
    }

    /// How often the files have been read again. A handshake that began before the last reload has verified the other
    /// side with the credentials of that time.
    pub fn reloads(&self) -> u64 {
        self.state.lock().reloads
    }

    /// TLS for incoming connections, which verifies the other side. Without a protocol name (ALPN).
    ///
    /// # Errors
    /// If no certificate can be issued.
    pub fn server(&self) -> Result<Arc<ServerConfig>, PkiError> {
        Ok(self.ready()?.server)
    }

    /// TLS for outgoing connections, likewise.
    ///
    /// # Errors
    /// As [`Credentials::server`].
    pub fn client(&self) -> Result<Arc<ClientConfig>, PkiError> {
        Ok(self.ready()?.client)
    }

    /// The name for which a member dialled at `host` must show a certificate: the host, if the operator issues
    /// certificates; otherwise any name, because the id in the certificate says who it is.
    pub fn server_name<'a>(&self, host: &'a str) -> &'a str {
        match self.source {
            Source::Files(_) => host,
            Source::Secret(_) => "member.kvd",
        }
    }

    /// Checks that the other side's certificate (`chain`, verified before) was issued to the holder that it claims to
    /// be. An operator's certificate need not name a member; if it does, the name is binding, as in all certificates
    /// that members issue.
    ///
    /// # Errors
    /// [`PkiError::Holder`] if it was not.
    pub fn check_holder(&self, chain: &[CertificateDer<'_>], says: Holder) -> Result<(), PkiError> {
        let leaf = chain.first().ok_or_else(|| PkiError::Holder("no certificate was shown".into()))?;
        match (Certificate::read(leaf.as_ref())?.holder(), &self.source) {
            (Some(holder), _) if holder == says => Ok(()),
            (Some(holder), _) => Err(PkiError::Holder(format!(
                "the certificate is of member {} of cluster {}, not of member {} of cluster {}",
                holder.member, holder.cluster, says.member, says.cluster
            ))),
            (None, Source::Files(_)) => Ok(()),
            (None, Source::Secret(_)) => Err(PkiError::Holder("the certificate names no member".into())),
        }
    }

    /// A key that is the same after a restart. With it a restarted member shows others that it no longer knows their
    /// connections, so that they need not wait for a timeout.
    pub fn reset_key(&self) -> &[u8; 32] {
        &self.reset_key
    }

    fn ready(&self) -> Result<Ready, PkiError> {
        let now = self.clock.now_ms();
        let mut state = self.state.lock();
        self.follow_files(&mut state);
        if let Some(ready) = &state.ready
            && ready.fresh.is_none_or(|(made, renew)| made <= now && now < renew)
        {
            return Ok(ready.clone());
        }
        match self.prepare(state.holder, &state.trust) {
            Ok(ready) => {
                state.ready = Some(ready.clone());
                Ok(ready)
            }
            // The present certificate is valid for another third of its life.
            Err(error) => match &state.ready {
                Some(old) => {
                    tracing::warn!(%error, "the member's certificate could not be renewed");
                    Ok(old.clone())
                }
                None => Err(error),
            },
        }
    }

    fn prepare(&self, holder: Holder, trust: &Trust) -> Result<Ready, PkiError> {
        match trust {
            Trust::Files(loaded) => self.configs(&loaded.own, &loaded.client, &loaded.verifier, true, None),
            Trust::Authorities(authorities) => {
                let issuer = authorities.first().ok_or_else(|| PkiError::crypto("no secret"))?;
                let now = self.clock.now_ms();
                let leaf = issuer.issue(holder, now, self.life)?;
                let pair = CertifiedKey::from_der(vec![leaf.certificate], leaf.key, &self.provider);
                let pair = Arc::new(pair.map_err(PkiError::crypto)?);
                let cas = authorities.iter().map(|authority| Certificate::read(&authority.certificate));
                let roots = Roots::new(cas.collect::<Result<Vec<_>, _>>()?);
                // The id in the certificate says which member it is; the name or address that was dialled does not matter.
                let verifier = Verifier::new(roots, Vec::new(), Allowed::default(), false);
                let renew = i64::try_from(self.life.as_millis() * 2 / 3).unwrap_or(i64::MAX);
                self.configs(&pair, &pair, &verifier, false, Some((now, now.saturating_add(renew))))
            }
        }
    }

    fn configs(
        &self,
        own: &Arc<CertifiedKey>,
        shown: &Arc<CertifiedKey>,
        verifier: &Arc<Verifier>,
        sni: bool,
        fresh: Option<(i64, i64)>,
    ) -> Result<Ready, PkiError> {
        let time = Arc::new(Time(self.clock.clone()));
        let resolver = |pair: &Arc<CertifiedKey>| Arc::new(SingleCertAndKey::from(CertifiedKey::clone(pair)));
        let mut server = ServerConfig::builder_with_details(self.provider.clone(), time.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(PkiError::crypto)?
            .with_client_cert_verifier(verifier.clone())
            .with_cert_resolver(resolver(own));
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_details(self.provider.clone(), time)
            .with_protocol_versions(&[&TLS13])
            .map_err(PkiError::crypto)?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_client_cert_resolver(resolver(shown));
        client.resumption = Resumption::disabled();
        client.enable_sni = sni;
        Ok(Ready { server: Arc::new(server), client: Arc::new(client), fresh })
    }
}

fn authorities(secrets: &[Secret]) -> Result<Vec<Authority>, PkiError> {
    secrets.iter().map(Authority::derive).collect()
}

/// The crypto provider of ring, with the cheapest of the secure ciphers first: every byte of the log is encrypted twice
/// per member.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

struct Time(Arc<dyn Clock>);

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(files::unix_time(self.0.now_ms()))
    }
}
