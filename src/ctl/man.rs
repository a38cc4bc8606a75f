//! kvctl(1), generated from the commands and flags that the parser uses.

use clap::{Arg, Command};

use super::arguments::examples;

use crate::config::render::{Page, escape};

/// The page.
pub fn page() -> String {
    let mut command = super::command();
    command.build();
    let mut page = Page::new("KVCTL", "1", "User Commands");
    page.section("NAME").text("kvctl - the client of kvd, with etcdctl's commands and output");
    page.section("SYNOPSIS");
    page.raw(".B kvctl\n[\\fIFLAG\\fR]... \\fICOMMAND\\fR [\\fIARGUMENT\\fR]...\n");
    page.section("DESCRIPTION").text(DESCRIPTION).text(LOCAL);
    page.section("COMMANDS");
    for (path, command) in leaves(&command) {
        page.item(&format!("\\fB{}\\fR{}", escape(&path), escape(&usage(command))));
        page.text(&format!("{}.", command.get_about().map(ToString::to_string).unwrap_or_default()));
        if let Some(more) = command.get_after_help() {
            page.raw(".IP\n").raw(&format!("{}\n", escape(&more.to_string())));
        }
        if let Some(lines) = examples::of(&path) {
            let lines: String = lines.lines().map(|line| format!("{}\n", escape(line))).collect();
            page.raw(&format!(".IP\n.EX\n{lines}.EE\n"));
        }
        page.raw(".RS\n");
        for argument in own(command) {
            item(&mut page, argument);
        }
        page.raw(".RE\n");
    }
    page.section("FLAGS").text("All commands accept them, before or after the command.");
    for argument in command.get_arguments().filter(|argument| argument.is_global_set()) {
        item(&mut page, argument);
    }
    page.section("ENVIRONMENT").text(ENVIRONMENT);
    page.section("FILES").item("\\fI/etc/kv/cluster.toml\\fR").text(FILE);
    page.item("\\fI/run/kv/admin.sock\\fR").text("The daemon's socket, for reload.");
    page.section("EXIT STATUS");
    for (status, help) in EXIT_STATUS {
        page.item(status).text(help);
    }
    page.section("EXAMPLES");
    for (help, lines) in EXAMPLES {
        page.text(help).verbatim(lines);
    }
    page.section("SEE ALSO").raw(".BR kvd (8),\n.BR cluster.toml (5),\n.BR systemctl (1)\n");
    page.finish()
}

const DESCRIPTION: &str = "kvctl connects to members of a kvd or etcd cluster. Commands, flags, variables, formats and exit \
    codes are etcdctl's; commands may be abbreviated as long as they stay unambiguous (kvctl mem li). In addition it \
    finds the kvd on its own machine, can wait, says what to do about a failure, and asks on a terminal before what \
    cannot be undone (--yes: without a question).";

const LOCAL: &str = "On a member's machine no flag is needed: endpoint and TLS files are taken from the member's \
    configuration, if the user may read it (root and the group kv). Without TLS kvctl uses the member's loopback \
    listener, with TLS its advertised URL, because the certificate is issued for that name.";

const ENVIRONMENT: &str = "KVCTL_ENDPOINTS, KVCTL_CACERT and so on replace the flags; ETCDCTL_ENDPOINTS and so on, too. \
    A flag has priority over KVCTL_, and that over ETCDCTL_ (etcdctl refuses a flag together with its variable). An \
    empty variable counts as not set. KVCTL_USER and KVCTL_PASSWORD keep a password off the command line, which others \
    may see. KVCTL_ADMIN_SOCKET and KVD_ADMIN_SOCKET name the daemon's socket. VISUAL or EDITOR is \
    the editor of kvctl edit, and TMPDIR where its text is meanwhile, and what kvctl diff has to sort. With NO_COLOR kvctl \
    top has no colours; nothing else has any.";

const FILE: &str = "The configuration of the member on this machine, with its drop-ins. Not read if --endpoints or its \
    variable is given.";

const EXIT_STATUS: [(&str, &str); 9] = [
    ("0", "Done."),
    (
        "1",
        "A request failed, a member is not healthy, a configuration was refused, or the command line is wrong.",
    ),
    ("2", "The user or password is wrong, or a lease could not be read or renewed."),
    ("3", "A transaction cannot be understood."),
    ("4", "The command does not have that format or consistency."),
    ("5", "A snapshot could not be fetched."),
    ("6", "What kvctl recover salvage has saved is not everything."),
    ("128", "The number or value of the arguments is wrong."),
    ("255", "A signal ended a prompt."),
];

