//! One option's value: read from the text of a flag or variable, or from a TOML value; written back as TOML.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::duration::{format_duration, nanos_to_duration, parse_duration};
use super::gates::find_gate;
use super::spec::{Kind, OptionSpec};
use super::url::{Url, UrlUse, join_urls, parse_url_list};

/// A checked value. The variant follows from the option's [`Kind`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// [`Kind::Bool`].
    Bool(bool),
    /// [`Kind::Number`].
    Number(u64),
    /// [`Kind::Signed`].
    Signed(i64),
    /// [`Kind::Text`], [`Kind::Path`], [`Kind::Choice`].
    Text(String),
    /// [`Kind::Duration`], [`Kind::Millis`], [`Kind::Seconds`].
    Duration(Duration),
    /// [`Kind::ClientUrls`], [`Kind::PeerUrls`].
    Urls(Vec<Url>),
    /// [`Kind::List`], [`Kind::Origins`].
    List(Vec<String>),
    /// [`Kind::Cluster`]: a member's name and its URLs.
    Cluster(BTreeMap<String, Vec<Url>>),
    /// [`Kind::Gates`], by name.
    Gates(BTreeMap<String, bool>),
}

/// Go's text for an invalid number, boolean or duration.
pub(super) const PARSE_ERROR: &str = "parse error";
/// Go's text for a number that is too large.
const OUT_OF_RANGE: &str = "value out of range";

impl Value {
    /// Parses the text given for an option.
    ///
    /// # Errors
    /// As [`Value::parse`].
    pub fn given(spec: &OptionSpec, text: &str) -> Result<Self, String> {
        let stands_for_default = text.is_empty() && spec.empty_is_default;
        Self::parse(spec.kind, if stands_for_default { spec.default } else { text })
    }

