//! The command line in the syntax of Go's flag package: `-x`, `--x`, `--x=v`, `--x v`; booleans take `=` only.

use super::super::diagnostic::{Diagnostic, Place};
use super::super::options::{self, OptionSpec, did_you_mean};
use super::super::settings::Given;
use super::super::value::Value;
use super::{MASK, Reading, expectation, refusal};

/// True for an argument that Go takes for a flag.
pub fn is_flag(argument: &str) -> bool {
    argument.len() >= 2 && argument.starts_with('-')
}

/// Reads server flags. All errors are reported; an argument that is no flag is one of them.
pub fn read_flags(arguments: &[String]) -> Reading {
    let mut reading = Reading::default();
    let mut rest = arguments.iter().map(String::as_str).peekable();
    let mut previous_switch: Option<&'static OptionSpec> = None;
    let mut flags_ended = false;
    while let Some(argument) = rest.next() {
        if argument == "--" && !flags_ended {
            flags_ended = true;
            continue;
        }
        if flags_ended || !is_flag(argument) {
            reading.diagnostics.push(not_a_flag(argument, previous_switch.take()));
            continue;
        }
        previous_switch = None;
        match read_one(argument, &mut rest) {
            Ok(given) => {
                if given.spec.kind.is_switch() && !argument.contains('=') {
                    previous_switch = Some(given.spec);
                }
                reading.given.push(given);
            }
            Err(diagnostic) => reading.diagnostics.push(*diagnostic),
        }
    }
    reading
}

fn not_a_flag(argument: &str, previous: Option<&'static OptionSpec>) -> Diagnostic {
    let help = previous.map(|spec| {
        format!("a boolean flag takes its value with an equals sign: --{}={argument}", spec.name)
    });
    Diagnostic::error(format!("{argument:?} is not a valid flag"))
        .at(Some(Place::Flag(argument.to_string())))
        .maybe_help(help)
}

fn read_one<'a, I>(argument: &'a str, rest: &mut std::iter::Peekable<I>) -> Result<Given, Box<Diagnostic>>
where
    I: Iterator<Item = &'a str>,
{
    let place = |text: &str| Some(Place::Flag(text.to_string()));
    let body = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')).unwrap_or(argument);
    if body.is_empty() || body.starts_with(['-', '=']) {
        return Err(Box::new(Diagnostic::error(format!("bad flag syntax: {argument}")).at(place(argument))));
    }
    let (name, inline) = match body.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (body, None),
    };
    let Some(spec) = options::find(if name == "h" { "help" } else { name }) else {
        if inline.is_none() {
            // What follows is most likely its value; complaining about that as well would only confuse.
            rest.next_if(|next| !is_flag(next));
        }
        return Err(Box::new(unknown(name, argument)));
    };
    if spec.kind.is_switch() {
        return read_switch(spec, inline, argument);
    }
    let (value, shown) = match inline {
        Some(value) => (value, format!("--{name}={}", masked(spec, value))),
        None => match rest.next() {
            Some(value) => (value, format!("--{name} {}", masked(spec, value))),
            None => {
                let message = format!("flag needs an argument: -{name}");
                return Err(Box::new(Diagnostic::error(message).about(spec.name).at(place(argument))));
            }
        },
    };
    match Value::given(spec, value) {
        Ok(value) => Ok(Given { spec, value, place: Place::Flag(shown) }),
        Err(reason) => {
            let message = refusal(spec, &format!("flag -{name}"), value, masked(spec, value), &reason);
            let error = Diagnostic::error(message).about(spec.name);
            Err(Box::new(error.at(Some(Place::Flag(shown))).maybe_help(expectation(spec, &reason))))
        }
    }
}

fn read_switch(
    spec: &'static OptionSpec,
    inline: Option<&str>,
    argument: &str,
) -> Result<Given, Box<Diagnostic>> {
    let place = Place::Flag(argument.to_string());
    match Value::parse(spec.kind, inline.unwrap_or("true")) {
        Ok(value) => Ok(Given { spec, value, place }),
        Err(reason) => {
            let message = format!(
                "invalid boolean value {:?} for -{}: {reason}",
                inline.unwrap_or_default(),
                spec.name
            );
            Err(Box::new(Diagnostic::error(message).about(spec.name).at(Some(place))))
        }
    }
}

fn unknown(name: &str, argument: &str) -> Diagnostic {
    let names = options::all().map(|spec| spec.name);
    // Without its value, which may be a secret.
    let flag = argument.split('=').next().unwrap_or(argument);
    Diagnostic::error(format!("flag provided but not defined: -{name}"))
        .at(Some(Place::Flag(flag.to_string())))
        .maybe_help(did_you_mean(name, names).map(|name| format!("did you mean --{name}?")))
}

fn masked<'v>(spec: &OptionSpec, value: &'v str) -> &'v str {
    if spec.secret { MASK } else { value }
}
