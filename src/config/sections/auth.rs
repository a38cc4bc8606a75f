//! Users' tokens and passwords.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::U32;
use crate::config::diagnostic::Diagnostic;
use crate::config::duration::parse_duration;
use crate::config::findings::Findings;
use crate::config::settings::{Origin, Settings};
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::typed::{FromValue, section};
use crate::config::value::Value;

section! {
    /// Users.
    pub struct Auth under Auth {
        token: AuthToken = etcd("auth-token", Kind::Text, "simple", "The tokens of logged-in users: simple (valid on every member, also after a restart), or jwt with its parameters (jwt,pub-key=FILE,priv-key=FILE,sign-method=METHOD,ttl=DURATION).").empty_is_default();
        bcrypt_cost: u32 = etcd("bcrypt-cost", Kind::Number(U32), "10", "The cost of a password's hash, from 4 to 31.");
        token_ttl: Duration = etcd("auth-token-ttl", Kind::Seconds, "300", "How long a simple token is valid after its last use; on members where it was not used, up to twice as long.");
    }
}

/// `auth-token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthToken {
    /// A text signed with a key that all members have.
    Simple,
    /// A signed token.
    Jwt {
        /// `sign-method`: RS256, ES384, HS512, EdDSA and so on.
        sign_method: String,
        /// `pub-key`.
        public_key: Option<PathBuf>,
        /// `priv-key`.
        private_key: Option<PathBuf>,
        /// `ttl`.
        ttl: Duration,
    },
}

const JWT_METHODS: [&str; 13] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384",
    "HS512", "EdDSA",
];

/// etcd only reports that something is wrong; the help text says what.
impl FromValue for AuthToken {
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
        let text = String::from_value(value)?;
        let refuse = |reason: String| Box::new(Diagnostic::error("auth: invalid auth options").help(reason));
        let (kind, options) = split(&text).map_err(refuse)?;
        match kind {
            "" | "simple" => Ok(AuthToken::Simple),
            "jwt" => Self::jwt(&options),
            other => Err(refuse(format!("{other:?} is neither simple nor jwt"))),
        }
    }
}

/// The kind of token, and its options.
fn split(text: &str) -> Result<(&str, BTreeMap<&str, &str>), String> {
    let mut parts = text.split(',');
    let kind = parts.next().unwrap_or_default();
    let mut options = BTreeMap::new();
    for part in parts {
        match part.split_once('=') {
            Some((name, value)) if !value.contains('=') => {
                if options.insert(name, value).is_some() {
                    return Err(format!("{name} is given twice"));
                }
            }
            _ => return Err(format!("{part:?} is no name=value")),
        }
    }
    Ok((kind, options))
}

impl AuthToken {
    fn jwt(options: &BTreeMap<&str, &str>) -> Result<Self, Box<Diagnostic>> {
        let refuse = |reason: String| Box::new(Diagnostic::error("auth: invalid auth options").help(reason));
        let given = |name: &str| options.get(name).copied().filter(|value| !value.is_empty());
        let ttl = given("ttl").map_or(Ok(Duration::from_secs(300)), parse_duration);
        let ttl = ttl.map_err(|error| refuse(error.to_string()))?;
        let methods = JWT_METHODS.join(", ");
        let method = given("sign-method").ok_or_else(|| refuse("jwt needs a sign-method".to_string()))?;
        if !JWT_METHODS.contains(&method) {
            return Err(refuse(format!("unknown sign-method {method:?}; one of: {methods}")));
        }
        let (public, private) = (given("pub-key"), given("priv-key"));
        let is_secret = method.starts_with("HS");
        if private.is_none() && (is_secret || public.is_none()) {
            let need = if is_secret { "a priv-key: the secret" } else { "a pub-key or a priv-key" };
            let help = format!("{method} needs {need}");
            return Err(Box::new(Diagnostic::error("auth: missing key data").help(help)));
        }
        Ok(AuthToken::Jwt {
            sign_method: method.to_string(),
            public_key: public.map(PathBuf::from),
            private_key: private.map(PathBuf::from),
            ttl,
        })
    }
}

impl Auth {
    /// Corrects what etcd corrects.
    pub(in crate::config) fn derive(settings: &mut Settings) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let cost: u64 = settings.read("bcrypt-cost");
        if !(4..=31).contains(&cost) {
            let message = format!("use default bcrypt cost instead of the invalid given cost {cost}");
            let place = settings.origin("bcrypt-cost").place();
            found.push(Diagnostic::warning(message).about("bcrypt-cost").at(place));
            settings.set_default("bcrypt-cost", Origin::Derived("an invalid bcrypt-cost"));
        }
        if settings.read::<Duration>("auth-token-ttl").is_zero() {
            settings.set_default("auth-token-ttl", Origin::Derived("auth-token-ttl 0"));
        }
        let token: String = settings.read("auth-token");
        for (name, _) in split(&token).map(|(_, options)| options).unwrap_or_default() {
            if token.starts_with("jwt") && !["sign-method", "pub-key", "priv-key", "ttl"].contains(&name) {
                let message = format!("unknown JWT option {name:?} is ignored");
                let place = settings.origin("auth-token").place();
                found.push(Diagnostic::warning(message).about("auth-token").at(place));
            }
        }
        found
    }
}
