//! How much of a file is read, for whoever waits.

use std::fmt;
use std::sync::Arc;

/// Is told how many bytes of how many are done. The default tells nobody.
#[derive(Clone, Default)]
pub struct Meter(Option<Arc<Told>>);

type Told = dyn Fn(u64, u64) + Send + Sync;

impl Meter {
    /// Tells this function.
    pub fn new(told: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    /// So many of so many are done.
    pub(super) fn at(&self, done: u64, all: u64) {
        if let Some(told) = &self.0 {
            told(done.min(all), all);
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meter")
    }
}
