//! A disk in memory that behaves as badly as a real disk may: unflushed data can be lost, in part or in whole, any call
//! can fail, and space can run out. For tests and simulations; replayable from its seed.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile};

/// A write reaches the disk in pieces of this size.
const SECTOR: usize = 512;

/// A simulated disk. Clones share it.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    random: u64,
    names: BTreeMap<String, Arc<Mutex<Inode>>>,
    /// Names at the last flush of the directory, and the changes since.
    durable_names: BTreeMap<String, Arc<Mutex<Inode>>>,
    renames: Vec<NameChange>,
    /// Calls until one fails; all later ones fail, too.
    fails_in: Option<u64>,
    /// The next flush of a file fails.
    flush_fails: bool,
    /// No file can be opened.
    lacks_descriptors: bool,
    /// Room without writing is refused with this error.
    allocation_fails: Option<i32>,
    /// Bytes by which files may still grow, if there is a limit.
    room: Option<u64>,
    flushes: u64,
    /// Bytes that were written.
    written: u64,
    /// Called before every call.
    watcher: Option<Arc<dyn Fn() + Send + Sync>>,
}

#[derive(Clone)]
enum NameChange {
    Set(String, Arc<Mutex<Inode>>),
    Rename(String, String),
    Remove(String),
}

#[derive(Clone, Default)]
struct Inode {
    /// The bytes that reads return: the page cache.
    bytes: Vec<u8>,
    /// The bytes that survive a power failure.
    durable: Vec<u8>,
    /// Writes that the next flush makes durable.
    pending: Vec<(usize, Vec<u8>)>,
    /// A flush has failed: some of what it was to write can be read, and is not on the disk.
    torn: bool,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(World { random: seed, ..World::default() })))
    }

    /// The disk after a power failure: flushed bytes are there; of each later write any sectors may be there; of the
    /// name changes since the directory's flush a first part. Old handles do not see this disk.
    pub fn after_power_failure(&self) -> Self {
        let mut world = self.0.lock();
        let mut names = world.durable_names.clone();
        let changes = world.renames.len() as u64;
        let keep = world.below(changes + 1) as usize;
        for change in &world.renames[..keep] {
            change.apply(&mut names);
        }
        let mut fresh = World { random: world.random ^ 0x5eed, ..World::default() };
        for (name, inode) in names {
            let bytes = inode.lock().after_power_failure(&mut fresh);
            let inode = Inode { durable: bytes.clone(), bytes, ..Inode::default() };
            fresh.names.insert(name, Arc::new(Mutex::new(inode)));
        }
        world.random = world.random.wrapping_add(0x9e37);
        fresh.durable_names = fresh.names.clone();
        Self(Arc::new(Mutex::new(fresh)))
    }

    /// The disk with nothing but what was flushed.
    pub fn flushed(&self) -> Self {
        let durable = self.0.lock().durable_names.clone();
        let mut fresh = World::default();
        for (name, inode) in durable {
            let bytes = inode.lock().durable.clone();
            let inode = Inode { durable: bytes.clone(), bytes, ..Inode::default() };
            fresh.names.insert(name, Arc::new(Mutex::new(inode)));
        }
        fresh.durable_names = fresh.names.clone();
        Self(Arc::new(Mutex::new(fresh)))
    }

    /// The names of the files.
    pub fn names(&self) -> Vec<String> {
        self.0.lock().names.keys().cloned().collect()
    }

    /// What was written to a file and not flushed; `None` if the name was not flushed either, or a flush of it has failed.
    pub fn unflushed(&self, name: &str) -> Option<Vec<Range<u64>>> {
        let world = self.0.lock();
        let (now, then) = (world.names.get(name)?, world.durable_names.get(name)?);
        let inode = now.lock();
        let range = |(offset, data): &(usize, Vec<u8>)| *offset as u64..(offset + data.len()) as u64;
        (Arc::ptr_eq(now, then) && !inode.torn).then(|| inode.pending.iter().map(range).collect())
    }

    /// The disk after the process was killed: everything that was written can be read, flushed or not. Calls no longer
    /// fail. Old handles do not see this disk.
    pub fn after_kill(&self) -> Self {
        let world = self.0.lock();
        let mut copies: Vec<[Arc<Mutex<Inode>>; 2]> = Vec::new();
        let mut copy =
            |inode: &Arc<Mutex<Inode>>| match copies.iter().find(|[old, _]| Arc::ptr_eq(old, inode)) {
                Some([_, copy]) => copy.clone(),
                None => {
                    let copy = Arc::new(Mutex::new(inode.lock().clone()));
                    copies.push([inode.clone(), copy.clone()]);
                    copy
                }
            };
        let fresh = World {
            random: world.random ^ 0xdead,
            names: world.names.iter().map(|(name, inode)| (name.clone(), copy(inode))).collect(),
            durable_names: world
                .durable_names
                .iter()
                .map(|(name, inode)| (name.clone(), copy(inode)))
                .collect(),
            renames: world
                .renames
                .iter()
                .map(|change| match change {
                    NameChange::Set(name, inode) => NameChange::Set(name.clone(), copy(inode)),
                    other => other.clone(),
                })
                .collect(),
            room: world.room,
            ..World::default()
        };
        Self(Arc::new(Mutex::new(fresh)))
    }

    /// Lets the next flush of a file fail. As on a real system, the data of that flush can be read as before, while
    /// only a part of it, or nothing, is on the disk, and no later flush writes it.
    pub fn fail_flush(&self) {
        self.0.lock().flush_fails = true;
    }

    /// Lets files grow by this many bytes in total; then the disk is full. Removing a file makes room.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.0.lock().room = bytes;
    }

    /// Whether files can be opened, and new ones made.
    pub fn set_descriptors(&self, there: bool) {
        self.0.lock().lacks_descriptors = !there;
    }

    /// Lets [`DiskFile::allocate`] fail with this error of the system, after a part of it was done.
    pub fn fail_allocations(&self, number: i32) {
        self.0.lock().allocation_fails = Some(number);
    }

    /// Lets the call after the next `calls` ones fail, and all that follow it.
    pub fn fail_in(&self, calls: u64) {
        self.0.lock().fails_in = Some(calls);
    }

    /// Calls `watcher` before every call, so that it can inspect the disk at that moment.
    pub fn watch(&self, watcher: Option<Arc<dyn Fn() + Send + Sync>>) {
        self.0.lock().watcher = watcher;
    }

    /// How often a file was flushed.
    pub fn flushes(&self) -> u64 {
        self.0.lock().flushes
    }

    /// Bytes that were written to files.
    pub fn written(&self) -> u64 {
        self.0.lock().written
    }

    /// The bytes of a file, to inspect or damage them; the result is durable.
    pub fn with_file<T>(&self, name: &str, look: impl FnOnce(&mut Vec<u8>) -> T) -> Option<T> {
        let inode = self.0.lock().names.get(name).cloned()?;
        let mut inode = inode.lock();
        let answer = look(&mut inode.bytes);
        inode.durable = inode.bytes.clone();
        inode.pending.clear();
        inode.torn = false;
        Some(answer)
    }

    fn descriptor(&self) -> io::Result<()> {
        if self.0.lock().lacks_descriptors { Err(io::Error::from_raw_os_error(libc::EMFILE)) } else { Ok(()) }
    }

    fn call(&self) -> io::Result<()> {
        let watcher = self.0.lock().watcher.clone();
        if let Some(watcher) = watcher {
            watcher();
        }
        let mut world = self.0.lock();
        match &mut world.fails_in {
            Some(0) => Err(io::Error::other("simulated failure of the disk")),
            Some(calls) => {
                *calls -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl World {
    /// A number below `bound` (splitmix64).
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, Arc<Mutex<Inode>>>) {
        match self {
            NameChange::Set(name, inode) => {
                names.insert(name.clone(), inode.clone());
            }
            NameChange::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Inode {
    fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset..end].copy_from_slice(data);
    }

    /// The durable bytes, and any sectors of the pending writes.
    fn after_power_failure(&self, random: &mut World) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for (offset, data) in &self.pending {
            let style = random.below(4);
            let cut = random.below(data.len() as u64 + 1) as usize;
            let mut at = 0;
            while at < data.len() {
                // Sectors are whole; they are aligned to multiples of their size in the file.
                let end = (at + SECTOR - (offset + at) % SECTOR).min(data.len());
                let kept = match style {
                    0 => true,
                    1 => false,
                    2 => end <= cut,
                    _ => random.below(2) == 0,
                };
                if kept {
                    Inode::put(&mut bytes, offset + at, &data[at..end]);
                } else if bytes.len() < offset + end {
                    bytes.resize(offset + end, 0);
                }
                at = end;
            }
        }
        bytes
    }
}

fn missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no file {name}"))
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.call()?;
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.call()?;
        self.descriptor()?;
        let inode = self.0.lock().names.get(name).cloned().ok_or_else(|| missing(name))?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.call()?;
        self.descriptor()?;
        let inode = Arc::new(Mutex::new(Inode::default()));
        let mut world = self.0.lock();
        world.names.insert(name.to_string(), inode.clone());
        world.renames.push(NameChange::Set(name.to_string(), inode.clone()));
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call()?;
        let mut world = self.0.lock();
        let inode = world.names.remove(from).ok_or_else(|| missing(from))?;
        world.names.insert(to.to_string(), inode);
        world.renames.push(NameChange::Rename(from.to_string(), to.to_string()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call()?;
        let mut world = self.0.lock();
        let inode = world.names.remove(name).ok_or_else(|| missing(name))?;
        let freed = inode.lock().bytes.len() as u64;
        world.room = world.room.map(|room| room + freed);
        world.renames.push(NameChange::Remove(name.to_string()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.call()?;
        let mut world = self.0.lock();
        world.durable_names = world.names.clone();
        world.renames.clear();
        Ok(())
    }

    fn room(&self) -> io::Result<u64> {
        Ok(self.0.lock().room.unwrap_or(u64::MAX))
    }

    fn describe(&self, name: &str) -> String {
        format!("sim:{name}")
    }
}

struct SimFile {
    disk: SimDisk,
    inode: Arc<Mutex<Inode>>,
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.disk.call()?;
        Ok(self.inode.lock().bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.call()?;
        let inode = self.inode.lock();
        let offset = offset as usize;
        let bytes = inode.bytes.get(offset..offset + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let called = self.disk.call();
        let mut world = self.disk.0.lock();
        world.written += bytes.len() as u64;
        let mut inode = self.inode.lock();
        let growth = (offset + bytes.len() as u64).saturating_sub(inode.bytes.len() as u64);
        if world.room.is_some_and(|room| room < growth) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        world.room = world.room.map(|room| room - growth);
        // A write that fails has written a first part.
        let written = if called.is_ok() { bytes.len() } else { world.below(bytes.len() as u64 + 1) as usize };
        inode.pending.push((offset as usize, bytes[..written].to_vec()));
        Inode::put(&mut inode.bytes, offset as usize, &bytes[..written]);
        called
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.disk.call()?;
        let mut world = self.disk.0.lock();
        let mut inode = self.inode.lock();
        let begin = inode.bytes.len();
        let mut growth = length.saturating_sub(begin as u64);
        if world.room.is_some_and(|room| room < growth) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let failure = world.allocation_fails.map(io::Error::from_raw_os_error);
        growth /= if failure.is_some() { 2 } else { 1 };
        world.room = world.room.map(|room| room - growth);
        inode.pending.push((begin, vec![0; growth as usize]));
        inode.bytes.resize(begin + growth as usize, 0);
        failure.map_or(Ok(()), Err)
    }

    fn sync(&self) -> io::Result<()> {
        let called = self.disk.call();
        let mut world = self.disk.0.lock();
        world.flushes += 1;
        let mut inode = self.inode.lock();
        if called.is_err() || std::mem::take(&mut world.flush_fails) {
            inode.durable = inode.after_power_failure(&mut world);
            inode.pending.clear();
            inode.torn = true;
            return Err(called.err().unwrap_or_else(|| io::Error::other("simulated failure of a flush")));
        }
        for (offset, data) in std::mem::take(&mut inode.pending) {
            Inode::put(&mut inode.durable, offset, &data);
        }
        Ok(())
    }
}
