//! What a member needs to let users log in.

use std::sync::Arc;
use std::time::Duration;

use super::passwords::Passwords;
use super::tokens::{TokenOptions, Tokens};
use crate::model::Clock;

/// The settings of a member; they may differ between members.
#[derive(Debug)]
pub struct LoginOptions {
    /// `--bcrypt-cost`: of new passwords.
    pub bcrypt_cost: u32,
    /// `--auth-token`.
    pub tokens: TokenOptions,
}

impl Default for LoginOptions {
    fn default() -> Self {
        Self { bcrypt_cost: 10, tokens: TokenOptions::Simple { ttl: Duration::from_secs(300) } }
    }
}

/// Passwords and tokens.
pub struct Logins {
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// Issues and verifies tokens.
    pub tokens: Tokens,
}

impl Logins {
    /// With these settings; time is that of `clock`.
    pub fn new(options: LoginOptions, clock: Arc<dyn Clock>) -> Self {
        let LoginOptions { bcrypt_cost, tokens } = options;
        Self { passwords: Passwords::new(bcrypt_cost), tokens: Tokens::new(tokens, clock) }
    }
}
