//! From an option's checked [`Value`] to the type that the rest of kvd uses, and how a section declares both.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::diagnostic::Diagnostic;
use super::url::Url;
use super::value::Value;

/// A text that is never printed, and erased from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret in clear.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(********)")
    }
}

/// A type that an option's value is converted to.
pub trait FromValue: Sized {
    /// The value as this type.
    ///
    /// # Errors
    /// What is wrong with the value; the caller adds the option and the place.
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>>;
}

/// For a value of another kind than the type expects: a mistake in a section, which every reading of the defaults would
/// show.
pub(super) fn mismatch<T>(value: &Value) -> Result<T, Box<Diagnostic>> {
    let variant = format!("{value:?}");
    let variant = variant.split('(').next().unwrap_or_default();
    Err(Box::new(Diagnostic::error(format!("a value of the kind {variant} is none of this option's"))))
}

/// Types that equal the type of the value.
macro_rules! plain {
    ($($type:ty = $variant:ident,)*) => {
        $(impl FromValue for $type {
            fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
                match value {
                    Value::$variant(inner) => Ok(inner.clone()),
                    other => mismatch(other),
                }
            }
        })*
    };
}

plain! {
    bool = Bool,
    u64 = Number,
    String = Text,
    Duration = Duration,
    Vec<Url> = Urls,
    Vec<String> = List,
    BTreeMap<String, Vec<Url>> = Cluster,
    BTreeMap<String, bool> = Gates,
}

fn narrow<T: TryFrom<u64>>(value: &Value) -> Result<T, Box<Diagnostic>> {
    T::try_from(u64::from_value(value)?).map_err(|_| Box::new(Diagnostic::error("value out of range")))
}

impl FromValue for u32 {
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
        narrow(value)
    }
}

impl FromValue for usize {
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
        narrow(value)
    }
}

/// None for zero, and for a negative number.
impl FromValue for Option<u64> {
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
        match value {
            Value::Number(number) => Ok(Some(*number).filter(|number| *number > 0)),
            Value::Signed(number) => Ok(u64::try_from(*number).ok().filter(|number| *number > 0)),
            other => mismatch(other),
        }
    }
}

/// None for zero.
impl FromValue for Option<Duration> {
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
        Ok(Some(Duration::from_value(value)?).filter(|duration| !duration.is_zero()))
    }
}

impl FromValue for PathBuf {
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
        String::from_value(value).map(PathBuf::from)
    }
}

/// None for an empty text.
impl FromValue for Option<PathBuf> {
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
        Ok(Some(PathBuf::from_value(value)?).filter(|path| !path.as_os_str().is_empty()))
    }
}

/// None for an empty text.
impl FromValue for Option<Secret> {
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
        Ok(Some(String::from_value(value)?).filter(|text| !text.is_empty()).map(|text| Secret(text.into())))
    }
}

/// Declares a section: the options of one topic, each in one row with its field, its type, its names and default, and
/// its description. The row is the whole definition of an option; its rules are in the section's `check`.
///
/// ```text
/// section! {
///     /// What the section is about.
///     pub struct Limits under Limits {
///         max_txn_ops: usize = etcd("max-txn-ops", Kind::Number(U32), "128", "The most operations of a transaction.").reloads();
///     }
///     without effect {
///         OptionSpec::etcd("max-wals", ...).ignored("why"),
///     }
/// }
/// ```
///
/// makes the struct with a documented field for each row, `OPTIONS` with all rows, and `read`, which makes the struct
/// from a configuration's values.
macro_rules! section {
    (
        $(#[$meta:meta])*
        pub struct $name:ident under $section:ident {
            $(
                $(#[$doc:meta])*
                $field:ident : $type:ty = $make:ident($option:literal, $kind:expr, $default:literal, $help:literal)
                    $(.$method:ident($($argument:expr),*))*;
            )*
        }
        $(without effect { $($idle:expr,)* })?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $(
                #[doc = concat!("`--", $option, "`: ", $help)]
                $(#[$doc])*
                pub $field: $type,
            )*
        }

        impl $name {
            /// The rows.
            pub(in crate::config) const OPTIONS: &'static [OptionSpec] = &[
                $(
                    OptionSpec::$make($option, $kind, $default, $help)
                        .section(Section::$section)
                        $(.$method($($argument),*))*,
                )*
                $($($idle.section(Section::$section),)*)?
            ];

            /// Makes the section from the values of its options.
            pub(in crate::config) fn read(from: &mut Findings<'_>) -> Self {
                Self { $($field: from.take($option),)* }
            }
        }
    };
}

/// Declares a choice: each variant with its texts.
macro_rules! choice {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $($text:literal)|+,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All texts.
            pub(in crate::config) const CHOICES: &'static [&'static str] = &[$($($text,)+)*];
        }

        impl FromValue for $name {
            fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
                match value {
                    $(Value::Text(text) if matches!(text.as_str(), $($text)|+) => Ok(Self::$variant),)*
                    other => mismatch(other),
                }
            }
        }
    };
}

pub(super) use {choice, section};
