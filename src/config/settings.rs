//! The values of all options with their origins, before they become a typed configuration.

use std::fmt;
use std::path::PathBuf;

use super::diagnostic::Place;
use super::spec::OptionSpec;
use super::typed::FromValue;
use super::value::Value;

/// The origin of an option's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the table of options.
    Default,
    /// From other options; says which.
    Derived(&'static str),
    /// A systemd credential.
    Credential(PathBuf),
    /// From the operator.
    Given(Place),
    /// From the operator, but not valid; the default is used instead, so that the rules can be checked.
    Refused(Place),
}

impl Origin {
    /// True when the operator gave the value.
    pub fn is_given(&self) -> bool {
        matches!(self, Self::Given(_) | Self::Refused(_))
    }

    /// True if the operator gave a value that is not valid for the option.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// The place to point at in a diagnostic.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Given(place) | Self::Refused(place) => Some(place.clone()),
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Derived(from) => write!(f, "from {from}"),
            Self::Credential(path) => write!(f, "credential {}", path.display()),
            Self::Given(place) | Self::Refused(place) => match place {
                Place::File(place) => write!(f, "{}:{}", place.path.display(), place.line),
                Place::Path(path) => write!(f, "{}", path.display()),
                Place::Flag(text) => write!(f, "flag {}", text.split(['=', ' ']).next().unwrap_or(text)),
                Place::Variable(text) => {
                    write!(f, "environment {}", text.split('=').next().unwrap_or(text))
                }
            },
        }
    }
}

/// One option's value and origin.
#[derive(Clone)]
pub struct Setting {
    /// The value in force.
    pub value: Value,
    /// Its origin.
    pub origin: Origin,
}

/// Without the value, which may be a secret.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// What a source says about an option.
#[derive(Clone)]
pub struct Given {
    /// The option as named by the source, perhaps by a former name.
    pub spec: &'static OptionSpec,
    /// The checked value.
    pub value: Value,
    /// Its place.
    pub place: Place,
}

/// Without the value, which may be a secret.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given")
            .field("name", &self.spec.name)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// Every option's value. Two are equal when their values are, wherever these come from.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// In the order in which options are shown.
    rows: Vec<(&'static OptionSpec, Setting)>,
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        self.rows.len() == other.rows.len()
            && self.rows.iter().zip(&other.rows).all(|((spec, setting), (theirs, other))| {
                spec.name == theirs.name && setting.value == other.value
            })
    }
}

impl Settings {
    /// The defaults of these options.
    pub fn defaults(specs: impl Iterator<Item = &'static OptionSpec>) -> Self {
        let rows = specs.map(|spec| (spec, Setting { value: default_of(spec), origin: Origin::Default }));
        Self { rows: rows.collect() }
    }

    /// Puts a value in force.
    ///
    /// # Panics
    /// As [`row`](Self::row).
    pub fn set(&mut self, name: &str, value: Value, origin: Origin) {
        match self.rows.iter_mut().find(|(spec, _)| spec.name == name) {
            Some((_, setting)) => *setting = Setting { value, origin },
            None => panic!("no option is called {name}"),
        }
    }

    /// Puts the default in force, because of what `origin` says.
    ///
    /// # Panics
    /// As [`row`](Self::row).
    pub fn set_default(&mut self, name: &str, origin: Origin) {
        let default = default_of(self.row(name).0);
        self.set(name, default, origin);
    }

    /// An option with its value.
    ///
    /// # Panics
    /// For a name that no option has; a test asks for all that kvd's code asks for.
    pub fn row(&self, name: &str) -> (&'static OptionSpec, &Setting) {
        match self.rows.iter().find(|(spec, _)| spec.name == name) {
            Some((spec, setting)) => (spec, setting),
            None => panic!("no option is called {name}"),
        }
    }

    /// The value in force.
    ///
    /// # Panics
    /// As [`row`](Self::row).
    pub fn get(&self, name: &str) -> &Setting {
        self.row(name).1
    }

    /// The value as a type that it can be, which its kind decides.
    pub(super) fn read<T: FromValue + Default>(&self, name: &str) -> T {
        T::from_value(&self.get(name).value).unwrap_or_default()
    }

    /// The origin of an option's value.
    pub fn origin(&self, name: &str) -> &Origin {
        &self.get(name).origin
    }

    /// True when the operator gave this option.
    pub fn is_given(&self, name: &str) -> bool {
        self.origin(name).is_given()
    }

    /// True if the value is empty: an empty text or list.
    pub fn is_empty(&self, name: &str) -> bool {
        self.get(name).value.is_empty()
    }

    /// All options that act, in the order in which they are shown.
    pub fn iter(&self) -> impl Iterator<Item = (&'static OptionSpec, &Setting)> {
        self.rows.iter().map(|(spec, setting)| (*spec, setting))
    }
}

/// A default that cannot be read is a mistake in its row, which making any configuration would show.
fn default_of(spec: &OptionSpec) -> Value {
    Value::parse(spec.kind, spec.default).unwrap_or(Value::Text(String::new()))
}
