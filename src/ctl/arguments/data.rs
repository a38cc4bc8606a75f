//! `put`, `get`, `del`, `txn` and `compaction`. The lines of a transaction have the same flags.

use std::ffi::OsString;

use clap::{Arg, ArgMatches, Command};

use super::flags::{arguments, given, is_on, leaf, number, offering, signed, switch, text, value};
use crate::api::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::api::proto::etcdserverpb::{CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest};
use crate::ctl::failure::{BAD_FEATURE, ERROR, Failure};
use crate::ctl::glob::Glob;
use crate::ctl::keys::{from_key, with_prefix};

const BOTH_RANGES: &str = "`--prefix` and `--from-key` cannot be set at the same time, choose one";
const ONE_ARGUMENT: &str =
    "too many arguments, only accept one argument when `--prefix` or `--from-key` is set";
pub(in crate::ctl) const NO_VALUE: &str = "put command needs 1 argument and input from stdin or 2 arguments";

/// A command about keys.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ctl) enum Data {
    Put(Put),
    Get(Get),
    Delete(Delete),
    Txn {
        /// Say what is asked for.
        interactive: bool,
    },
    Compact(CompactionRequest),
}

/// `put`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ctl) struct Put {
    pub(in crate::ctl) request: PutRequest,
    /// The value is standard input.
    pub(in crate::ctl) piped: bool,
}

/// `get`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ctl) struct Get {
    pub(in crate::ctl) request: RangeRequest,
    /// As a stream.
    pub(in crate::ctl) stream: bool,
    pub(in crate::ctl) value_only: bool,
    /// Only keys that match.
    pub(in crate::ctl) glob: Option<Glob>,
}

/// `del`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ctl) struct Delete {
    pub(in crate::ctl) request: DeleteRangeRequest,
    /// A range is named that may not have been meant as one.
    pub(in crate::ctl) doubtful: bool,
    /// Only keys that match.
    pub(in crate::ctl) glob: Option<Glob>,
}

/// The commands.
pub(super) fn commands() -> Vec<Command> {
    let interactive = switch("interactive", "Print what is asked for").short('i');
    let compaction = "Forget what the keys were before a revision";
    let physical = switch("physical", "Wait until the old revisions are removed from the disk");
    let mut commands = operations();
    commands.push(
        leaf("txn", "txn", "Compare keys and change them in one transaction, which is read from standard input")
            .after_help(
                "Three parts, each ended by an empty line: comparisons such as `mod(\"key\") > \"0\"` (targets mod, \
                 create, ver, val, lease; operators =, !=, <, >), then what is done if all are true, then what is \
                 done otherwise: put, get and del with their flags.",
            )
            .arg(interactive),
    );
    commands.push(leaf("compaction", "compaction REVISION", compaction).arg(physical));
    commands
}

/// The commands that a transaction may have.
fn operations() -> Vec<Command> {
    vec![put(), get(), del()]
}

fn put() -> Command {
    leaf("put", "put KEY [VALUE]", "Write a key")
        .after_help(
            "The value is standard input if it is not given. Before one that begins with `-`, write `--`.",
        )
        .arg(value("lease", "ID", "The lease (hexadecimal) that the key belongs to"))
        .arg(switch("prev-kv", "Print what the key was before"))
        .arg(switch("ignore-value", "Keep the value, change the lease"))
        .arg(switch("ignore-lease", "Keep the lease, change the value"))
}

/// The flag of keys by pattern.
pub(super) const GLOB: &str = "glob";

fn ranges(what: &str) -> [Arg; 3] {
    [
        switch(GLOB, "").help(format!("{what} all keys that match KEY, a pattern: 'a/*/b', see below")),
        switch("prefix", "All keys that begin with KEY").help(format!("{what} all keys that begin with KEY")),
        switch("from-key", "All keys that are KEY or greater")
            .help(format!("{what} all keys that are KEY or greater, byte by byte")),
    ]
}

/// How patterns are written.
pub(super) const PATTERNS: &str = "With --glob, in KEY * is anything but a slash, ** is anything, ? is one character, [a-c] \
    is one of these, [!a-c] one of the others, and \\ takes the next character as it is. Only keys that begin with what is \
    before the first of these are read; put KEY in quotes for the shell.";

fn get() -> Command {
    let consistency =
        "Linearizable, or serializable: what the member knows, without asking the others [default: l]";
    leaf("get", "get KEY [RANGE_END]", "Read a key, or the keys from KEY to before RANGE_END")
        .after_help(PATTERNS)
        .args(ranges("Read"))
        .arg(offering(value("consistency", "l|s", consistency), &["l", "s"]))
        .arg(value("limit", "N", "At most this many keys"))
        .arg(value("rev", "REVISION", "As the keys were at this revision"))
        .arg(offering(value("order", "ORDER", "ASCEND or DESCEND"), &["ASCEND", "DESCEND"]))
        .arg(offering(
            value("sort-by", "TARGET", "CREATE, KEY, MODIFY, VALUE or VERSION"),
            &["CREATE", "KEY", "MODIFY", "VALUE", "VERSION"],
        ))
        .arg(switch("keys-only", "Without the values"))
        .arg(switch("count-only", "Only how many keys there are (with -w fields)"))
        .arg(switch("print-value-only", "Print the values only (with -w simple)"))
        .arg(value("min-create-rev", "REVISION", "Keys created at this revision or later"))
        .arg(value("max-create-rev", "REVISION", "Keys created at this revision or earlier"))
        .arg(value("min-mod-rev", "REVISION", "Keys changed at this revision or later"))
        .arg(value("max-mod-rev", "REVISION", "Keys changed at this revision or earlier"))
        .arg(switch("stream", "Fetch the keys as a stream (RangeStream)"))
}

