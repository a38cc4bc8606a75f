//! systemd units that run etcd: their ExecStart=, Environment= and EnvironmentFile=.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command::{self, Word};
use super::{Item, shell};
use crate::config::diagnostic::{Diagnostic, FilePlace, Place, locate};
use crate::config::surroundings::{Disk, Files};

/// The kernel's file with the host name.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// The units that may run etcd on this machine, the preferred one first.
const UNITS: [&str; 4] = [
    "/etc/systemd/system/etcd.service",
    "/run/systemd/system/etcd.service",
    "/usr/lib/systemd/system/etcd.service",
    "/lib/systemd/system/etcd.service",
];

/// True if the first line with content is a section's heading.
pub(super) fn looks_like_unit(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    first.is_some_and(|line| matches!(line, "[Unit]" | "[Service]" | "[Install]"))
}

/// The host's name.
pub(super) fn host_name(files: &dyn Files) -> Option<String> {
    let name = String::from_utf8(files.read(Path::new(HOST_NAME)).ok()?).ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_string())
}

/// The value that this machine's unit gives a variable that is missing in its file; the outer `None` if there is no
/// unit.
pub(super) fn variable_of_unit(name: &str, files: &dyn Files) -> Option<Option<String>> {
    let text = UNITS.iter().find_map(|unit| files.read(Path::new(unit)).ok())?;
    let text = String::from_utf8(text).ok()?;
    let unit = Unit { path: &Arc::new(PathBuf::from("etcd.service")), text: &text, files };
    let environment = unit.environment(&unit.lines()).ok()?;
    Some(command::variables(&environment).remove(name))
}

/// Reads the settings that the unit passes to etcd.
pub(super) fn read(path: &Arc<PathBuf>, text: &str, files: &dyn Files) -> Result<Vec<Item>, Vec<Diagnostic>> {
    let unit = Unit { path, text, files };
    let lines = unit.lines();
    let mut environment = unit.environment(&lines)?;
    for item in unit.files(&lines)? {
        // A file has priority over the unit's own Environment= lines.
        environment.retain(|known| known.key != item.key);
        environment.push(item);
    }
    let variables = command::variables(&environment);
    let start = lines.iter().rev().filter(|line| line.key == "ExecStart");
    for line in start {
        let words = command::split(line.value.trim_start_matches(['@', '-', ':', '+', '!']), &line.place);
        let words = words.map_err(|error| vec![*error])?;
        if let Some(flags) = command::flags_of_etcd(&words).map_err(|error| vec![*error])? {
            let mut items = command::read(&unit.specified(flags)?, &variables)?;
            items.extend(environment.into_iter().filter(|item| shell::is_ours(&item.key)));
            return Ok(items);
        }
    }
    let error = Diagnostic::error("no ExecStart= of this unit runs etcd");
    Err(vec![error.at(Some(Place::Path(Arc::clone(path))))])
}

/// The settings of `[Service]` in a unit's text, in order; an empty value resets those above it. Drop-ins may follow the
/// unit in the same text.
pub fn service_settings(text: &str) -> Vec<(String, String)> {
    let unit = Unit { path: &Arc::new(PathBuf::new()), text, files: &Disk };
    unit.lines().into_iter().map(|line| (line.key, line.value)).collect()
}

/// One setting of `[Service]`, continuation lines joined.
struct Line {
    key: String,
    value: String,
    place: FilePlace,
}

struct Unit<'u> {
    path: &'u Arc<PathBuf>,
    text: &'u str,
    files: &'u dyn Files,
}

