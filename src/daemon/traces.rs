//! Traces, as the configuration asks for them.

use crate::api::traces::{Options, Traces};
use crate::config::Config;

/// The traces that the configuration asks for, if it asks for any.
///
/// # Errors
/// If the collector's address is none.
pub fn open(config: &Config) -> Result<Option<Traces>, String> {
    let options = &config.logging;
    if !options.traces {
        return Ok(None);
    }
    let traces = Traces::open(&Options {
        address: options.traces_to.clone(),
        service: options.traces_service.clone(),
        instance: options.traces_instance.clone(),
        per_million: options.traces_per_million,
    })?;
    tracing::info!(
        address = options.traces_to,
        service = options.traces_service,
        instance = options.traces_instance,
        per_million = options.traces_per_million,
        "distributed tracing setup enabled"
    );
    Ok(Some(traces))
}
