//! Users' tokens and passwords.

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
        token: AuthToken = etcd("auth-token", Kind::Text, "simple", "The tokens of logged-in users: simple, or jwt with its parameters (jwt,pub-key=FILE,priv-key=FILE,sign-method=METHOD,ttl=DURATION).").empty_is_default().pending();
        bcrypt_cost: u32 = etcd("bcrypt-cost", Kind::Number(U32), "10", "The cost of a password's hash, from 4 to 31.").pending();
        token_ttl: Duration = etcd("auth-token-ttl", Kind::Seconds, "300", "How long a simple token lives after its last use.").pending();
    }
}

/// `auth-token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthToken {
    /// A random text, known only to this member.
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
        let refuse = |reason: String| Box::new(Diagnostic::error("auth: invalid auth options").help(reason));
        Self::parse(&String::from_value(value)?).map_err(refuse)
    }
}

impl AuthToken {
    /// Reads `simple` or `jwt,key=value,...`.
    fn parse(text: &str) -> Result<Self, String> {
        let (kind, options) = text.split_once(',').unwrap_or((text, ""));
        match kind {
            "" | "simple" => return Ok(AuthToken::Simple),
            "jwt" => {}
            other => return Err(format!("{other:?} is neither simple nor jwt")),
        }
        let (mut method, mut public_key, mut private_key) = (None, None, None);
        let mut ttl = Duration::from_secs(300);
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (name, value) =
                option.split_once('=').ok_or_else(|| format!("{option:?} is no name=value"))?;
            match name {
                "sign-method" => method = Some(value.to_string()),
                "pub-key" => public_key = Some(value.into()),
                "priv-key" => private_key = Some(value.into()),
                "ttl" => ttl = parse_duration(value).map_err(|error| error.to_string())?,
                other => {
                    return Err(format!("jwt has no option {other:?}: sign-method, pub-key, priv-key, ttl"));
                }
            }
        }
        let sign_method = method.ok_or("jwt needs a sign-method")?;
        if !JWT_METHODS.contains(&sign_method.as_str()) {
            return Err(format!("unknown sign-method {sign_method:?}; one of: {}", JWT_METHODS.join(", ")));
        }
        if public_key.is_none() && private_key.is_none() {
            return Err("jwt needs a pub-key or a priv-key".to_string());
        }
        Ok(AuthToken::Jwt { sign_method, public_key, private_key, ttl })
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
        found
    }
}
