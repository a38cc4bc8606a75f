//! `--write-out json`: Go's encoding of etcd's structures.

use serde_json::Value;

use super::tree::{Node, Shown, member, shown};

/// The value without spaces.
pub(super) fn text(node: &Node, texts: bool) -> String {
    let mut text = String::new();
    write(node, texts, &mut text);
    text
}

fn write(node: &Node, texts: bool, out: &mut String) {
    match node {
        Node::Scalar(value) => out.push_str(&go(value)),
        Node::Bytes(bytes) => match shown(bytes, texts) {
            Shown::Text(text) => out.push_str(&go(&text.into())),
            Shown::NoText(text) => out.push_str(&format!("{{\"base64\":{}}}", go(&text.into()))),
        },
        Node::List(elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                write(element, texts, out);
            }
            out.push(']');
        }
        Node::Object(object) => {
            out.push('{');
            for (at, (name, node)) in object.0.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                match node {
                    Node::Bytes(bytes) => {
                        let (name, text) = member(name, bytes, texts);
                        out.push_str(&format!("\"{name}\":{}", go(&text.into())));
                    }
                    node => {
                        out.push_str(&format!("\"{name}\":"));
                        write(node, texts, out);
                    }
                }
            }
            out.push('}');
        }
    }
}

/// Go's encoder escapes `<`, `>` and `&`, because its texts may end up in HTML.
fn go(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::print::tree::Object;

    /// What is no text has another name than a text, so that a text that looks like base64 is not mistaken for it.
    #[test]
    fn texts_and_bytes_cannot_be_mixed_up() {
        let object = || {
            let keys = vec![Node::Bytes(b"a".to_vec()), Node::Bytes(vec![0xff])];
            let object = Object::default().bytes("key", b"Zm9v").bytes("value", &[0xff]).bytes("none", b"");
            object.with("keys", Node::List(keys))
        };
        let shown = |texts| text(&object().into(), texts);
        assert_eq!(shown(false), "{\"key\":\"Wm05dg==\",\"value\":\"/w==\",\"keys\":[\"YQ==\",\"/w==\"]}");
        assert_eq!(
            shown(true),
            "{\"key\":\"Zm9v\",\"value_base64\":\"/w==\",\"keys\":[\"a\",{\"base64\":\"/w==\"}]}"
        );
    }
}
