//! Examples of every command: they come first in its `--help`, and are in kvctl(1).

use clap::Command;

/// Of kvctl as a whole.
const FIRST: &str = "kvctl put /app/name value\nkvctl get /app/ --prefix\nkvctl watch /app/ --prefix\nkvctl status\n\
                     kvctl doctor\nkvctl snapshot save backup.db";

/// Commands with their whole names, and one or more lines.
const EXAMPLES: &[(&str, &str)] = &[
    ("reload", "kvd check && kvctl reload"),
    ("log-level", "kvctl log-level debug"),
    ("rebuild", "kvctl rebuild"),
    (
        "put",
        "kvctl put /app/name value\nkvctl put /app/settings < settings.json\nkvctl put /app/lock me --lease=32695410dcc0ca06",
    ),
    (
        "get",
        "kvctl get /app/name\nkvctl get /app/ --prefix --keys-only\nkvctl get --glob '/app/*/port'\n\
         kvctl get /app/name --rev=1200\nkvctl get /app/ --prefix -w yaml --text",
    ),
    ("del", "kvctl del /app/name\nkvctl del /app/cache/ --prefix\nkvctl del --glob '/app/*/cache/**'"),
    ("txn", "kvctl txn <<'END'\nversion(\"/app/owner\") = \"0\"\n\nput /app/owner me\n\nget /app/owner\nEND"),
    ("compaction", "kvctl compaction 120000\nkvctl compaction 120000 --physical"),
    (
        "watch",
        "kvctl watch /app/ --prefix\nkvctl watch /app/ --prefix --rev=1200\nkvctl watch --glob '/app/*/port'\n\
         kvctl watch /app/name -- sh -c 'echo $ETCD_WATCH_VALUE'",
    ),
    ("lease grant", "kvctl lease grant 60"),
    ("lease revoke", "kvctl lease revoke 32695410dcc0ca06"),
    ("lease timetolive", "kvctl lease timetolive 32695410dcc0ca06 --keys"),
    ("lease list", "kvctl lease list"),
    ("lease keep-alive", "kvctl lease keep-alive 32695410dcc0ca06"),
    ("lock", "kvctl lock nightly ./nightly-job\nkvctl lock nightly --ttl=30 -- ./nightly-job --all"),
    ("elect", "kvctl elect leader $HOSTNAME\nkvctl elect leader --listen"),
    (
        "make-mirror",
        "kvctl make-mirror new:2379 --endpoints=old:2379\nkvctl make-mirror new:2379 --prefix=/app/ --dest-prefix=/copy/",
    ),
    ("endpoint health", "kvctl endpoint health --cluster\nkvctl endpoint health --cluster --wait=2m"),
    ("endpoint status", "kvctl endpoint status --cluster -w table"),
    ("endpoint hashkv", "kvctl endpoint hashkv --cluster"),
    ("member add", "kvctl member add node4 --peer-urls=http://10.0.0.4:2380 --learner"),
    ("member remove", "kvctl member remove 8e9e05c52164694d"),
    ("member update", "kvctl member update 8e9e05c52164694d --peer-urls=http://10.0.0.9:2380"),
    ("member list", "kvctl member list -w table"),
    ("member promote", "kvctl member promote 8e9e05c52164694d"),
    ("alarm list", "kvctl alarm list"),
    ("alarm disarm", "kvctl alarm disarm"),
    ("defrag", "kvctl defrag --cluster --command-timeout=1m"),
    ("move-leader", "kvctl move-leader 8e9e05c52164694d"),
    ("snapshot save", "kvctl snapshot save /backup/kv-$(date +%F).db"),
    ("snapshot status", "kvctl snapshot status /backup/kv-2026-01-31.db -w table"),
    (
        "snapshot restore",
        "kvctl snapshot restore /backup/kv-2026-01-31.db --name=m1 --data-dir=/var/lib/kv/m1 \\\n    \
         --initial-cluster=m1=http://10.0.0.1:2380 --initial-advertise-peer-urls=http://10.0.0.1:2380",
    ),
    ("downgrade validate", "kvctl downgrade validate 3.6"),
    ("downgrade enable", "kvctl downgrade enable 3.6"),
    ("downgrade cancel", "kvctl downgrade cancel"),
    ("upgrade status", "kvctl upgrade status"),
    ("backup list", "kvctl backup list\nkvctl backup list /backup -w json"),
    ("backup verify", "kvctl backup verify\nkvctl backup verify /backup/kv-2026-01-31.db"),
    ("backup now", "kvctl backup now"),
    (
        "migrate etcd-data",
        "kvctl migrate etcd-data /var/lib/etcd/default --name=m1 --data-dir=/var/lib/kv/m1 \\\n    \
         --initial-cluster=m1=http://10.0.0.1:2380 --initial-advertise-peer-urls=http://10.0.0.1:2380",
    ),
    ("recover plan", "kvctl recover plan /var/lib/kv/m1 /mnt/m2"),
    ("recover apply", "kvctl recover apply /var/lib/kv/m1 /mnt/m2 --data-dir=/var/lib/kv/new"),
    (
        "recover salvage",
        "kvctl recover salvage /var/lib/kv/m1 saved.db\nkvctl snapshot restore saved.db --data-dir=/var/lib/kv/new \\\n    \
         --bump-revision=1000000000 --mark-compacted",
    ),
    ("auth enable", "kvctl user add root\nkvctl auth enable"),
    ("auth disable", "kvctl auth disable --user=root"),
    ("auth status", "kvctl auth status"),
    ("user add", "kvctl user add alice\nkvctl user add --no-password machine"),
    ("user delete", "kvctl user delete alice"),
    ("user get", "kvctl user get alice --detail"),
    ("user list", "kvctl user list"),
    ("user passwd", "kvctl user passwd alice"),
    ("user grant-role", "kvctl user grant-role alice app"),
    ("user revoke-role", "kvctl user revoke-role alice app"),
    ("role add", "kvctl role add app"),
    ("role delete", "kvctl role delete app"),
    ("role get", "kvctl role get app"),
    ("role list", "kvctl role list"),
    ("role grant-permission", "kvctl role grant-permission app readwrite /app/ --prefix"),
    ("role revoke-permission", "kvctl role revoke-permission app /app/ --prefix"),
    ("version", "kvctl version"),
    ("completion", "kvctl completion bash > /etc/bash_completion.d/kvctl"),
    ("check perf", "kvctl check perf --load=m"),
    ("check datascale", "kvctl check datascale --load=s --auto-compact"),
    ("space", "kvctl space\nkvctl space /registry/ --depth=2"),
    (
        "diff",
        "kvctl diff http://old:2379 http://new:2379\nkvctl diff backup.db 10.0.0.1:2379 --prefix=/app/\n\
         kvctl diff http://old:2379 https://new:2379 --dest-cacert=ca.pem --dest-user=root:secret\n\
         kvctl diff monday.db friday.db -w json --text",
    ),
    ("edit", "kvctl edit /app/settings.json\nEDITOR='code --wait' kvctl edit /app/settings.json"),
    ("top", "kvctl top\nkvctl top --hot --interval=5s"),
    ("doctor", "kvctl doctor"),
    ("status", "kvctl status"),
    ("options", "kvctl options"),
];

