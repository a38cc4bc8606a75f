//! Generates the messages and clients of etcd's client API from `src/api/proto`, without protoc, and the tables by which
//! they are read from JSON and written as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// Messages that hold passwords or tokens: what they print is written by hand.
const SECRET: [&str; 5] = [
    ".authpb.User",
    ".etcdserverpb.AuthenticateRequest",
    ".etcdserverpb.AuthenticateResponse",
    ".etcdserverpb.AuthUserAddRequest",
    ".etcdserverpb.AuthUserChangePasswordRequest",
];

const PROTOS: [&str; 6] =
    ["kv.proto", "auth.proto", "rpc.proto", "v3lock.proto", "v3election.proto", "health.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=src/api/proto");
    let descriptors = protox::compile(PROTOS, ["src/api/proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("api.bin"), prost::Message::encode_to_vec(&descriptors))?;
    std::fs::write(out.join("schema.rs"), tables(&descriptors)?)?;
    tonic_prost_build::configure()
        .build_server(false)
        .bytes(".")
        .skip_debug(SECRET)
        .type_attribute(".", "#[allow(missing_docs)]")
        .compile_fds(descriptors)?;
    Ok(())
}

/// Statics in the form of `src/api/json/schema.rs`: the messages (`M<n>`) and enumerations (`E<n>`) that methods use, and the
/// list of all methods.
fn tables(descriptors: &FileDescriptorSet) -> Result<String, Box<dyn std::error::Error>> {
    let mut found = Found::default();
    for file in &descriptors.file {
        let package = format!(".{}", file.package());
        file.enum_type.iter().for_each(|one| found.enumeration(&package, one));
        file.message_type.iter().for_each(|one| found.message(&package, one));
    }
    let mut used = BTreeSet::new();
    for method in descriptors.file.iter().flat_map(|file| &file.service).flat_map(|service| &service.method) {
        found.reach(method.input_type(), &mut used);
        found.reach(method.output_type(), &mut used);
    }
    let mut text = String::new();
    for (name, values) in found.enums.iter().filter(|(name, _)| used.contains(*name)) {
        let values: Vec<String> =
            values.iter().map(|(name, number)| format!("({name:?}, {number})")).collect();
        let values = values.join(", ");
        writeln!(text, "static {}: Enum = Enum {{ values: &[{values}] }};", found.id(name)?)?;
    }
    for (name, message) in found.messages.iter().filter(|(name, _)| used.contains(*name)) {
        let mut fields = String::new();
        for field in &message.field {
            fields += &found.field(name, message, field)?;
        }
        writeln!(
            text,
            "static {}: Message = Message {{ name: {:?}, fields: &[{fields}] }};",
            found.id(name)?,
            &name[1..]
        )?;
    }
    writeln!(text, "/// All methods.\npub static METHODS: &[Method] = &[")?;
    for file in &descriptors.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let (request, answer) = (found.id(method.input_type())?, found.id(method.output_type())?);
                writeln!(text, "Method {{ path: {path:?}, request: &{request}, answer: &{answer} }},")?;
            }
        }
    }
    writeln!(text, "];")?;
    Ok(text)
}

/// All messages and enumerations, by their full names with a leading dot.
#[derive(Default)]
struct Found<'d> {
    messages: BTreeMap<String, &'d DescriptorProto>,
    enums: BTreeMap<String, Vec<(&'d str, i32)>>,
}

impl<'d> Found<'d> {
    fn enumeration(&mut self, scope: &str, one: &'d EnumDescriptorProto) {
        let values = one.value.iter().map(|value| (value.name(), value.number())).collect();
        self.enums.insert(format!("{scope}.{}", one.name()), values);
    }

    fn message(&mut self, scope: &str, one: &'d DescriptorProto) {
        let name = format!("{scope}.{}", one.name());
        one.enum_type.iter().for_each(|inner| self.enumeration(&name, inner));
        one.nested_type.iter().for_each(|inner| self.message(&name, inner));
        self.messages.insert(name, one);
    }

    /// Adds a message or an enumeration and all that it contains.
    fn reach(&self, name: &str, used: &mut BTreeSet<String>) {
        if used.insert(name.to_owned()) {
            let fields = self.messages.get(name).into_iter().flat_map(|message| &message.field);
            fields
                .filter(|field| field.type_name.is_some())
                .for_each(|field| self.reach(field.type_name(), used));
        }
    }

    /// The name of the static of a message or an enumeration.
    fn id(&self, name: &str) -> Result<String, String> {
        let message = self.messages.keys().position(|one| one == name).map(|number| format!("M{number}"));
        let id = message
            .or_else(|| self.enums.keys().position(|one| one == name).map(|number| format!("E{number}")));
        id.ok_or_else(|| format!("{name} is declared nowhere"))
    }

    fn field(
        &self,
        scope: &str,
        of: &DescriptorProto,
        field: &FieldDescriptorProto,
    ) -> Result<String, String> {
        let kind = match field.r#type() {
            Type::Bool => "Bool".to_string(),
            Type::Int32 => "Int32".to_string(),
            Type::Int64 => "Int64".to_string(),
            Type::Uint32 => "Uint32".to_string(),
            Type::Uint64 => "Uint64".to_string(),
            Type::String => "String".to_string(),
            Type::Bytes => "Bytes".to_string(),
            Type::Enum => format!("Enum(&{})", self.id(field.type_name())?),
            Type::Message => format!("Message(&{})", self.id(field.type_name())?),
            other => return Err(format!("{scope}.{}: JSON of {other:?} is not implemented", field.name())),
        };
        let oneof = match field.oneof_index.and_then(|index| of.oneof_decl.get(index as usize)) {
            Some(oneof) => format!("Some({:?})", format!("{}.{}", &scope[1..], oneof.name())),
            None => "None".to_string(),
        };
        let label = format!("\"{}\":", field.name());
        Ok(format!(
            "Field {{ number: {}, name: {:?}, json_name: {:?}, label: {label:?}, kind: Kind::{kind}, repeated: {}, oneof: {oneof} }}, ",
            field.number(),
            field.name(),
            field.json_name(),
            field.label() == Label::Repeated,
        ))
    }
}
