//! `config/cluster.toml`: a valid single member, with an explanation of every option.

use super::wrap;
use crate::config::options::{self, GATES, OptionSpec, Section};
use crate::config::value::Value;

/// Options that the sample sets; all others are shown with their default, commented out.
const ACTIVE: [(&str, &str); 7] = [
    ("name", "\"kv1\""),
    ("data-dir", "\"/var/lib/kv\""),
    ("listen-client-urls", "[\"http://127.0.0.1:2379\"]"),
    ("listen-peer-urls", "[\"http://127.0.0.1:2380\"]"),
    ("initial-advertise-peer-urls", "[\"http://127.0.0.1:2380\"]"),
    ("advertise-client-urls", "[\"http://127.0.0.1:2379\"]"),
    ("initial-cluster-state", "\"new\""),
];

const HEAD: &str = "\
# cluster.toml: the configuration of kvd. As it stands it is a cluster of one member that listens on this machine only.
#
# Files in cluster.toml.d/*.toml are read after this one, in the order of their names; environment variables
# (/etc/kv/kvd.env) win over files, flags over both. `kvd check` tells whether all of it is good, `kvd config show
# --origin` what is in force and where it comes from. See cluster.toml(5).
#
# Lines that begin with `#` and a key show the default. [first start] marks what only counts while the data directory
# is empty.
";

/// The sample file's text.
pub fn sample() -> String {
    let mut text = HEAD.to_string();
    for section in Section::ALL {
        let top: Vec<&OptionSpec> =
            shown().filter(|s| s.section == section && !s.key.contains('.') && !is_table(s)).collect();
        if top.is_empty() {
            continue;
        }
        text.push_str(&format!("\n\n## {}\n", section.title()));
        for spec in top {
            text.push('\n');
            explain(&mut text, spec);
            text.push_str(&setting(spec));
        }
    }
    text.push_str("\n\n## Tables\n");
    cluster_table(&mut text);
    gates_table(&mut text);
    let mut tables: Vec<&str> = Vec::new();
    for (table, _) in shown().filter_map(|spec| spec.key.rsplit_once('.')) {
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    for table in tables {
        text.push_str(&format!("\n[{table}]\n"));
        for spec in shown() {
            if let Some((_, key)) = spec.key.rsplit_once('.').filter(|(its, _)| *its == table) {
                text.push('\n');
                explain(&mut text, spec);
                text.push_str(&setting(&OptionSpec { key, ..*spec }));
            }
        }
    }
    text
}

fn shown() -> impl Iterator<Item = &'static OptionSpec> {
    options::all().filter(|spec| spec.acts())
}

fn is_table(spec: &OptionSpec) -> bool {
    matches!(spec.kind, options::Kind::Cluster | options::Kind::Gates)
}

fn explain(text: &mut String, spec: &OptionSpec) {
    let help = format!("{}{}", spec.description(), spec.marks());
    for line in wrap(&help, 108) {
        text.push_str(&format!("# {line}\n"));
    }
}

fn setting(spec: &OptionSpec) -> String {
    if let Some((_, value)) = ACTIVE.iter().find(|(name, _)| *name == spec.name) {
        return format!("{} = {value}\n", spec.key);
    }
    let value = Value::parse(spec.kind, spec.default).map(|value| value.to_toml(spec.kind));
    format!("#{} = {}\n", spec.key, value.unwrap_or_default())
}

fn cluster_table(text: &mut String) {
    if let Some(spec) = options::find("initial-cluster") {
        text.push('\n');
        explain(text, spec);
        text.push_str("# One line for each member: its name, and its peer URL or an array of them.\n");
    }
    text.push_str("[initial-cluster]\n#kv1 = \"http://127.0.0.1:2380\"\n");
}

fn gates_table(text: &mut String) {
    if let Some(spec) = options::find("feature-gates") {
        text.push('\n');
        explain(text, spec);
    }
    text.push_str("[feature-gates]\n");
    for gate in &GATES {
        text.push_str(&format!("# {}\n#{} = {}\n", gate.help, gate.name, gate.default));
    }
}