fn del() -> Command {
    leaf("del", "del KEY [RANGE_END]", "Delete a key, or the keys from KEY to before RANGE_END")
        .after_help(
            "A range without --range is deleted after two seconds: it may have been meant as two keys. With --glob, keys are \
             deleted in transactions of 128, in KEY * is anything but a slash, ** is anything, ? is one character, [a-c] is \
             one of these, [!a-c] one of the others, \\ takes the next character as it is.",
        )
        .args(ranges("Delete"))
        .arg(switch("prev-kv", "Print what is deleted"))
        .arg(switch("range", "Delete the range without waiting"))
}

/// # Errors
/// With etcdctl's text and exit code.
pub(super) fn read(name: &str, matches: &ArgMatches) -> Result<Data, Failure> {
    match name {
        "put" => read_put(matches).map(Data::Put),
        "get" => read_get(matches).map(Data::Get),
        "del" => read_delete(matches).map(Data::Delete),
        "txn" => match arguments(matches).is_empty() {
            true => Ok(Data::Txn { interactive: is_on(matches, "interactive")? }),
            false => Err(Failure::arguments("txn command does not accept argument")),
        },
        _ => {
            let given = <[Vec<u8>; 1]>::try_from(arguments(matches));
            let [revision] = given.map_err(|_| Failure::arguments("compaction command needs 1 argument"))?;
            let revision = signed(&text(revision)?, 10).map_err(|text| Failure::with_code(ERROR, text))?;
            Ok(Data::Compact(CompactionRequest { revision, physical: is_on(matches, "physical")? }))
        }
    }
}

/// One of the operations of a transaction: `put`, `get` or `del` with its flags; `None` if it is nothing of that kind.
///
/// # Errors
/// With etcdctl's text and exit code if its arguments are wrong.
pub(in crate::ctl) fn operation(words: &[OsString]) -> Result<Option<Data>, Failure> {
    let commands = Command::new("txn").no_binary_name(true).subcommand_required(true).infer_subcommands(true);
    let commands = commands.disable_help_subcommand(true).args_override_self(true).subcommands(operations());
    let Ok(matches) = commands.try_get_matches_from(words) else { return Ok(None) };
    let operation = matches.subcommand().map(|(name, own)| read(name, own)).transpose()?;
    // Patterns are looked at by kvctl: the server, which executes a transaction, has none.
    Ok(operation.filter(|operation| match operation {
        Data::Get(get) => get.glob.is_none(),
        Data::Delete(delete) => delete.glob.is_none(),
        _ => true,
    }))
}

/// The pattern that `--glob` makes of the only argument.
///
/// # Errors
/// If it is bad, or another kind of range is asked for as well.
fn pattern(key: &[u8], end: Option<&Vec<u8>>, matches: &ArgMatches) -> Result<Option<Glob>, Failure> {
    if !is_on(matches, GLOB)? {
        return Ok(None);
    }
    if end.is_some() || is_on(matches, "prefix")? || is_on(matches, "from-key")? {
        return Err(Failure::arguments(
            "`--glob` takes one pattern, without `--prefix`, `--from-key` and range_end; quote it for the shell",
        ));
    }
    Glob::parse(key).map(Some).map_err(Failure::arguments)
}

fn read_put(matches: &ArgMatches) -> Result<Put, Failure> {
    let mut given_arguments = arguments(matches).into_iter();
    let Some(key) = given_arguments.next() else { return Err(Failure::arguments(NO_VALUE)) };
    let value = given_arguments.next();
    let ignore_value = is_on(matches, "ignore-value")?;
    if ignore_value && value.is_some() {
        return Err(Failure::arguments("put command needs only 1 argument when 'ignore-value' is set"));
    }
    let piped = !ignore_value && value.is_none();
    let lease = signed(given(matches, "lease").unwrap_or("0"), 16);
    let lease =
        lease.map_err(|error| Failure::arguments(format!("bad lease ID ({error}), expecting ID in Hex")))?;
    let request = PutRequest {
        key: key.into(),
        value: value.unwrap_or_default().into(),
        lease,
        prev_kv: is_on(matches, "prev-kv")?,
        ignore_value,
        ignore_lease: is_on(matches, "ignore-lease")?,
    };
    Ok(Put { request, piped })
}

