//! From the configuration to passwords and tokens.

use std::path::Path;

use zeroize::Zeroizing;

use crate::auth::{Jwt, LoginOptions, TokenOptions};
use crate::config::{AuthToken, Config};
use crate::files;

/// The option of the key that signs.
const PRIVATE: &str = "priv-key";

/// How users log in; reads the keys of JSON web tokens.
///
/// # Errors
/// What is wrong with a key; etcd's text if it has one.
pub fn options(config: &Config) -> Result<LoginOptions, String> {
    let auth = &config.auth;
    let tokens = match &auth.token {
        AuthToken::Simple => TokenOptions::Simple { ttl: auth.token_ttl },
        AuthToken::Jwt { sign_method, public_key, private_key, ttl } => {
            let public = public_key.as_deref().map(|path| key("pub-key", path)).transpose()?;
            let private = private_key.as_deref().map(|path| key(PRIVATE, path)).transpose()?;
            let (public, private) =
                (public.as_ref().map(|key| &key[..]), private.as_ref().map(|key| &key[..]));
            let jwt = Jwt::new(sign_method, public, private, *ttl).map_err(|error| error.to_string())?;
            TokenOptions::Jwt(Box::new(jwt))
        }
    };
    Ok(LoginOptions { bcrypt_cost: auth.bcrypt_cost, tokens })
}

fn key(option: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let path_shown = path.display();
    if option == PRIVATE {
        files::warn_if_open(path);
    }
    let read = std::fs::read(path).map(Zeroizing::new);
    read.map_err(|error| format!("auth: invalid auth options: {option}: {path_shown}: {error}"))
}