impl Unit<'_> {
    fn lines(&self) -> Vec<Line> {
        let mut found: Vec<Line> = Vec::new();
        let (mut in_service, mut offset) = (false, 0);
        let mut lines = self.text.split_inclusive('\n');
        while let Some(line) = lines.next() {
            let start = offset;
            offset += line.len();
            let mut whole = line.trim().to_string();
            if whole.starts_with('[') {
                in_service = whole == "[Service]";
            }
            if !in_service || whole.starts_with(['#', ';', '[']) {
                continue;
            }
            while whole.ends_with('\\') {
                whole.pop();
                let Some(next) = lines.next() else { break };
                offset += next.len();
                // A comment within a continued line is skipped.
                match next.trim() {
                    next if next.starts_with(['#', ';']) => whole.push('\\'),
                    next => whole.extend([" ", next]),
                }
            }
            let Some((key, value)) = whole.split_once('=') else { continue };
            let (key, value) = (key.trim().to_string(), value.trim().to_string());
            // An empty value resets the lines above it.
            if value.is_empty() {
                found.retain(|known| known.key != key);
                continue;
            }
            let place = locate(self.path, self.text, start..start + line.trim_end().len());
            found.push(Line { key, value, place });
        }
        found
    }

    /// The variables of all Environment= lines; a later one of the same variable has priority.
    fn environment(&self, lines: &[Line]) -> Result<Vec<Item>, Vec<Diagnostic>> {
        let mut items: Vec<Item> = Vec::new();
        for line in lines.iter().filter(|line| line.key == "Environment") {
            let words = command::split(&line.value, &line.place).map_err(|error| vec![*error])?;
            for word in self.specified(words)? {
                let Some((name, value)) = word.text.split_once('=') else { continue };
                items.retain(|known| known.key != name);
                items.push(shell::item(name, value.to_string(), word.place.clone()));
            }
        }
        Ok(items)
    }

    /// The variables of all EnvironmentFile= lines. A file may only be missing if its name begins with a dash.
    fn files(&self, lines: &[Line]) -> Result<Vec<Item>, Vec<Diagnostic>> {
        let mut items = Vec::new();
        for line in lines.iter().filter(|line| line.key == "EnvironmentFile") {
            let name = line.value.trim_start_matches('-');
            let name = self.specified(vec![Word { text: name.to_string(), place: line.place.clone() }])?;
            let Some(Word { text: name, place }) = name.into_iter().next() else { continue };
            let read = self.files.read(Path::new(&name)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            match read {
                Some(text) => items.extend(shell::assignments(&Arc::new(PathBuf::from(&name)), &text)?),
                None if line.value.starts_with('-') => {}
                None => {
                    let error =
                        Diagnostic::error(format!("{name} cannot be read, and etcd's settings are in it"));
                    return Err(vec![error.at(Some(Place::File(place)))]);
                }
            }
        }
        Ok(items)
    }

    /// The words with systemd's specifiers replaced.
    fn specified(&self, words: Vec<Word>) -> Result<Vec<Word>, Vec<Diagnostic>> {
        let mut errors = Vec::new();
        let mut found = Vec::new();
        for word in words {
            match self.specify(&word.text) {
                Ok(text) => found.push(Word { text, ..word }),
                Err(reason) => errors.push(Diagnostic::error(reason).at(Some(Place::File(word.place)))),
            }
        }
        if errors.is_empty() { Ok(found) } else { Err(errors) }
    }

    fn specify(&self, text: &str) -> Result<String, String> {
        let file = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let unit = file.strip_suffix(".service").unwrap_or(&file).to_string();
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let value = match chars.next() {
                Some('%') => Some("%".to_string()),
                Some('H') => host_name(self.files),
                Some('l') => {
                    host_name(self.files).map(|name| name.split('.').next().unwrap_or("").to_string())
                }
                Some('p' | 'N') => Some(unit.split('@').next().unwrap_or("").to_string()),
                Some('n') => Some(file.clone()),
                Some('i') => unit.split_once('@').map(|(_, instance)| instance.to_string()),
                _ => None,
            };
            out.push_str(&value.ok_or("a specifier of systemd cannot be followed here: write its value")?);
        }
        Ok(out)
    }
}