const EXAMPLES: [(&str, &str); 14] = [
    ("Is the member on this machine healthy?", "kvctl endpoint health"),
    (
        "All members of a cluster as a table:",
        "kvctl --endpoints=https://10.0.0.1:2379 --cacert=/etc/kv/tls/ca.pem \\
    endpoint status --cluster -w table",
    ),
    ("The whole cluster on one screen, and what is going to be a problem:", "kvctl status\nkvctl doctor"),
    (
        "Which prefixes take the space, live and in the history:",
        "kvctl space\nkvctl space /registry/ --depth=2",
    ),
    ("Is it safe to exchange the program of one more member?", "kvctl upgrade status"),
    ("Is the cluster fast enough for 1000 writes a second?", "kvctl check perf --load=m"),
    ("In a script, after all members were started:", "kvctl endpoint health --cluster --wait=2m"),
    ("After a change of /etc/kv/cluster.toml:", "kvd check && systemctl reload kvd"),
    ("A key, and all keys of a directory:", "kvctl put /app/name value\nkvctl get /app/ --prefix"),
    ("A backup that everything behind it waits for:", "kvctl snapshot save /backup/kv-$(date +%F).db"),
    (
        "A member of a new cluster from it:",
        "kvctl snapshot status /backup/kv-2026-01-31.db\n\
         kvctl snapshot restore /backup/kv-2026-01-31.db --name=m1 --data-dir=/var/lib/kv/m1 \\\n    \
         --initial-cluster=m1=http://10.0.0.1:2380 --initial-advertise-peer-urls=http://10.0.0.1:2380",
    ),
    (
        "A member from the data of an etcd that is stopped:",
        "kvctl migrate etcd-data /var/lib/etcd/default --name=m1 --data-dir=/var/lib/kv/m1 \\\n    \
         --initial-cluster=m1=http://10.0.0.1:2380 --initial-advertise-peer-urls=http://10.0.0.1:2380",
    ),
    (
        "Users: root first, then one who may read and write below /app/:",
        "kvctl user add root\nkvctl role add app\nkvctl role grant-permission app readwrite /app/ --prefix\n\
         kvctl user add alice\nkvctl user grant-role alice app\nkvctl auth enable",
    ),
    (
        "As that user, without the password in the list of processes:",
        "KVCTL_USER=alice KVCTL_PASSWORD=\"$(cat ~/.kv)\" kvctl get /app/ --prefix",
    ),
];

/// The commands without subcommands, with their whole names.
fn leaves(command: &Command) -> Vec<(String, &Command)> {
    let mut found = Vec::new();
    let commands =
        command.get_subcommands().filter(|command| command.get_name() != "help" && !command.is_hide_set());
    for command in commands {
        if command.has_subcommands() {
            let inner = leaves(command).into_iter();
            found.extend(inner.map(|(path, leaf)| (format!("{} {path}", command.get_name()), leaf)));
        } else {
            found.push((command.get_name().to_string(), command));
        }
    }
    found
}

/// A command's flags without the ones that all commands have.
fn own(command: &Command) -> impl Iterator<Item = &Arg> {
    let flags = command.get_arguments().filter(|argument| argument.get_long().is_some());
    flags.filter(|argument| !argument.is_global_set() && argument.get_id() != "help")
}

fn usage(command: &Command) -> String {
    let flags = own(command).map(|argument| format!(" [--{}]", argument.get_long().unwrap_or_default()));
    let arguments = command.get_arguments().filter(|argument| argument.is_positional());
    let arguments = arguments.flat_map(|argument| argument.get_value_names().into_iter().flatten());
    let arguments = arguments.filter(|name| !name.is_empty()).map(|name| format!(" {name}"));
    flags.chain(arguments).collect()
}

fn item(page: &mut Page, argument: &Arg) {
    let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let name = format!("{short}--{}", argument.get_long().unwrap_or_default());
    let takes = argument.get_action().takes_values();
    let value = argument.get_value_names().and_then(<[_]>::first).filter(|_| takes);
    let value = value.map(|value| match argument.is_require_equals_set() {
        true => format!("[=\\fI{}\\fR]", escape(value)),
        false => format!(" \\fI{}\\fR", escape(value)),
    });
    page.item(&format!("\\fB{}\\fR{}", escape(&name), value.unwrap_or_default()));
    page.text(&format!("{}.", argument.get_help().map(ToString::to_string).unwrap_or_default()));
}
