//! kvd(8) and cluster.toml(5).

use super::limits::LIMITS;
use crate::config::options::{self, Effect, GATES, Kind, OptionSpec, Section};

/// kvd(8).
pub fn man_kvd() -> String {
    let mut page = Page::new("KVD", "8", "System Manager's Manual");
    page.section("NAME").text("kvd - a strongly consistent key-value store that speaks etcd's protocols");
    page.section("SYNOPSIS");
    page.raw(".B kvd\n[\\fIOPTION\\fR]...\n.br\n.B kvd check\n[\\fB--json\\fR] [\\fIOPTION\\fR]...\n.br\n");
    page.raw(".B kvd config show\n[\\fB--origin\\fR] [\\fIOPTION\\fR]...\n.br\n.B kvd config diff\n[\\fIFILE\\fR] [\\fIOPTION\\fR]...\n.br\n");
    page.raw(".B kvd config from-etcd\n\\fIFILE\\fR\n.br\n.B kvd config dropin\n[\\fIOPTION\\fR]...\n.br\n.B kvd secret new\n[\\fIFILE\\fR]\n.br\n");
    page.raw(".B kvd completion\n\\fIbash\\fR|\\fIzsh\\fR|\\fIfish\\fR|\\fIpowershell\\fR\n");
    page.section("DESCRIPTION").text(DESCRIPTION);
    page.section("COMMANDS");
    for (command, help) in COMMANDS {
        page.item(&format!("\\fB{}\\fR", escape(command))).text(help);
    }
    page.section("OPTIONS").text(FLAG_SYNTAX);
    for section in Section::ALL.into_iter().filter(|section| *section != Section::Retired) {
        page.sub_section(section.title());
        for spec in
            options::all().filter(|spec| spec.section == section && matches!(spec.effect, Effect::Acts))
        {
            flag(&mut page, spec);
        }
    }
    page.sub_section("Accepted without effect");
    page.text("These change nothing here and are accepted with a warning, so that command lines written for etcd work:");
    page.text(&names(|spec| matches!(spec.effect, Effect::Ignored(_)) && !spec.key.is_empty()));
    page.sub_section("Former names");
    page.text("These act as the option or feature gate behind them:");
    for spec in options::all() {
        let now = match spec.effect {
            Effect::Alias(now) => format!("--{now}"),
            Effect::GateAlias(gate) => format!("--feature-gates={gate}=..."),
            _ => continue,
        };
        page.item(&format!("\\fB{}\\fR", escape(&format!("--{}", spec.name)))).text(&now);
    }
    page.section("ENVIRONMENT").text(ENVIRONMENT);
    page.section("FILES");
    for (file, help) in FILES {
        page.item(&format!("\\fI{}\\fR", escape(file))).text(help);
    }
    page.section("SIGNALS").text(SIGNALS);
    page.section("SYSTEMD");
    for paragraph in SYSTEMD {
        page.text(paragraph);
    }
    page.section("THE V2 API");
    V2.iter().for_each(|text| _ = page.text(text));
    page.section("LIMITS").text(LIMITS_HELP);
    for limit in LIMITS {
        let option = match limit.option {
            "" => String::new(),
            option => format!(" Set by --{option}."),
        };
        page.item(&escape(limit.what)).text(&format!("{}.{option}", limit.most));
    }
    page.section("EXIT STATUS");
    for (status, help) in EXIT_STATUS {
        page.item(status).text(help);
    }
    page.section("EXAMPLES");
    for (help, lines) in EXAMPLES {
        page.text(help).verbatim(lines);
    }
    page.section("SEE ALSO").raw(".BR cluster.toml (5),\n.BR kvctl (1),\n.BR systemctl (1)\n");
    page.finish()
}