    /// Parses a text of that kind.
    ///
    /// # Errors
    /// The reason, in etcd's words if etcd has some; the caller adds the option and the text.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, String> {
        match kind {
            Kind::Text | Kind::Path | Kind::Anything => Ok(Self::Text(text.to_string())),
            Kind::Bool => parse_bool(text).map(Self::Bool).ok_or_else(|| PARSE_ERROR.to_string()),
            Kind::Number(max) => parse_number(text, max).map(Self::Number),
            Kind::Signed => parse_signed(text).map(Self::Signed),
            Kind::Duration => parse_duration(text).map(Self::Duration).map_err(|error| error.to_string()),
            Kind::Millis => parse_scaled(text, 1_000_000).map(Self::Duration),
            Kind::Seconds => parse_scaled(text, 1_000_000_000).map(Self::Duration),
            Kind::ClientUrls => parse_urls(&split_list(text), UrlUse::Client),
            Kind::PeerUrls => parse_urls(&split_list(text), UrlUse::Peer),
            Kind::List => Ok(Self::List(to_list(&split_list(text)))),
            Kind::Origins => parse_origins(&split_list(text)),
            Kind::Choice(choices) => parse_choice(text, choices),
            Kind::Cluster => parse_cluster(text).map(Self::Cluster),
            Kind::Gates => parse_gates(text).map(Self::Gates),
        }
    }

    /// Parses a list from an array of texts in the file.
    ///
    /// # Errors
    /// If the option is not a list, or an element is not valid.
    pub fn parse_array(kind: Kind, elements: &[&str]) -> Result<Self, String> {
        match kind {
            Kind::ClientUrls => parse_urls(elements, UrlUse::Client),
            Kind::PeerUrls => parse_urls(elements, UrlUse::Peer),
            Kind::List => Ok(Self::List(to_list(elements))),
            Kind::Origins => parse_origins(elements),
            Kind::Gates => parse_gates(&elements.join(",")).map(Self::Gates),
            _ => Err(format!("expected {}, found an array", describe(kind))),
        }
    }

    /// Converts a whole number of the file; `None` if the option does not accept one. For [`Kind::Duration`] it counts
    /// nanoseconds, as in etcd's file.
    pub fn from_integer(kind: Kind, number: i64) -> Option<Result<Self, String>> {
        let scaled = |scale: u128| match u128::try_from(number) {
            Ok(number) => Ok(Self::Duration(nanos_to_duration(number.saturating_mul(scale)))),
            Err(_) => Err(format!("negative duration {number}")),
        };
        match kind {
            Kind::Number(max) => Some(match u64::try_from(number) {
                Ok(number) if number <= max => Ok(Self::Number(number)),
                _ => Err(OUT_OF_RANGE.to_string()),
            }),
            Kind::Signed => Some(Ok(Self::Signed(number))),
            Kind::Duration => Some(scaled(1)),
            Kind::Millis => Some(scaled(1_000_000)),
            Kind::Seconds => Some(scaled(1_000_000_000)),
            _ => None,
        }
    }

    /// True for an empty text or list.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Urls(urls) => urls.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Cluster(members) => members.is_empty(),
            Self::Gates(gates) => gates.is_empty(),
            Self::Bool(_) | Self::Number(_) | Self::Signed(_) | Self::Duration(_) => false,
        }
    }

    /// True for zero, as a number or a duration.
    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Number(number) => *number == 0,
            Self::Signed(number) => *number == 0,
            Self::Duration(duration) => duration.is_zero(),
            _ => false,
        }
    }

    /// The value in a flag's syntax.
    pub fn to_text(&self, kind: Kind) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Signed(value) => value.to_string(),
            Self::Text(text) => text.clone(),
            Self::Duration(value) => match whole_units(kind, *value) {
                Some(units) => units.to_string(),
                None => format_duration(*value),
            },
            Self::Urls(urls) => join_urls(urls),
            Self::List(list) => list.join(","),
            Self::Cluster(members) => cluster_text(members),
            Self::Gates(gates) => {
                gates.iter().map(|(name, on)| format!("{name}={on}")).collect::<Vec<_>>().join(",")
            }
        }
    }

    /// The value in cluster.toml's syntax, on one line.
    pub fn to_toml(&self, kind: Kind) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            // TOML's integers end at i64; the few larger ones are written as text, which can be read as well.
            Self::Number(value) if *value > i64::MAX as u64 => format!("\"{value}\""),
            Self::Number(value) => value.to_string(),
            Self::Signed(value) => value.to_string(),
            Self::Text(text) => quote(text),
            Self::Duration(value) => match whole_units(kind, *value) {
                Some(units) => units.to_string(),
                None => quote(&format_duration(*value)),
            },
            Self::Urls(urls) => array(urls.iter().map(Url::as_str)),
            Self::List(list) => array(list.iter().map(String::as_str)),
            Self::Cluster(members) => {
                inline_table(members.iter().map(|(name, urls)| (name.as_str(), urls_toml(urls))))
            }
            Self::Gates(gates) => {
                inline_table(gates.iter().map(|(name, on)| (name.as_str(), on.to_string())))
            }
        }
    }
}

/// The expected form of an option's value, for error texts.
pub(super) fn describe(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Path | Kind::Choice(_) | Kind::Anything => "a string",
        Kind::Bool => "true or false",
        Kind::Number(_) => "a whole number of at least 0",
        Kind::Signed => "a whole number",
        Kind::Duration => "a duration such as \"1m30s\"",
        Kind::Millis => "whole milliseconds or a duration such as \"100ms\"",
        Kind::Seconds => "whole seconds or a duration such as \"5m\"",
        Kind::ClientUrls | Kind::PeerUrls => "a URL or an array of URLs",
        Kind::List | Kind::Origins => "an array of strings",
        Kind::Cluster => "a table of name = \"URL\"",
        Kind::Gates => "a table of gate = true or false",
    }
}

/// Go's spellings of a boolean.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Go's integers: decimal, or 0x, 0o (or a bare 0), 0b; with `_` between digits when there is a prefix.
fn parse_magnitude(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let digits = if radix == 10 { digits.to_string() } else { digits.replace('_', "") };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(PARSE_ERROR.to_string());
    }
    u64::from_str_radix(&digits, radix).map_err(|_| OUT_OF_RANGE.to_string())
}

fn parse_number(text: &str, max: u64) -> Result<u64, String> {
    let number = parse_magnitude(text)?;
    if number > max { Err(OUT_OF_RANGE.to_string()) } else { Ok(number) }
}

