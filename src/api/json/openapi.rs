//! The description of the API (OpenAPI 3.0), made from the table of methods and the shapes of their messages.

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::schema::{Field, Kind, METHODS, Message, Method};
use crate::api::rules::{self, Access, Kind as Flow, Rule};
use crate::api::services::ETCD_VERSION;

/// Where it is served, for `GET`.
pub const PATH: &str = "/v3/openapi.json";

/// The description.
pub fn description() -> Bytes {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());
    TEXT.clone()
}

fn document() -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    schemas.insert("Status".into(), status());
    for method in METHODS {
        let Some(rule) = rules::find(method.path).filter(|rule| !rule.json.is_empty()) else { continue };
        add(method.request, &mut schemas);
        add(method.answer, &mut schemas);
        for (number, path) in rule.json.iter().enumerate() {
            paths.insert((*path).into(), json!({ "post": operation(rule, method, number) }));
        }
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "kvd",
            "description": format!(
                "etcd's v3 API (of {ETCD_VERSION}) as JSON. Requests may have the names of fields in lowerCamelCase, numbers \
                 of 64 bits as numbers, and enumerations by number; fields that are not set are left out of answers."
            ),
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "ApiKey": { "type": "apiKey", "in": "header", "name": "Authorization" } },
        },
    })
}

fn operation(rule: &Rule, method: &Method, number: usize) -> Value {
    let service = rule.service.rsplit('.').next().unwrap_or(rule.service);
    let suffix = if number == 0 { String::new() } else { format!("{}", number + 1) };
    let answer = match rule.kind {
        Flow::Unary => reference(method.answer),
        Flow::ServerStream | Flow::Bidirectional => json!({
            "type": "object",
            "properties": {
                "result": reference(method.answer),
                "error": { "$ref": "#/components/schemas/Status" },
            },
        }),
    };
    let described = match rule.kind {
        Flow::Unary => "The answer.",
        Flow::ServerStream | Flow::Bidirectional => {
            "A stream: an object a line, each with a result. If the last one has an error, the stream has failed."
        }
    };
    let request = match rule.kind {
        Flow::Unary | Flow::ServerStream => "The request.",
        Flow::Bidirectional => "A stream: any number of requests, one after the other.",
    };
    let status = json!({ "$ref": "#/components/schemas/Status" });
    json!({
        "operationId": format!("{service}_{}{suffix}", rule.method),
        "tags": [service],
        "security": if rule.access == Access::Anyone { json!([]) } else { json!([{ "ApiKey": [] }]) },
        "requestBody": {
            "description": request,
            "content": { "application/json": { "schema": reference(method.request) } },
        },
        "responses": {
            "200": { "description": described, "content": { "application/json": { "schema": answer } } },
            "default": { "description": "An error.", "content": { "application/json": { "schema": status } } },
        },
    })
}

fn reference(message: &Message) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", message.name) })
}

/// Adds the schemas of a message and of all that it contains.
fn add(message: &'static Message, schemas: &mut Map<String, Value>) {
    if schemas.contains_key(message.name) {
        return;
    }
    let properties = message.fields.iter().map(|field| (field.name.to_string(), property(field)));
    let properties: Map<String, Value> = properties.collect();
    schemas.insert(message.name.into(), json!({ "type": "object", "properties": properties }));
    for field in message.fields {
        if let Kind::Message(inner) = field.kind {
            add(inner, schemas);
        }
    }
}

fn property(field: &Field) -> Value {
    let one = match field.kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Int32 => json!({ "type": "integer", "format": "int32" }),
        Kind::Uint32 => json!({ "type": "integer", "format": "int64" }),
        Kind::Int64 => json!({ "type": "string", "format": "int64" }),
        Kind::Uint64 => json!({ "type": "string", "format": "uint64" }),
        Kind::String => json!({ "type": "string" }),
        Kind::Bytes => json!({ "type": "string", "format": "byte" }),
        Kind::Enum(names) => {
            let names: Vec<&str> = names.values.iter().map(|(name, _)| *name).collect();
            json!({ "type": "string", "enum": names })
        }
        Kind::Message(message) => reference(message),
    };
    if field.repeated { json!({ "type": "array", "items": one }) } else { one }
}

fn status() -> Value {
    json!({
        "type": "object",
        "properties": {
            "code": { "type": "integer", "format": "int32", "description": "The code of gRPC." },
            "message": { "type": "string" },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::rules::RULES;

    /// All values of `$ref` in a document.
    fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document: Value = serde_json::from_slice(&description()).expect("JSON");
        let described: BTreeSet<&str> =
            document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
        let routes: BTreeSet<&str> = RULES.iter().flat_map(|rule| rule.json).copied().collect();
        assert_eq!(described, routes);
        let operations: BTreeSet<String> = described
            .iter()
            .map(|path| document["paths"][*path]["post"]["operationId"].to_string())
            .collect();
        assert_eq!(operations.len(), routes.len(), "names of operations are unique");
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("a place in the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let put = &document["components"]["schemas"]["etcdserverpb.PutRequest"]["properties"];
        assert_eq!(put["lease"], json!({ "type": "string", "format": "int64" }));
        assert_eq!(put["value"]["format"], "byte");
        let watch = &document["paths"]["/v3/watch"]["post"]["responses"]["200"]["content"];
        let result = &watch["application/json"]["schema"]["properties"]["result"]["$ref"];
        assert_eq!(result, "#/components/schemas/etcdserverpb.WatchResponse");
        assert_eq!(document["paths"]["/v3/auth/authenticate"]["post"]["security"], json!([]));
    }
}