/// cluster.toml(5).
pub fn man_toml() -> String {
    let mut page = Page::new("CLUSTER.TOML", "5", "File Formats Manual");
    page.section("NAME").text("cluster.toml - the configuration of kvd");
    page.section("SYNOPSIS").raw(".I /etc/kv/cluster.toml\n.br\n.I /etc/kv/cluster.toml.d/*.toml\n");
    page.section("DESCRIPTION");
    for paragraph in FILE_DESCRIPTION {
        page.text(paragraph);
    }
    page.section("VALUES");
    for (what, help) in VALUES {
        page.item(&escape(what)).text(help);
    }
    for section in Section::ALL {
        let specs: Vec<&OptionSpec> =
            options::all().filter(|spec| spec.section == section && spec.acts()).collect();
        if specs.is_empty() {
            continue;
        }
        page.section(&section.title().to_uppercase());
        for spec in specs {
            key(&mut page, spec);
        }
    }
    page.section("FEATURE GATES")
        .text("Keys of the table [feature-gates]; AllAlpha and AllBeta stand for the gates of a stage.");
    for gate in &GATES {
        let stage = format!("{:?}, {}.", gate.stage, if gate.default { "on" } else { "off" }).to_lowercase();
        page.item(&format!("\\fB{}\\fR", gate.name))
            .text(&format!("{} ({stage})", gate.help).replace(".)", ")"));
    }
    page.section("CERTIFICATES");
    for paragraph in CERTIFICATES {
        page.text(paragraph);
    }
    page.section("DIFFERENCES FROM ETCD");
    for paragraph in DIFFERENCES {
        page.text(paragraph);
    }
    page.section("SEE ALSO").raw(".BR kvd (8),\n.BR kvctl (1)\n");
    page.finish()
}

const DESCRIPTION: &str = "kvd is one member of a cluster. It serves clients on port 2379/tcp as etcd does, and talks \
    to other members by QUIC with mutual TLS on port 2380/udp. Without options it is a cluster of one member that \
    listens on this machine.";

const COMMANDS: [(&str, &str); 7] = [
    (
        "kvd check [--json]",
        "Reads files, environment and the given options, prints everything that is wrong with them, and exits with 78 if that is an error. Certificates, keys and secrets are opened as a start opens them. Nothing is started. Run by root on a machine with kvd.service, it does what the service would do: it reads kvd.env and the credential kvd.cluster-secret as systemd does, everything else as user kv, and reports what the unit hides from the service.",
    ),
    (
        "kvd config show [--origin] [--json]",
        "Prints the values in force as TOML, each with where it comes from. Secrets are masked.",
    ),
    (
        "kvd config diff [FILE]",
        "Prints what differs from the defaults, or from the file, and what a change takes.",
    ),
    (
        "kvd config from-etcd FILE",
        "Turns etcd's etcd.conf.yml (YAML or JSON) or /etc/default/etcd (lines ETCD_NAME=value) into a cluster.toml on standard output, with comments on settings that kvd does not have.",
    ),
    (
        "kvd config dropin",
        "As root: allows kvd.service to write to the directories of data-dir, wal-dir and log-outputs outside of /var/lib/kv, with a drop-in for the unit, and makes missing ones.",
    ),
    (
        "kvd secret new [FILE]",
        "Makes a secret for a new cluster: in the file, which only its owner can read and which must not exist, or on standard output. Every member needs a copy.",
    ),
    (
        "kvd completion SHELL",
        "Prints the script that completes command lines in a shell. The packages install those of bash, zsh and fish.",
    ),
];

const FLAG_SYNTAX: &str = "Options are written as in etcd: with one dash or two, and with the value after an equals \
    sign or as the next argument. A boolean takes its value only after an equals sign (--pre-vote=false). The last of \
    several counts. Durations are Go's (1h30m, 100ms). Each option is also an environment variable and, unless it says \
    otherwise, a key in cluster.toml; a flag has priority over a variable, a variable over a file, and all of them are \
    merged option by option.";

const ENVIRONMENT: &str = "ETCD_NAME, ETCD_DATA_DIR and so on: etcd's options in capitals with underscores. KVD_... are \
    kvd's own. An empty variable counts as not set, an unknown one causes a warning. KVD_CONFIG_FILE and ETCD_CONFIG_FILE \
    name the configuration file. STATE_DIRECTORY, RUNTIME_DIRECTORY and CREDENTIALS_DIRECTORY are used as systemd sets \
    them.";