fn parse_signed(text: &str) -> Result<i64, String> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = i128::from(parse_magnitude(magnitude)?);
    let number = if negative { -magnitude } else { magnitude };
    i64::try_from(number).map_err(|_| OUT_OF_RANGE.to_string())
}

/// A count of a unit, as in etcd, or a duration.
fn parse_scaled(text: &str, unit_nanos: u128) -> Result<Duration, String> {
    match parse_magnitude(text) {
        Ok(count) => match u128::from(count).checked_mul(unit_nanos) {
            Some(nanos) if nanos <= i64::MAX as u128 => Ok(nanos_to_duration(nanos)),
            _ => Err(OUT_OF_RANGE.to_string()),
        },
        Err(reason) => match parse_duration(text) {
            Ok(duration) => Ok(duration),
            // A number with a bad unit has another error than a text that is not a number.
            Err(error) if text.starts_with(|c: char| c.is_ascii_digit()) && reason == PARSE_ERROR => {
                Err(error.to_string())
            }
            Err(_) => Err(reason),
        },
    }
}

/// Splits at commas; an empty text gives an empty list.
fn split_list(text: &str) -> Vec<&str> {
    if text.is_empty() { Vec::new() } else { text.split(',').collect() }
}

/// Trims, removes empty elements and duplicates, keeps the order.
fn to_list(elements: &[&str]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let trimmed = elements.iter().map(|element| element.trim());
    trimmed.filter(|element| !element.is_empty() && seen.insert(*element)).map(str::to_string).collect()
}

fn parse_urls(elements: &[&str], usage: UrlUse) -> Result<Value, String> {
    if elements.is_empty() {
        return Ok(Value::Urls(Vec::new()));
    }
    parse_url_list(elements, usage).map(Value::Urls).map_err(|error| error.to_string())
}

fn parse_origins(elements: &[&str]) -> Result<Value, String> {
    let list = to_list(elements);
    for origin in list.iter().filter(|origin| *origin != "*") {
        Url::parse(origin, UrlUse::Client).map_err(|error| error.to_string())?;
    }
    Ok(Value::List(list))
}

fn parse_choice(text: &str, choices: &[&str]) -> Result<Value, String> {
    if choices.contains(&text) {
        Ok(Value::Text(text.to_string()))
    } else {
        Err(format!("invalid value {text:?}"))
    }
}

/// Reads `name=URL,name=URL`; a name may come several times.
///
/// # Errors
/// With etcd's text for the first invalid URL.
pub fn parse_cluster(text: &str) -> Result<BTreeMap<String, Vec<Url>>, String> {
    let mut members: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for element in text.split(',').map(str::trim).filter(|element| !element.is_empty()) {
        let (name, url) = element.split_once('=').unwrap_or((element, ""));
        members.entry(name.trim().to_string()).or_default().push(url);
    }
    members.into_iter().map(|(name, urls)| Ok((name, cluster_urls(&urls)?))).collect()
}

/// The URLs of one member of `initial-cluster`.
pub(super) fn cluster_urls(urls: &[&str]) -> Result<Vec<Url>, String> {
    parse_url_list(urls, UrlUse::Peer).map_err(|error| error.to_string())
}

/// Reads `Gate=bool,Gate=bool` with the groups AllAlpha and AllBeta.
///
/// # Errors
/// With etcd's texts for unknown gates and missing values.
pub fn parse_gates(text: &str) -> Result<BTreeMap<String, bool>, String> {
    let mut gates = BTreeMap::new();
    for element in text.split(',').map(str::trim).filter(|element| !element.is_empty()) {
        let (name, on) =
            element.split_once('=').ok_or_else(|| format!("missing bool value for {element}"))?;
        let on = parse_bool(on.trim()).ok_or_else(|| {
            format!(
                "invalid value of {}={}, err: strconv.ParseBool: parsing {on:?}: invalid syntax",
                name.trim(),
                on
            )
        })?;
        gates.insert(gate_name(name.trim())?, on);
    }
    Ok(gates)
}

