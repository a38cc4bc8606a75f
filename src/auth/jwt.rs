//! JSON web tokens (RFC 7519), as etcd issues and accepts them with `--auth-token jwt,...`.
//!
//! A token holds the user's name and the revision of users and roles at which it was issued; any change makes it
//! outdated. A member with only the public key verifies tokens and issues none.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use super::jwt_keys::{Key, KeyError, Method};
use crate::model::Refusal;

/// Longer tokens are not read: a header of a request may hold 64 KiB, and a token of etcd is below one.
const LONGEST: usize = 16_384;

/// Numbers of JSON up to here are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Tokens that are remembered as verified; at this number all are forgotten.
const REMEMBERED: usize = 10_000;

/// Issues and verifies tokens of one method with one key.
pub struct Jwt {
    method: Method,
    key: Key,
    /// How long a token is valid.
    ttl: Duration,
    /// Tokens with good signatures: a client sends the same one with each request.
    seen: RwLock<HashMap<Box<str>, Claims>>,
}

/// What a token with a good signature says.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// The user.
    pub user: Arc<str>,
    /// The revision of users and roles at which it was issued.
    pub revision: u64,
    /// It is valid from this time on, in seconds since the epoch.
    begins: f64,
    /// It is valid before this time.
    expires: f64,
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("method", &self.method.name()).finish_non_exhaustive()
    }
}

impl Jwt {
    /// Tokens of the method called `name` (RS256, ES384, HS512, EdDSA and so on), with keys in PEM form; for HS the
    /// private key is a secret of any form.
    ///
    /// # Errors
    /// If there is no such method, no key, or a key that does not fit.
    pub fn new(
        name: &str,
        public: Option<&[u8]>,
        private: Option<&[u8]>,
        ttl: Duration,
    ) -> Result<Self, KeyError> {
        let method = Method::named(name).ok_or_else(|| KeyError::UnknownMethod(name.to_string()))?;
        Ok(Self { method, key: Key::new(method, public, private)?, ttl, seen: RwLock::default() })
    }

    /// A token for a user whose password was checked at that revision. `now_ms`: milliseconds since the epoch.
    ///
    /// # Errors
    /// [`Refusal::VerifyOnly`] without a private key; [`Refusal::Internal`] if signing fails.
    pub fn issue(&self, user: &str, revision: u64, now_ms: i64) -> Result<String, Refusal> {
        let ttl_ms = i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX);
        let expires = now_ms.saturating_add(ttl_ms).div_euclid(1000);
        let header = json!({"alg": self.method.name(), "typ": "JWT"});
        let claims = json!({"exp": expires, "revision": revision, "username": user});
        let mut token = encode(header.to_string()) + "." + &encode(claims.to_string());
        let signature = self.key.sign(token.as_bytes())?;
        token.push('.');
        token.push_str(&encode(signature));
        Ok(token)
    }

    /// What a token says, if its signature is good and its time has not passed.
    pub fn verify(&self, token: &str, now_ms: i64) -> Option<Claims> {
        let now = now_ms as f64 / 1000.0;
        let in_time = |claims: &Claims| claims.begins <= now && now < claims.expires;
        if let Some(claims) = self.seen.read().get(token) {
            return Some(claims.clone()).filter(in_time);
        }
        let claims = self.read(token).filter(in_time)?;
        let seen = &mut *self.seen.write();
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(token.into(), claims.clone());
        Some(claims)
    }

    fn read(&self, token: &str) -> Option<Claims> {
        if token.len() > LONGEST {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        // The method is the server's choice, never the token's.
        if object(header)?.get("alg")?.as_str()? != self.method.name() {
            return None;
        }
        if !self.key.verify(signed.as_bytes(), &decode(signature)?) {
            return None;
        }
        let claims = object(claims)?;
        Some(Claims {
            user: claims.get("username")?.as_str()?.into(),
            revision: exact(claims.get("revision")?).filter(|number| *number >= 0.0)? as u64,
            begins: time(&claims, "nbf")?.unwrap_or(f64::NEG_INFINITY),
            expires: time(&claims, "exp")?.unwrap_or(f64::INFINITY),
        })
    }
}

/// A time in seconds since the epoch; `Some(None)` if there is none (which zero also means, as in etcd), `None` if it is
/// not a number.
fn time(claims: &Map<String, Value>, name: &str) -> Option<Option<f64>> {
    match claims.get(name) {
        None => Some(None),
        Some(value) => exact(value).map(|time| (time != 0.0).then_some(time)),
    }
}