const FILES: [(&str, &str); 4] = [
    ("/etc/kv/cluster.toml", "The configuration; may be missing. See cluster.toml(5)."),
    ("/etc/kv/cluster.toml.d/*.toml", "Read after it, in the order of their names."),
    (
        "/etc/kv/kvd.env",
        "Environment variables for the systemd unit. kvd check and kvd config read them, too, unless --config-file names another file than the service's.",
    ),
    ("/var/lib/kv", "The data directory of the systemd unit."),
];

const SIGNALS: &str = "SIGTERM and SIGINT transfer leadership, close connections, make everything durable and stop. \
    SIGHUP reads the configuration again, as kvctl reload does.";

const SYSTEMD: [&str; 4] = [
    "kvd.service is ready as soon as the data are open and the sockets bound: it does not wait for other members, so \
     that several can be started one after another. systemctl status shows the rest: role, number of reachable \
     members, alarms. A unit that needs a cluster that answers is ordered after kvd-wait-ready.service.",
    "systemctl reload kvd reads the configuration again. Options marked [reload] and the contents of TLS files \
     take effect; options that need a restart are named. A configuration with errors is refused with its findings, \
     the reload fails, and kvd keeps the present one. systemd reads the environment file only at a start.",
    "systemctl restart kvd refuses no client: systemd keeps the listening sockets, and connections wait in them. \
     With kvd.socket, which is not enabled by default, systemd opens the sockets itself. The watchdog checks raft \
     and the state machine, not the disk.",
    "In the journal each line contains its details, which are also fields of the entry; journalctl -x -u kvd explains the lines on which an operator has to act.",
];

/// What `--enable-v2` serves.
const V2: [&str; 5] = [
    "kvd serves etcd's v2 API as etcd 3.4 does: nodes (/v2/keys), members (/v2/members, /v2/machines) and figures \
     (/v2/stats), for programs of that time and for etcdctl 3.4 with ETCDCTL_API=2. --enable-v2=false leaves it out.",
    "Its keys are in a tree of their own, which the v3 API does not see. They are replicated, durable, in the snapshots that \
     members send each other and part of the space quota; they are in memory as well, up to 64 MiB. As with etcd they are \
     not in a backup (etcdctl or kvctl snapshot save). etcdctl backup reads an etcd's data directory and finds none in kvd's.",
    "A wait finds the last 1000 changes, or 16 MiB of them. A node with a time to live ends by the leader's clock, since \
     clients see its end as a time of day: the members' clocks should agree. After a change of the leader it ends \
     earlier, or later, by as much as the clocks of both leaders differ.",
    "The tree knows nothing of v3's users. While authentication is on, the v2 API is for the role root alone, by a token \
     in the header Authorization or by a client's certificate; others are refused with 401 (error 110). Users of the v2 API \
     (/v2/auth) do not exist: their lists are empty, and what would make one is refused.",
    "A path may have 1800 bytes and 256 names, and a time to live 9000000000 seconds. Members of kvd before this version stop at the first \
     change of the tree: start all of them anew before it is used.",
];

const LIMITS_HELP: &str = "No client and no member can make kvd grow without bound. What follows are the bounds, and what \
    happens beyond them. Without an option a bound is fixed.";

const EXIT_STATUS: [(&str, &str); 6] = [
    ("0", "Stopped on request, or the member was removed from its cluster."),
    ("1", "The start failed, or the member could not continue."),
    (
        "65",
        "Identity, log and state do not belong together, or one of them is missing: usually a disk is not mounted. \
         systemd does not restart it.",
    ),
    ("74", "Log or store can no longer be trusted: the disk failed."),
    (
        "77",
        "The cluster refuses this member: it was removed, its data are a copy of a running member's or an older \
         copy of its own, it does not have the same secret, or it may not join. systemd does not restart it.",
    ),
    (
        "78",
        "The configuration or the command line is wrong, or a certificate, key or secret that it names cannot be used, or its unit does not let it write to a directory that the configuration names (etcd: 1 and 2). systemd does not restart it.",
    ),
];