/// The name of a gate or a group, if it is one.
pub(super) fn gate_name(name: &str) -> Result<String, String> {
    if matches!(name, "AllAlpha" | "AllBeta") || find_gate(name).is_some() {
        Ok(name.to_string())
    } else {
        Err(format!("unrecognized feature gate: {name}"))
    }
}

/// The count to write if etcd uses a count: only if nothing is lost by it.
fn whole_units(kind: Kind, value: Duration) -> Option<u128> {
    let unit = match kind {
        Kind::Millis => 1_000_000,
        Kind::Seconds => 1_000_000_000,
        _ => return None,
    };
    let nanos = value.as_nanos();
    nanos.is_multiple_of(unit).then_some(nanos / unit)
}

/// `name=URL,name=URL`, as etcd's flag takes it.
pub fn cluster_text(members: &BTreeMap<String, Vec<Url>>) -> String {
    let pairs: Vec<String> =
        members.iter().flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}"))).collect();
    pairs.join(",")
}

fn urls_toml(urls: &[Url]) -> String {
    match urls {
        [url] => quote(url.as_str()),
        urls => array(urls.iter().map(Url::as_str)),
    }
}

fn array<'t>(elements: impl Iterator<Item = &'t str>) -> String {
    format!("[{}]", elements.map(quote).collect::<Vec<_>>().join(", "))
}

fn inline_table<'t>(entries: impl Iterator<Item = (&'t str, String)>) -> String {
    let entries: Vec<String> = entries.map(|(key, value)| format!("{} = {value}", toml_key(key))).collect();
    if entries.is_empty() { "{}".to_string() } else { format!("{{ {} }}", entries.join(", ")) }
}

/// A key of a TOML table: bare where TOML allows it.
pub(super) fn toml_key(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { key.to_string() } else { quote(key) }
}

/// A TOML basic string.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_gos() {
        let number = |text| Value::parse(Kind::Number(u64::MAX), text);
        assert_eq!(number("0x10"), Ok(Value::Number(16)));
        assert_eq!(number("010"), Ok(Value::Number(8)));
        assert_eq!(number("0"), Ok(Value::Number(0)));
        assert_eq!(number("18446744073709551615"), Ok(Value::Number(u64::MAX)));
        assert_eq!(number("18446744073709551616"), Err("value out of range".into()));
        assert_eq!(number("-1"), Err("parse error".into()));
        assert_eq!(number("1e3"), Err("parse error".into()));
        assert_eq!(Value::parse(Kind::Signed, "-9223372036854775808"), Ok(Value::Signed(i64::MIN)));
        assert_eq!(Value::parse(Kind::Number(100), "101"), Err("value out of range".into()));
    }

    #[test]
    fn milliseconds_are_counts_or_durations() {
        let millis = |text| Value::parse(Kind::Millis, text);
        assert_eq!(millis("100"), Ok(Value::Duration(Duration::from_millis(100))));
        assert_eq!(millis("1s"), Ok(Value::Duration(Duration::from_secs(1))));
        assert_eq!(millis("abc"), Err("parse error".into()));
        assert_eq!(millis("1d"), Err("time: unknown unit \"d\" in duration \"1d\"".into()));
        assert_eq!(millis("99999999999999999"), Err("value out of range".into()));
    }

    #[test]
    fn clusters_collect_the_urls_of_a_name() {
        let members = parse_cluster("b=http://b:2380,a=http://a:2381,,a=http://a:2380,").expect("good pairs");
        assert_eq!(cluster_text(&members), "a=http://a:2380,a=http://a:2381,b=http://b:2380");
        let value = Value::Cluster(members);
        let toml = r#"{ a = ["http://a:2380", "http://a:2381"], b = "http://b:2380" }"#;
        assert_eq!(value.to_toml(Kind::Cluster), toml);
        assert!(parse_cluster("a").is_err());
    }

    #[test]
    fn gates_answer_in_etcds_words() {
        assert_eq!(parse_gates("Nope=true"), Err("unrecognized feature gate: Nope".into()));
        assert_eq!(parse_gates("LeaseCheckpoint"), Err("missing bool value for LeaseCheckpoint".into()));
        assert_eq!(parse_gates("AllAlpha=true,LeaseCheckpoint=F").map(|g| g.len()), Ok(2));
    }
}
