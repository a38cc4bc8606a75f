//! `completion`: the script that completes command lines in a shell, for kvd and kvctl.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use clap_complete::Shell;

/// The shells, as etcdctl names them.
const SHELLS: [&str; 4] = ["bash", "zsh", "fish", "powershell"];

/// The command of a program that prints the script.
pub fn completion(program: &str) -> Command {
    let shell = Arg::new("shell").value_name("SHELL").required(true).help("The shell");
    Command::new("completion")
        .about("Print the script that completes command lines in a shell")
        .after_help(format!(
            "The packages install the scripts of bash, zsh and fish. By hand, for this shell only: \
             source <({program} completion bash)"
        ))
        .arg(shell.value_parser(PossibleValuesParser::new(SHELLS)))
}

/// The script that was asked for.
pub fn completion_script(asked: &ArgMatches, mut program: Command) -> String {
    let shell = asked.get_one::<String>("shell").and_then(|name| name.parse().ok()).unwrap_or(Shell::Bash);
    let (name, mut script) = (program.get_name().to_string(), Vec::new());
    clap_complete::generate(shell, &mut program, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