/// The examples of a command.
pub(in crate::ctl) fn of(path: &str) -> Option<&'static str> {
    EXAMPLES.iter().find(|(name, _)| *name == path).map(|(_, lines)| *lines)
}

/// Puts examples before everything but the description in the help of all commands.
pub(super) fn shown(root: Command) -> Command {
    let root = root.mut_subcommands(|command| below("", command));
    with(root, FIRST)
}

fn below(above: &str, command: Command) -> Command {
    let path = format!("{above}{}", command.get_name());
    if !command.has_subcommands() {
        return with(command, of(&path).unwrap_or_default());
    }
    let inner = format!("{path} ");
    let each = command.get_subcommands().filter_map(|leaf| of(&format!("{inner}{}", leaf.get_name())));
    let each: Vec<&str> = each.filter_map(|lines| lines.lines().next_back()).collect();
    let command = with(command, &each.join("\n"));
    command.mut_subcommands(|leaf| below(&inner, leaf))
}

fn with(command: Command, lines: &str) -> Command {
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    command.help_template(format!(
        "{{about-with-newline}}\nExamples:\n{lines}\n{{usage-heading}} {{usage}}\n\n{{all-args}}{{after-help}}"
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;

    use super::*;
    use crate::ctl::arguments::{command, parse};

    fn leaves(above: &str, command: &Command) -> Vec<String> {
        let paths = command.get_subcommands().map(|inner| {
            let path = format!("{above}{}", inner.get_name());
            if inner.has_subcommands() { leaves(&format!("{path} "), inner) } else { vec![path] }
        });
        paths.flatten().collect()
    }

    #[test]
    fn every_command_has_an_example_and_every_example_a_command() {
        let commands: BTreeSet<String> = leaves("", &command()).into_iter().collect();
        let examples: BTreeSet<String> = EXAMPLES.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(commands, examples);
        assert_eq!(examples.len(), EXAMPLES.len(), "each once");
    }

    /// An example that kvctl refuses is worse than none.
    #[test]
    fn examples_are_understood_and_are_of_their_command() {
        let printed = ["completion", "options"];
        for (path, lines) in EXAMPLES {
            let joined = lines.replace("\\\n", " ").replace("$(date +%F)", "today");
            let mut own = 0;
            for line in joined.lines().filter_map(|line| Some(&line[line.find("kvctl ")?..])) {
                let line =
                    line.split(" < ").next().unwrap_or_default().split(" > ").next().unwrap_or_default();
                let line = line.split(" <<").next().unwrap_or_default();
                let words = crate::ctl::words::words(line).expect("words");
                let words =
                    words.into_iter().map(|word| OsString::from(String::from_utf8(word).expect("text")));
                let parsed = parse(words);
                assert_eq!(parsed.is_ok(), !printed.contains(path), "{line}: {parsed:?}");
                own += usize::from(line.starts_with(&format!("kvctl {path}")));
            }
            assert!(own > 0, "{path}");
            assert!(lines.lines().all(|line| line.len() <= 100), "{path}");
        }
        let help = parse(["kvctl", "get", "--help"].map(OsString::from)).expect_err("help").out;
        let (examples, usage) = (help.find("Examples:\n  kvctl get"), help.find("Usage: kvctl get"));
        assert!(examples.is_some() && examples < usage, "{help}");
    }
}
