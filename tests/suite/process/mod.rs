//! The daemon as a process: its inputs, the addresses it listens on, and how it ends.

mod authority;
mod copies;
mod durable_names;
mod empty_values;
mod entry;
mod families;
mod first_answers;
mod first_start;
mod frames;
mod full_disk;
mod history;
mod kvctl;
mod leadership;
mod listening;
mod metrics;
mod notify;
mod options;
mod pings;
mod quota;
mod reload;
mod revocation;
mod settings;
mod signals;
mod targets;
mod tls;
mod unread;