const EXAMPLES: [(&str, &str); 5] = [
    ("A member on this machine, started by hand:", "kvd --name one --data-dir /tmp/one"),
    ("The installed service, after an edit of its one file:", "kvd check && systemctl enable --now kvd"),
    (
        "A cluster of three: the same secret on all of them, and on each a file like /usr/share/doc/kvd/examples/three-members.toml:",
        "kvd secret new /etc/kv/secret\nsystemctl enable --now kvd\nkvctl endpoint status --cluster -w table",
    ),
    (
        "From Debian's etcd-server on the same machine: its settings as a cluster.toml; settings that kvd does not have become comments. Then its data, once it is stopped (see kvctl(1) for the flags of another name or address than etcd's defaults):",
        "kvd config from-etcd /etc/default/etcd > /etc/kv/cluster.toml\nkvd check\nkvctl migrate etcd-data /var/lib/etcd/default --data-dir=/var/lib/kv",
    ),
    ("What is in force, and where it comes from:", "kvd config show --origin"),
];

const FILE_DESCRIPTION: [&str; 3] = [
    "The file is TOML. Every key is an option of kvd(8) without its dashes; some stand in tables, which are etcd's. A missing file is as good as an empty one, unless it is named by --config-file. After it, all *.toml of the directory of the same name with .d are read in the order of their names; a later key wins over an earlier one. Environment variables win over files, flags over variables, option by option.",
    "An unknown key is an error, and so is a value of another type. `kvd check` prints all findings with file, line and column.",
    "Options marked [reload] are brought into force by a reload, others by a restart. Options marked [first start] only count while the data directory is empty.",
];

const VALUES: [(&str, &str); 6] = [
    (
        "durations",
        "Strings as in Go: \"1h30m\", \"100ms\". A number counts nanoseconds, as in etcd's file; heartbeat-interval and election-timeout count milliseconds and auth-token-ttl seconds, and take strings as well.",
    ),
    (
        "lists",
        "Arrays of strings, or one string with commas. Lists of URLs are sorted and doubles dropped, as in etcd.",
    ),
    (
        "URLs",
        "scheme://host:port without a path; http and https, for clients also unix and unixs with a path, for members also quic.",
    ),
    ("numbers", "Whole numbers; also as strings, in the spellings of a flag."),
    (
        "[initial-cluster]",
        "A table: a member's name = its peer URL, or an array of them. A string as etcd's flag takes it (\"a=http://10.0.0.1:2380,b=...\") is accepted, too.",
    ),
    ("[feature-gates]", "A table: gate = true or false. A string as etcd's flag takes it is accepted, too."),
];

const CERTIFICATES: [&str; 5] = [
    "Whatever certificate etcd accepts of a client, a server or a member, kvd and kvctl accept: of X.509 version 1 too, self-signed ones that are both CA and certificate, chains in any order, keys of RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) and Ed25519 in PKCS #1, PKCS #8 or SEC 1. A certificate that is itself in the file of the trusted CAs is trusted. Names are those of the certificate's alternative names; a common name does not count as one.",
    "Refused, as by etcd: signatures with SHA-1 or MD5, which can be forged; certificates and CAs outside their validity; other uses than that of a client or of a server, if uses are named; names that a CA between may not issue for; unknown critical extensions; URIs among the names that are none; encodings that contradict X.509.",
    "Refused, other than by etcd: RSA keys of less than 2048 bits, because they can be factored; the curve P-224, which hardly any other program for TLS knows; chains that demand that policies are evaluated, which kvd does not; hosts to connect to with a part that begins or ends with a hyphen, which are no names of the DNS; certificates with bytes that no signature covers, with a name in pieces or of an unknown kind, or with fields that X.509 does not have, has once or has in another order; and, below a CA with constraints on names, addresses of IPv4 in the form of IPv6 and mailboxes in quotes, which would get around them. Of cipher suites kvd has those with forward secrecy and authenticated encryption only. Encrypted private keys are refused by both. A server's RSA key of more than 4096 bits takes a tenth of a second or more for each connection.",
    "New contents of certificates, keys, CAs and revocation lists are used by the next connection, without a signal. Contents that cannot be used, such as a certificate whose key is not there yet, are refused with a warning, and the old ones stay in use. The metric kvd_certificate_days_left says for each file how many days are left; from 30 days on the status line and a warning do, too. To exchange a CA, name both in one file until every certificate is of the new one.",
    "An http URL and an https URL may name one port: connections are then encrypted or not, as the client begins.",
];

