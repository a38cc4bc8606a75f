//! `kvctl txn`: a transaction from standard input.

use std::ffi::OsString;
use std::io::BufRead;
use std::os::unix::ffi::OsStringExt;

use crate::api::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::api::proto::etcdserverpb::request_op::Request;
use crate::api::proto::etcdserverpb::{Compare, RequestOp, TxnRequest};
use crate::client::text;
use crate::ctl::arguments::{Data, NO_VALUE, operation};
use crate::ctl::client::Client;
use crate::ctl::failure::{Failure, INVALID_INPUT};
use crate::ctl::output::{print, print_bytes};
use crate::ctl::print::{Style, data, quoted, quoted_bytes};
use crate::ctl::target::Target;
use crate::ctl::words::{Quoted, unquoted, words};

/// Reads the three parts and sends them as one transaction.
pub(in crate::ctl) async fn run(target: &Target, style: Style, interactive: bool) -> Result<(), Failure> {
    let mut client = Client::open(target).await?;
    let request = read(interactive)?;
    client.check_size(&request)?;
    let answer = client.ask_forever(async |to| to.kv.txn(request.clone()).await).await;
    let answer = answer.map_err(|status| Failure::error(text(&status)))?;
    print_bytes(&data::txn(&answer, style)?);
    Ok(())
}

fn read(interactive: bool) -> Result<TxnRequest, Failure> {
    let prompt = |words: &str| {
        if interactive {
            print(&format!("{words}\n"));
        }
    };
    let mut input = std::io::stdin().lock();
    prompt("compares:");
    let compare = part(&mut input, comparison)?;
    prompt("success requests (get, put, del):");
    let success = part(&mut input, request)?;
    prompt("failure requests (get, put, del):");
    let failure = part(&mut input, request)?;
    Ok(TxnRequest { compare, success, failure })
}

fn invalid(text: String) -> Failure {
    Failure::with_code(INVALID_INPUT, text)
}

/// What the lines up to an empty one mean.
fn part<T>(
    input: &mut impl BufRead,
    meaning: impl Fn(&str) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let mut meanings = Vec::new();
    loop {
        let mut line = Vec::new();
        input.read_until(b'\n', &mut line).map_err(|error| invalid(error.to_string()))?;
        if line.pop() != Some(b'\n') {
            return Err(invalid("EOF".to_string()));
        }
        let line = String::from_utf8(line).map_err(|_| invalid("a line is not valid UTF-8".to_string()))?;
        match line.trim() {
            "" => return Ok(meanings),
            line => meanings.push(meaning(line)?),
        }
    }
}

/// `TARGET("KEY") OPERATOR "VALUE"`, in the format of Go's `%q` and `%s`.
fn comparison(line: &str) -> Result<Compare, Failure> {
    let malformed = |more: String| invalid(format!("malformed comparison: {line}{more}"));
    let (target, rest) = line.split_once('(').ok_or_else(|| malformed(String::new()))?;
    let (mut key, mut operator, mut value) = (Vec::new(), "", None);
    if let Some(Quoted { bytes, rest }) = unquoted(rest) {
        key = bytes;
        if let Some(rest) = rest.strip_prefix(')') {
            let rest = rest.trim_start();
            let (word, rest) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
            operator = word;
            value = unquoted(rest).map(|quoted| quoted.bytes);
        }
    }
    let Some(value) = value else {
        let key = quoted_bytes(&key);
        return Err(malformed(format!("; got {target}({key}) {operator} {}", quoted(""))));
    };
    let result = match operator {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        "<" => CompareResult::Less,
        ">" => CompareResult::Greater,
        other => return Err(malformed(format!(" (unknown operator {other})"))),
    };
    let number = |radix| {
        let number = std::str::from_utf8(&value).ok().and_then(|text| i64::from_str_radix(text, radix).ok());
        number.ok_or_else(|| invalid(format!("invalid txn compare request: {line}")))
    };
    let (target, union) = match target {
        "ver" | "version" => (CompareTarget::Version, TargetUnion::Version(number(10)?)),
        "c" | "create" => (CompareTarget::Create, TargetUnion::CreateRevision(number(10)?)),
        "m" | "mod" => (CompareTarget::Mod, TargetUnion::ModRevision(number(10)?)),
        "lease" => (CompareTarget::Lease, TargetUnion::Lease(number(16)?)),
        "val" | "value" => (CompareTarget::Value, TargetUnion::Value(value.into())),
        other => return Err(malformed(format!(" (unknown target {other})"))),
    };
    Ok(Compare {
        result: result.into(),
        target: target.into(),
        key: key.into(),
        range_end: Default::default(),
        target_union: Some(union),
    })
}

/// `put`, `get` or `del`, with their flags.
fn request(line: &str) -> Result<RequestOp, Failure> {
    let words = words(line).map_err(invalid)?;
    if words.len() < 2 {
        return Err(invalid(format!("invalid txn compare request: {line}")));
    }
    let words: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
    let request = match operation(&words)? {
        Some(Data::Put(put)) if put.piped => return Err(Failure::arguments(NO_VALUE)),
        Some(Data::Put(put)) => Request::RequestPut(put.request),
        Some(Data::Get(get)) => Request::RequestRange(get.request),
        Some(Data::Delete(delete)) => Request::RequestDeleteRange(delete.request),
        _ => return Err(invalid(format!("invalid txn request: {line}"))),
    };
    Ok(RequestOp { request: Some(request) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_read_as_etcdctl_reads_them() {
        let read = comparison(r#"val("k\x00") != "a b""#).expect("a comparison");
        assert_eq!(read.key.as_ref(), b"k\0");
        assert_eq!(read.target_union, Some(TargetUnion::Value("a b".into())));
        assert_eq!(read.result(), CompareResult::NotEqual);
        let read = comparison(r#"lease("k")  =  "ff""#).expect("a comparison");
        assert_eq!(read.target_union, Some(TargetUnion::Lease(255)));
        let refused = |line: &str| comparison(line).expect_err(line).to_string();
        assert_eq!(refused("val"), "Error: malformed comparison: val\n");
        assert_eq!(
            refused(r#"val("k" = "v""#),
            "Error: malformed comparison: val(\"k\" = \"v\"; got val(\"k\")  \"\"\n"
        );
        assert_eq!(refused(r#"mod("k") > "x""#), "Error: invalid txn compare request: mod(\"k\") > \"x\"\n");
    }
}
