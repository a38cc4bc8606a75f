//! What entries of the log are made of, compared with a list: members of other versions read the same bytes.
//!
//! `tests/golden/log/shapes.txt` has a line for each type and each variant, with the first version whose commands contain
//! it ([`Command::since`]). A line that is there never changes, because older programs read by it; a new one must belong
//! to a command of this program's version, so that it is not proposed before all members know it.
//!
//! `UPDATE_GOLDEN=1 cargo test --lib log::shapes` adds lines that may be added, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::de::value::U32Deserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use super::Payload;
use crate::model::Version;

/// Values that are made: each takes other variants.
const RUNS: usize = 20_000;

#[derive(Debug)]
struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

impl serde::de::Error for Failed {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Failed(what.to_string())
    }
}

/// What is learned from the way in which types read themselves.
#[derive(Default)]
struct Learned {
    /// Types and variants with their shapes.
    shapes: BTreeMap<String, String>,
    /// The variants of each enum.
    variants: BTreeMap<&'static str, &'static [&'static str]>,
    /// What the present value contains.
    contained: BTreeSet<String>,
    /// The types that are being read, outermost first.
    within: Vec<&'static str>,
    dice: u64,
}

impl Learned {
    fn note(&mut self, name: String, shape: String) {
        self.contained.insert(name.clone());
        let known = self.shapes.entry(name.clone()).or_insert_with(|| shape.clone());
        assert_eq!(*known, shape, "two types have the name {name}");
    }

    fn below(&mut self, limit: usize) -> usize {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) as usize % limit
    }

    /// A type contains itself: the innermost one takes its first variants.
    fn is_deep(&self) -> bool {
        let times = |name: &&str| self.within.iter().filter(|other| *other == name).count();
        self.within.iter().any(|name| times(name) > 1)
    }
}

/// Reads a value that is made up, and says which shape it has.
struct Look<'l> {
    learned: &'l mut Learned,
    shape: &'l mut String,
}

impl Look<'_> {
    fn again<'a>(&'a mut self, shape: &'a mut String) -> Look<'a> {
        Look { learned: self.learned, shape }
    }
}

/// The elements of a sequence, each with its shape.
struct Parts<'a, 'l> {
    look: &'a mut Look<'l>,
    left: usize,
    shapes: &'a mut Vec<String>,
}

impl<'de> SeqAccess<'de> for Parts<'_, '_> {
    type Error = Failed;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Failed> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut shape = String::new();
        let value = seed.deserialize(self.look.again(&mut shape))?;
        self.shapes.push(shape);
        Ok(Some(value))
    }
}

impl<'de> MapAccess<'de> for Parts<'_, '_> {
    type Error = Failed;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Failed> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Failed> {
        let mut shape = String::new();
        let value = seed.deserialize(self.look.again(&mut shape))?;
        self.shapes.push(shape);
        Ok(value)
    }
}

/// A variant that was chosen.
struct Chosen<'a, 'l> {
    look: &'a mut Look<'l>,
    index: usize,
    content: &'a mut String,
}

impl<'de> EnumAccess<'de> for Chosen<'_, '_> {
    type Error = Failed;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Failed> {
        let index: U32Deserializer<Failed> = (self.index as u32).into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> VariantAccess<'de> for Chosen<'_, '_> {
    type Error = Failed;

    fn unit_variant(self) -> Result<(), Failed> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Failed> {
        let mut shape = String::new();
        let value = seed.deserialize(self.look.again(&mut shape))?;
        *self.content = format!(" ({shape})");
        Ok(value)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Failed> {
        let mut shapes = Vec::new();
        let value = visitor.visit_seq(Parts { look: self.look, left: len, shapes: &mut shapes })?;
        *self.content = format!(" ({})", shapes.join(", "));
        Ok(value)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let mut shapes = Vec::new();
        let value = visitor.visit_seq(Parts { look: self.look, left: fields.len(), shapes: &mut shapes })?;
        *self.content = format!(" {}", named(fields, &shapes));
        Ok(value)
    }
}

fn named(fields: &[&str], shapes: &[String]) -> String {
    let fields: Vec<String> =
        fields.iter().zip(shapes).map(|(field, shape)| format!("{field}: {shape}")).collect();
    format!("{{ {} }}", fields.join(", "))
}

/// Values without parts.
macro_rules! plain {
    ($($method:ident $visit:ident $value:expr, $shape:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
            *self.shape = $shape.into();
            visitor.$visit($value)
        })*
    };
}

impl<'de> Deserializer<'de> for Look<'_> {
    type Error = Failed;