fn read_get(matches: &ArgMatches) -> Result<Get, Failure> {
    let mut given_arguments = arguments(matches).into_iter();
    let Some(key) = given_arguments.next() else {
        let refusal = "get command needs one argument as key and an optional argument as range_end";
        return Err(Failure::arguments(refusal));
    };
    if is_on(matches, "prefix")? && is_on(matches, "from-key")? {
        return Err(Failure::arguments(BOTH_RANGES));
    }
    let (keys_only, count_only) = (is_on(matches, "keys-only")?, is_on(matches, "count-only")?);
    if keys_only && count_only {
        let refusal = "`--keys-only` and `--count-only` cannot be set at the same time, choose one";
        return Err(Failure::arguments(refusal));
    }
    let serializable = serializable(matches)?;
    let end = given_arguments.next();
    let glob = pattern(&key, end.as_ref(), matches)?;
    let (key, range_end) = match &glob {
        Some(glob) => glob.range(),
        None => range(key, end, matches)?,
    };
    let (sort_order, sort_target) = sorting(matches)?;
    let revisions = |what: &str, name: &str| {
        let (least, most) =
            (number(matches, &format!("min-{name}"))?, number(matches, &format!("max-{name}"))?);
        if most > 0 && least > most {
            let text = format!("getMin{what}Rev(={least}) > getMax{what}Rev(={most})");
            return Err(Failure::with_code(BAD_FEATURE, text));
        }
        Ok::<_, Failure>((least.max(0), most.max(0)))
    };
    let (min_create_revision, max_create_revision) = revisions("Create", "create-rev")?;
    let (min_mod_revision, max_mod_revision) = revisions("Mod", "mod-rev")?;
    let request = RangeRequest {
        key: key.into(),
        range_end: range_end.into(),
        limit: number(matches, "limit")?,
        revision: number(matches, "rev")?.max(0),
        sort_order: sort_order.into(),
        sort_target: sort_target.into(),
        serializable,
        keys_only,
        count_only,
        min_mod_revision,
        max_mod_revision,
        min_create_revision,
        max_create_revision,
    };
    let (stream, value_only) = (is_on(matches, "stream")?, is_on(matches, "print-value-only")?);
    Ok(Get { request, stream, value_only, glob })
}

/// True for `--consistency s`.
pub(super) fn serializable(matches: &ArgMatches) -> Result<bool, Failure> {
    match given(matches, "consistency").unwrap_or("l") {
        "l" => Ok(false),
        "s" => Ok(true),
        other => Err(Failure::with_code(BAD_FEATURE, format!("unknown consistency flag {other:?}"))),
    }
}

/// The range of a key with the flags and the second argument.
fn range(key: Vec<u8>, end: Option<Vec<u8>>, matches: &ArgMatches) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let (prefix, open) = (is_on(matches, "prefix")?, is_on(matches, "from-key")?);
    if end.is_some() && (prefix || open) {
        return Err(Failure::arguments(ONE_ARGUMENT));
    }
    Ok(match end {
        Some(end) => (key, end),
        None if prefix => with_prefix(key),
        None if open => from_key(key),
        None => (key, Vec::new()),
    })
}

/// Ascending keys are the order in which they are stored: nothing has to be sorted.
fn sorting(matches: &ArgMatches) -> Result<(SortOrder, SortTarget), Failure> {
    let bad = |what: &str, text: &str| Failure::with_code(BAD_FEATURE, format!("bad sort {what} {text}"));
    let order = given(matches, "order").unwrap_or_default();
    let order = match order.to_uppercase().as_str() {
        "ASCEND" => SortOrder::Ascend,
        "DESCEND" => SortOrder::Descend,
        "" => SortOrder::None,
        _ => return Err(bad("order", order)),
    };
    let target = given(matches, "sort-by").unwrap_or_default();
    let target = match target.to_uppercase().as_str() {
        "CREATE" => SortTarget::Create,
        "MODIFY" => SortTarget::Mod,
        "VALUE" => SortTarget::Value,
        "VERSION" => SortTarget::Version,
        "KEY" | "" => SortTarget::Key,
        _ => return Err(bad("target", target)),
    };
    match (order, target) {
        (SortOrder::Ascend, SortTarget::Key) => Ok((SortOrder::None, target)),
        other => Ok(other),
    }
}

fn read_delete(matches: &ArgMatches) -> Result<Delete, Failure> {
    let mut given_arguments = arguments(matches).into_iter();
    let (key, end) = (given_arguments.next(), given_arguments.next());
    let (Some(key), None) = (key, given_arguments.next()) else {
        let refusal = "del command needs one argument as key and an optional argument as range_end";
        return Err(Failure::arguments(refusal));
    };
    if is_on(matches, "prefix")? && is_on(matches, "from-key")? {
        return Err(Failure::arguments(BOTH_RANGES));
    }
    let doubtful = end.is_some() && !is_on(matches, "range")?;
    let glob = pattern(&key, end.as_ref(), matches)?;
    let (key, range_end) = match &glob {
        Some(glob) => glob.range(),
        None => range(key, end, matches)?,
    };
    let prev_kv = is_on(matches, "prev-kv")?;
    let request = DeleteRangeRequest { key: key.into(), range_end: range_end.into(), prev_kv };
    Ok(Delete { request, doubtful, glob })
}
