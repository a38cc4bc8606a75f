//! Command lines as in the documentation: words, quotes, variables.

use std::collections::BTreeMap;

/// A command line in parts.
#[derive(Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// Assignments in front of the program.
    pub env: Vec<(String, String)>,
    pub program: String,
    pub args: Vec<String>,
    /// It ends with `&`.
    pub background: bool,
}

/// Splits a command line. `$NAME` and `${NAME}` are replaced by variables outside single quotes.
pub fn parse(line: &str, variables: &BTreeMap<String, String>) -> CommandLine {
    let mut words = words(line, variables);
    let background = words.last().is_some_and(|word| word == "&");
    if background {
        words.pop();
    }
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let assignments =
        words.iter().take_while(|word| word.split_once('=').is_some_and(|(name, _)| is_name(name)));
    let count = assignments.count();
    let mut rest = words.split_off(count).into_iter();
    let env =
        words.iter().filter_map(|word| word.split_once('=')).map(|(n, v)| (n.into(), v.into())).collect();
    let program = rest.next().unwrap_or_else(|| panic!("no program in {line:?}"));
    CommandLine { env, program, args: rest.collect(), background }
}

fn words(line: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' if quote.is_none() => {
                quote = Some(c);
                word.get_or_insert_with(String::new);
            }
            c if quote == Some(c) => quote = None,
            ' ' if quote.is_none() => words.extend(word.take()),
            '$' if quote != Some('\'') => {
                let braces = chars.next_if_eq(&'{').is_some();
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                assert!(!braces || chars.next() == Some('}'), "a brace is not closed in {line:?}");
                let value =
                    variables.get(&name).unwrap_or_else(|| panic!("nobody has set {name} in {line:?}"));
                word.get_or_insert_with(String::new).push_str(value);
            }
            c => word.get_or_insert_with(String::new).push(c),
        }
    }
    assert!(quote.is_none(), "a quote is not closed in {line:?}");
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_documents() {
        let variables = BTreeMap::from([("NODE01".to_string(), "192.168.0.61".to_string())]);
        let line = "ETCD_NAME=\"new h102\"   etcd --name node01 -x http://${NODE01}:2380,'$y' &";
        let parsed = parse(line, &variables);
        assert_eq!(parsed.env, [("ETCD_NAME".into(), "new h102".into())]);
        assert_eq!(parsed.program, "etcd");
        assert_eq!(parsed.args, ["--name", "node01", "-x", "http://192.168.0.61:2380,$y"]);
        assert!(parsed.background);
        assert!(!parse("etcdctl get --from-key ''", &variables).background);
        assert_eq!(parse("etcdctl get --from-key ''", &variables).args, ["get", "--from-key", ""]);
    }
}