    plain! {
        deserialize_bool visit_bool false, "bool";
        deserialize_i8 visit_i8 1, "i8";
        deserialize_i16 visit_i16 1, "i16";
        deserialize_i32 visit_i32 1, "i32";
        deserialize_i64 visit_i64 1, "i64";
        deserialize_u8 visit_u8 1, "u8";
        deserialize_u16 visit_u16 1, "u16";
        deserialize_u32 visit_u32 1, "u32";
        deserialize_u64 visit_u64 1, "u64";
        deserialize_str visit_str "", "text";
        deserialize_string visit_str "", "text";
        deserialize_bytes visit_bytes b"", "bytes";
        deserialize_byte_buf visit_bytes b"", "bytes";
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Failed> {
        Err(Failed("a type that does not say what it is: postcard could not read it".into()))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        *self.shape = "nothing".into();
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Failed> {
        let mut shape = String::new();
        let value = visitor.visit_some(self.again(&mut shape))?;
        *self.shape = format!("perhaps {shape}");
        Ok(value)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let mut shape = String::new();
        let value = visitor.visit_newtype_struct(self.again(&mut shape))?;
        self.learned.note(name.into(), format!(" = {shape}"));
        *self.shape = name.into();
        Ok(value)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Failed> {
        let mut shapes = Vec::new();
        let value = visitor.visit_seq(Parts { look: &mut self, left: 1, shapes: &mut shapes })?;
        *self.shape = format!("list of {}", shapes.concat());
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Failed> {
        let mut shapes = Vec::new();
        let value = visitor.visit_map(Parts { look: &mut self, left: 1, shapes: &mut shapes })?;
        *self.shape = format!("map of {}", shapes.join(" to "));
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value, Failed> {
        let mut shapes = Vec::new();
        let value = visitor.visit_seq(Parts { look: &mut self, left: len, shapes: &mut shapes })?;
        shapes.dedup();
        *self.shape = match shapes.len() {
            1 => format!("{len} of {}", shapes.concat()),
            _ => format!("({})", shapes.join(", ")),
        };
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let mut shapes = Vec::new();
        self.learned.within.push(name);
        let value = visitor.visit_seq(Parts { look: &mut self, left: fields.len(), shapes: &mut shapes })?;
        self.learned.within.pop();
        self.learned.note(name.into(), format!(" {}", named(fields, &shapes)));
        *self.shape = name.into();
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        self.learned.variants.insert(name, variants);
        self.learned.within.push(name);
        let index = if self.learned.is_deep() { 0 } else { self.learned.below(variants.len()) };
        let mut content = String::new();
        let value = visitor.visit_enum(Chosen { look: &mut self, index, content: &mut content })?;
        self.learned.within.pop();
        self.learned.note(format!("{name}::{}", variants[index]), format!(" = {index}{content}"));
        *self.shape = name.into();
        Ok(value)
    }

    forward_to_deserialize_any! { f32 f64 char unit_struct tuple_struct identifier ignored_any }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The list as it should be now.
fn found() -> Vec<String> {
    let mut learned = Learned { dice: 7, ..Learned::default() };
    let mut since: BTreeMap<String, Version> = BTreeMap::new();
    for _ in 0..RUNS {
        learned.contained.clear();
        let mut shape = String::new();
        let look = Look { learned: &mut learned, shape: &mut shape };
        let payload = Payload::deserialize(look).expect("a value");
        // What stands outside of commands is read by all.
        let version = match &payload {
            Payload::Group(group) => group.proposals.iter().map(|one| one.command.since()).min(),
            Payload::Membership { change, .. } => change.as_ref().map(|change| change.command.since()),
            Payload::Blank => None,
        };
        let version = version.unwrap_or(Version::FIRST);
        for name in &learned.contained {
            let known = since.entry(name.clone()).or_insert(version);
            *known = version.min(*known);
        }
    }
    for (name, variants) in &learned.variants {
        for variant in *variants {
            let name = format!("{name}::{variant}");
            assert!(learned.shapes.contains_key(&name), "{name} was never taken: more RUNS");
        }
    }
    learned.shapes.iter().map(|(name, shape)| format!("{} {name}{shape}", since[name])).collect()
}

/// The lines that may be added to a list.
///
/// # Errors
/// What must not be.
fn judge<'f>(known: &[String], found: &'f [String], own: Version) -> Result<Vec<&'f String>, String> {
    let lost: Vec<&String> = known.iter().filter(|line| !found.contains(line)).collect();
    if !lost.is_empty() {
        return Err(format!(
            "programs that are in use read the log by these lines, which must stay as they are; what is new goes into a \
             new variant at the end of an enum: {lost:#?}"
        ));
    }
    let new: Vec<&String> = found.iter().filter(|line| !known.contains(line)).collect();
    let early: Vec<&&String> = new.iter().filter(|line| !line.starts_with(&format!("{own} "))).collect();
    if !early.is_empty() {
        return Err(format!(
            "Command::since says that programs before {own} know these, but they do not: {early:#?}"
        ));
    }
    Ok(new)
}

#[test]
fn what_entries_are_made_of_is_what_other_versions_read() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/log/shapes.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let known: Vec<String> = text.lines().map(str::to_string).collect();
    let found = found();
    let new = judge(&known, &found, Version::OWN).unwrap_or_else(|why| panic!("{why}"));
    if new.is_empty() {
        return;
    }
    assert!(std::env::var_os("UPDATE_GOLDEN").is_some(), "not in {}: {new:#?}", path.display());
    std::fs::write(&path, found.join("\n") + "\n").expect("written");
}

#[test]
fn a_change_that_older_programs_would_misread_is_refused() {
    let lines = |text: &[&str]| text.iter().map(|line| line.to_string()).collect::<Vec<_>>();
    let own = Version::parse("3.8").expect("a version");
    let known = lines(&["3.6 Command::Put = 0 (Put)", "3.6 Put { key: bytes }"]);
    assert_eq!(judge(&known, &known, own), Ok(Vec::new()));
    let field = lines(&["3.6 Command::Put = 0 (Put)", "3.6 Put { key: bytes, more: bool }"]);
    assert!(judge(&known, &field, own).expect_err("a field").contains("must stay"));
    let moved = lines(&["3.6 Command::New = 0", "3.6 Command::Put = 1 (Put)", "3.6 Put { key: bytes }"]);
    assert!(judge(&known, &moved, own).expect_err("another number").contains("must stay"));
    for (version, is_good) in [("3.6", false), ("3.7", false), ("3.8", true)] {
        let mut longer = known.clone();
        longer.push(format!("{version} Command::New = 1"));
        assert_eq!(judge(&known, &longer, own).is_ok(), is_good, "{version}");
    }
}
