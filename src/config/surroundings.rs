//! Everything outside kvd that a configuration is read from, so that tests can replace it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};

/// The largest configuration; a larger file is something else, given by mistake.
const MAX_FILE: u64 = 1 << 20;

/// The file system, as far as configurations need it.
pub trait Files {
    /// A file's bytes.
    ///
    /// # Errors
    /// Errors of the file system; also if the file is larger than a configuration can be.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The files of a directory; empty if there is no such directory.
    ///
    /// # Errors
    /// If it exists but cannot be listed.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// True if there is such a file or directory.
    fn exists(&self, path: &Path) -> bool;
}

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        use io::Read;
        let mut bytes = Vec::new();
        // Read through `take`, not after checking the size: a pipe or /dev/zero has none.
        std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "larger than 1 MiB, which no configuration is",
            ));
        }
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        match std::fs::read_dir(directory) {
            Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

/// The sources of a configuration.
pub struct Surroundings<'a> {
    /// Server flags, without the program's name and sub-command.
    pub arguments: Vec<String>,
    /// The environment.
    pub variables: Vec<(String, String)>,
    /// The file system.
    pub files: &'a dyn Files,
    /// The address at which other machines reach this one, if it is known.
    pub default_host: fn() -> Option<IpAddr>,
}

impl Surroundings<'static> {
    /// This process's environment and the machine's files.
    pub fn of_process(arguments: Vec<String>) -> Self {
        let variables = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect();
        Self { arguments, variables, files: &Disk, default_host }
    }
}

impl Surroundings<'_> {
    /// A variable's value, unless it is empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// The address of the interface of the default route. Nothing is sent: connecting a UDP socket only asks the kernel for
/// the route.
pub fn default_host() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // 192.0.2.1 is reserved for documentation (RFC 5737): no machine is in that network, so the default route is used.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}
