//! The values of all options with their origins, before they become a typed configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::diagnostic::Place;
use super::options::{self, OptionSpec};
use super::value::Value;

/// Where an option's value comes from.
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
}

impl Origin {
    /// True when the operator gave the value.
    pub fn is_given(&self) -> bool {
        matches!(self, Self::Given(_))
    }

    /// The place to point at in a diagnostic.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Given(place) => Some(place.clone()),
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
            Self::Given(Place::File(place)) => write!(f, "{}:{}", place.path.display(), place.line),
            Self::Given(Place::Path(path)) => write!(f, "{}", path.display()),
            Self::Given(Place::Flag(text)) => {
                let name = text.split(['=', ' ']).next().unwrap_or(text);
                write!(f, "flag {name}")
            }
            Self::Given(Place::Variable(text)) => {
                write!(f, "environment {}", text.split('=').next().unwrap_or(text))
            }
        }
    }
}

/// One option's value and origin.
#[derive(Clone)]
pub struct Setting {
    /// The value in force.
    pub value: Value,
    /// Where it comes from.
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
    /// Where it stands.
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
    values: BTreeMap<&'static str, Setting>,
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        self.values.len() == other.values.len()
            && self.values.iter().all(|(name, setting)| {
                other.values.get(name).is_some_and(|theirs| theirs.value == setting.value)
            })
    }
}

impl Settings {
    /// All defaults.
    pub fn defaults() -> Self {
        let mut settings = Self::default();
        for spec in options::all().filter(|spec| spec.acts()) {
            let value = Value::parse(spec.kind, spec.default).unwrap_or(Value::Text(String::new()));
            settings.set(spec.name, value, Origin::Default);
        }
        settings
    }

    /// Puts a value in force.
    pub fn set(&mut self, name: &'static str, value: Value, origin: Origin) {
        self.values.insert(name, Setting { value, origin });
    }

    /// The value in force.
    ///
    /// # Panics
    /// For a name that is not in the table of options; a test asks for all that kvd's code asks for.
    pub fn get(&self, name: &str) -> &Setting {
        self.values.get(name).unwrap_or_else(|| panic!("no option is called {name}"))
    }

    /// The origin of an option's value.
    pub fn origin(&self, name: &str) -> &Origin {
        &self.get(name).origin
    }

    /// True when the operator gave this option.
    pub fn is_given(&self, name: &str) -> bool {
        self.origin(name).is_given()
    }

    /// All options that act, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (&'static OptionSpec, &Setting)> {
        options::all().filter_map(|spec| Some((spec, self.values.get(spec.name)?)))
    }
}