/// A number, unless it is too large to be exact.
fn exact(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.abs() <= EXACT)
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&decode(part)?).ok()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(300);
    const NOW_MS: i64 = 1_800_000_000_500;

    /// Keys and tokens that Go's library (the one of etcd) has made: see `tests/golden/auth`.
    fn file(name: &str) -> Vec<u8> {
        let path = format!("{}/tests/golden/auth/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn jwt(method: &str, public: Option<&str>, private: Option<&str>) -> Result<Jwt, KeyError> {
        let (public, private) = (public.map(file), private.map(file));
        Jwt::new(method, public.as_deref(), private.as_deref(), TTL)
    }

    fn said(jwt: &Jwt, token: &str, now_ms: i64) -> Option<(String, u64)> {
        jwt.verify(token, now_ms).map(|claims| (claims.user.to_string(), claims.revision))
    }

    /// Method, name of the key, and the token of user ann at revision 7 that ends with the year 2099.
    fn vectors() -> Vec<[String; 3]> {
        let text = String::from_utf8(file("tokens.txt")).expect("text");
        let row = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_string).collect();
            <[String; 3]>::try_from(words).expect("three words")
        };
        text.lines().map(row).collect()
    }

    /// The files of a key: public and private ones, each in all its forms.
    fn forms(name: &str) -> (Vec<String>, Vec<String>) {
        let all = |forms: &[&str]| forms.iter().map(|form| format!("{name}{form}")).collect();
        match name {
            "secret" => (vec![], all(&[""])),
            "rsa" => (all(&[".pub.pem", ".pkcs1.pub.pem"]), all(&[".pem", ".pkcs8.pem"])),
            "ed25519" => (all(&[".pub.pem"]), all(&[".pem"])),
            _ => (all(&[".pub.pem"]), all(&[".pem", ".pkcs8.pem"])),
        }
    }

    #[test]
    fn tokens_of_gos_library_are_accepted_with_every_method() {
        let vectors = vectors();
        assert_eq!(vectors.len(), 13);
        for [method, key, token] in &vectors {
            let (public, private) = forms(key);
            let public = public.iter().map(|file| jwt(method, Some(file), None));
            let verifiers = public.chain(private.iter().map(|file| jwt(method, None, Some(file))));
            for verifier in verifiers {
                let verifier = verifier.unwrap_or_else(|error| panic!("{method}: {error}"));
                for _ in 0..2 {
                    assert_eq!(said(&verifier, token, NOW_MS), Some(("ann".into(), 7)), "{method}");
                }
                assert_eq!(said(&verifier, token, 4_102_444_800_000), None, "{method}: its time has passed");
                assert_eq!(said(&verifier, &token[..token.len() - 4], NOW_MS), None, "{method}: cut short");
                let parts: Vec<&str> = token.split('.').collect();
                let claims = String::from_utf8(decode(parts[1]).expect("claims")).expect("text");
                let other = [parts[0], &encode(claims.replace("ann", "bob")), parts[2]].join(".");
                assert_eq!(said(&verifier, &other, NOW_MS), None, "{method}: other claims");
                for [foreign, _, token] in vectors.iter().filter(|[other, ..]| other != method) {
                    assert_eq!(said(&verifier, token, NOW_MS), None, "{method} is not {foreign}");
                }
            }
        }
    }

    #[test]
    fn own_tokens_hold_for_their_time_with_every_method() {
        for [method, key, _] in vectors() {
            let (public, private) = forms(&key);
            for private in private {
                let signer = jwt(&method, public.first().map(String::as_str), Some(&private));
                let signer = signer.unwrap_or_else(|error| panic!("{method} {private}: {error}"));
                let token = signer.issue("root", 3, NOW_MS).expect("a token");
                assert_eq!(said(&signer, &token, NOW_MS), Some(("root".into(), 3)), "{method}");
                assert_eq!(said(&signer, &token, NOW_MS + 299_000), Some(("root".into(), 3)));
                assert_eq!(said(&signer, &token, NOW_MS + 300_000), None, "{method}");
            }
            if let Some(public) = public.first() {
                let verifier = jwt(&method, Some(public), None).expect("a verifier");
                assert_eq!(verifier.issue("root", 3, NOW_MS), Err(Refusal::VerifyOnly));
            }
        }
    }

    #[test]
    fn claims_that_are_missing_or_of_another_kind_are_refused() {
        let signer = jwt("HS256", None, Some("secret")).expect("a key");
        let signed = |header: Value, claims: Value| {
            let text = encode(header.to_string()) + "." + &encode(claims.to_string());
            let signature = encode(signer.key.sign(text.as_bytes()).expect("a signature"));
            format!("{text}.{signature}")
        };
        let good = || json!({"alg": "HS256"});
        let accepts = |header, claims| signer.verify(&signed(header, claims), NOW_MS).is_some();
        assert!(accepts(good(), json!({"username": "u", "revision": 1.0})), "etcd requires no end");
        assert!(accepts(good(), json!({"username": "u", "revision": 1, "exp": 0})), "nor does zero mean one");
        assert!(accepts(good(), json!({"username": "u", "revision": 1, "nbf": 1_800_000_000})));
        for claims in [
            json!({"revision": 1}),
            json!({"username": "u"}),
            json!({"username": 1, "revision": 1}),
            json!({"username": "u", "revision": "1"}),
            json!({"username": "u", "revision": 1e30}),
            json!({"username": "u", "revision": -1}),
            json!({"username": "u", "revision": 1, "exp": 1e300}),
            json!({"username": "u", "revision": 1, "exp": "2100"}),
            json!({"username": "u", "revision": 1, "exp": 1_800_000_000}),
            json!({"username": "u", "revision": 1, "nbf": 1_800_000_001}),
            json!([]),
        ] {
            assert!(!accepts(good(), claims.clone()), "{claims}");
        }
        for header in [json!({"alg": "none"}), json!({"alg": "HS512"}), json!({}), json!("HS256")] {
            assert!(!accepts(header.clone(), json!({"username": "u", "revision": 1})), "{header}");
        }
        let unsigned = encode(good().to_string()) + "." + &encode(r#"{"username":"u","revision":1}"#) + ".";
        for text in ["", ".", "..", "a.b.c", unsigned.as_str(), &"a".repeat(LONGEST + 1)] {
            assert_eq!(signer.verify(text, NOW_MS), None, "{text}");
        }
    }

    #[test]
    fn keys_that_do_not_fit_are_named() {
        let error = |method: &str, public: Option<&str>, private: Option<&str>| {
            jwt(method, public, private).expect_err("a refusal").to_string()
        };
        assert_eq!(error("RS256", None, None), "auth: missing key data");
        assert_eq!(error("HS256", Some("rsa.pub.pem"), None), "auth: missing key data");
        let mismatch = "auth: public and private keys don't match";
        assert_eq!(error("ES256", Some("ed25519.pub.pem"), None), "auth: pub-key: it is not a key for ES256");
        assert_eq!(error("ES256", None, Some("p384.pem")), "auth: priv-key: it is not a key for ES256");
        assert_eq!(error("ES384", None, Some("rsa.pem")), "auth: priv-key: it is not a key for ES384");
        assert_eq!(error("RS256", None, Some("p384.pem")), "auth: priv-key: it is not a key for RS256");
        assert_eq!(error("EdDSA", None, Some("p256.pkcs8.pem")), "auth: priv-key: it is not a key for EdDSA");
        assert_eq!(error("RS256", Some("secret"), None), "auth: pub-key: it holds no key in PEM form");
        assert!(
            error("none", None, Some("secret"))
                .starts_with("auth: unknown sign-method \"none\"; one of: RS256,")
        );
        assert_eq!(error("ES256", Some("other.p256.pub.pem"), Some("p256.pem")), mismatch);
        assert_eq!(error("RS256", Some("other.rsa.pub.pem"), Some("rsa.pem")), mismatch);
        assert_eq!(error("EdDSA", Some("other.ed25519.pub.pem"), Some("ed25519.pem")), mismatch);
        let small = "RSA keys have from 2048 to 8192 bits here";
        assert_eq!(error("PS256", Some("small.rsa.pub.pem"), None), format!("auth: pub-key: {small}"));
        assert_eq!(
            error("PS256", None, Some("small.rsa.pem")),
            "auth: priv-key: it is not a key for PS256: TooSmall"
        );
        let secret = String::from_utf8(file("secret")).expect("text");
        let shown = format!("{:?}", jwt("HS256", None, Some("secret")));
        assert!(!shown.contains(&secret) && shown.contains("HS256"), "{shown}");
    }
}