const DIFFERENCES: [&str; 4] = [
    "All sources are merged; in etcd a configuration file disables all flags and variables.",
    "A variable together with a flag for the same option is not an error; the flag has priority.",
    "An unknown key is an error; etcd ignores it.",
    "log-format is auto by default: plain lines on a terminal, JSON otherwise; and initial-cluster follows from name and initial-advertise-peer-urls when it is not given.",
];

fn flag(page: &mut Page, spec: &OptionSpec) {
    let value = match spec.kind {
        Kind::Bool => format!("[=\\fI{}\\fR]", escape(&spec.kind.placeholder())),
        kind => format!(" \\fI{}\\fR", escape(&kind.placeholder())),
    };
    page.item(&format!("\\fB{}\\fR{value}", escape(&format!("--{}", spec.name)))).text(&format!(
        "{}{}",
        spec.description(),
        notes(spec)
    ));
}

fn key(page: &mut Page, spec: &OptionSpec) {
    let title = match spec.key.rsplit_once('.') {
        Some((table, key)) => format!("[{table}] {key}"),
        None => spec.key.to_string(),
    };
    page.item(&format!("\\fB{}\\fR", escape(&title))).text(&format!("{}{}", spec.description(), notes(spec)));
}

/// Default, variable and what a change takes.
fn notes(spec: &OptionSpec) -> String {
    let mut notes = String::new();
    if !spec.default.is_empty() {
        notes.push_str(&format!(" Default: {}.", spec.default));
    }
    if !spec.key.is_empty() {
        notes.push_str(&format!(" ${}.", spec.variable()));
    }
    notes.push_str(&spec.marks());
    notes
}

fn names(pick: impl Fn(&OptionSpec) -> bool) -> String {
    let names: Vec<String> =
        options::all().filter(|spec| pick(spec)).map(|spec| format!("--{}", spec.name)).collect();
    format!("{}.", names.join(", "))
}

/// A man page as it grows, in roff's man macros.
pub struct Page {
    text: String,
}

impl Page {
    /// A page of that title, section of the manual, and manual.
    pub fn new(title: &str, section: &str, manual: &str) -> Self {
        let head = ".\\\" Made from the tables of options in src; change it there.\n";
        let version = env!("CARGO_PKG_VERSION");
        Self { text: format!("{head}.TH {title} {section} \"\" \"kvd {version}\" \"{manual}\"\n") }
    }

    /// A heading.
    pub fn section(&mut self, title: &str) -> &mut Self {
        self.text.push_str(&format!(".SH {}\n", quoted(title)));
        self
    }

    /// A heading below a heading.
    pub fn sub_section(&mut self, title: &str) -> &mut Self {
        self.text.push_str(&format!(".SS {}\n", quoted(title)));
        self
    }

    /// An item of a list; the text follows. The tag is roff already.
    pub fn item(&mut self, tag: &str) -> &mut Self {
        self.text.push_str(&format!(".TP\n{tag}\n"));
        self
    }

    /// A paragraph; within an item it is the item's text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let in_item = self.text.lines().rev().nth(1).is_some_and(|line| line == ".TP");
        let after_heading = self.text.lines().last().is_some_and(|line| line.starts_with(".S"));
        if !in_item && !after_heading {
            self.text.push_str(".PP\n");
        }
        for line in super::wrap(text, 110) {
            let line = escape(&line);
            // A line that begins with a dot or quote would be a request.
            let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
            self.text.push_str(&format!("{guard}{line}\n"));
        }
        self
    }

    /// Lines of roff.
    pub fn raw(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Lines to be shown as they are.
    pub fn verbatim(&mut self, lines: &str) -> &mut Self {
        self.text.push_str(".PP\n.in +4n\n.EX\n");
        for line in lines.lines() {
            let line = escape(line);
            let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
            self.text.push_str(&format!("{guard}{line}\n"));
        }
        self.text.push_str(".EE\n.in\n");
        self
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }
}

fn quoted(title: &str) -> String {
    if title.contains(' ') { format!("\"{title}\"") } else { title.to_string() }
}

/// A text with what roff gives a meaning (backslashes and dashes) taken as it is.
pub fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}
