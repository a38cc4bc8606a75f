//! `kvctl backup list|verify|now`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backup::{Entry, Folder};
use crate::config::admin::Request;
use crate::ctl::admin;
use crate::ctl::arguments::Backup;
use crate::ctl::failure::Failure;
use crate::ctl::output::{complain, print, print_bytes};
use crate::ctl::print::{Style, backup};
use crate::ctl::progress::Progress;
use crate::ctl::target::backup_directory;
use crate::offline;

/// Pause between two questions whether a backup has ended.
const POLL: Duration = Duration::from_millis(200);

/// Runs a command.
pub(in crate::ctl) async fn run(style: Style, asked: Backup) -> Result<(), Failure> {
    match asked {
        Backup::List(directory) => {
            print_bytes(&backup::list(&listed(directory)?, style)?);
            Ok(())
        }
        Backup::Verify(files) if files.is_empty() => {
            let all = listed(None)?.into_iter().map(|entry| entry.path);
            verify(&all.collect::<Vec<_>>())
        }
        Backup::Verify(files) => verify(&files),
        Backup::Now { socket } => now(socket.as_deref()).await,
    }
}

fn listed(directory: Option<PathBuf>) -> Result<Vec<Entry>, Failure> {
    let directory = directory.or_else(backup_directory).ok_or_else(|| {
        let hint = "name a directory, or set `directory` in [backup] of /etc/kv/cluster.toml";
        Failure::error("no directory of backups is configured on this machine").hint(Some(hint.to_string()))
    })?;
    Folder::list(&directory).map_err(|error| Failure::error(error.to_string()))
}

/// Every file is read, also behind a damaged one.
fn verify(files: &[PathBuf]) -> Result<(), Failure> {
    let mut damaged = 0;
    for file in files {
        let path = file.display();
        let checked = {
            let (_shown, meter) = Progress::of_file(&path.to_string());
            offline::check(file, &meter)
        };
        match checked {
            Ok(checked) => {
                print(&format!(
                    "{path} is whole: revision {}, {} changes\n",
                    checked.revision, checked.changes
                ));
            }
            Err(error) => {
                damaged += 1;
                let error = error.to_string();
                let named = if error.contains(&path.to_string()) { "" } else { &format!("{path}: ") };
                complain(&format!("{named}{error}"));
            }
        }
    }
    match damaged {
        0 => Ok(()),
        _ => Err(Failure::error(format!("{damaged} of {} backups cannot be restored", files.len()))
            .hint(Some("take another one: kvctl backup now".to_string()))),
    }
}

async fn now(socket: Option<&Path>) -> Result<(), Failure> {
    let begun = admin::ask(socket, Request::Backup)?;
    let number = begun.lines.first().and_then(|line| line.parse::<u64>().ok());
    let number = match (begun.error, number) {
        (None, Some(number)) => number,
        (error, _) => return Err(Failure::error(error.unwrap_or_else(|| "the answer is not valid".into()))),
    };
    loop {
        let answer = admin::ask(socket, Request::Backups)?;
        let ended = answer.lines.get(1).and_then(|line| line.parse::<u64>().ok()).unwrap_or_default();
        if ended < number {
            tokio::time::sleep(POLL).await;
            continue;
        }
        return match answer.error {
            None => {
                print(&format!("{}\n", answer.lines.get(2).map(String::as_str).unwrap_or_default()));
                Ok(())
            }
            Some(error) => Err(Failure::error(format!("no backup was taken: {error}"))),
        };
    }
}
