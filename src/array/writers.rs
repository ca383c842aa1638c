//! Who wrote into a storage: the name always, the places in the program while somebody watches.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::array::fork::ProcessLock;
use crate::array::storage::{Storage, WeakStorage};
use crate::watch::{self, Origin};

/// The names of all who ever wrote; a storage keeps a place in this list, for which it has room beside its version.
static NAMES: ProcessLock<Vec<&'static str>> = ProcessLock::new(Vec::new());

thread_local! {
    /// The name that this thread wrote under last, and its number: loops write under few names.
    static RECENT: Cell<(&'static str, u16)> = const { Cell::new(("", 0)) };
}

/// The number of a name; zero is nobody's.
#[inline]
pub(super) fn number(name: &'static str) -> u16 {
    let (recent, number) = RECENT.get();
    if std::ptr::eq(recent, name) { number } else { look_up(name) }
}

#[cold]
fn look_up(name: &'static str) -> u16 {
    let mut names = NAMES.lock();
    let place = names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    });
    let number = u16::try_from(place + 1).unwrap_or(0);
    RECENT.set((name, number));
    number
}

/// The name of a number.
pub(super) fn name(number: u16) -> Option<&'static str> {
    NAMES.lock().get(usize::from(number).checked_sub(1)?).copied()
}

/// A write: the version that it made, who wrote, and where.
#[derive(Clone)]
pub struct Write {
    /// The version that it made.
    pub version: u32,
    /// Who wrote.
    pub by: &'static str,
    /// Where in the program.
    pub origin: Arc<dyn Origin>,
}

/// Of each storage that was written while places are noted, its last writes. The weak reference keeps its address taken.
static WRITES: ProcessLock<Option<HashMap<usize, (WeakStorage, Vec<Write>)>>> = ProcessLock::new(None);

/// Writes that are kept of one storage.
const KEPT: usize = 16;

/// Notes the place of a write that was just counted. May not be called under a lock: the witness may wait for one.
pub(super) fn note(storage: &Storage, by: &'static str) {
    let Some(origin) = watch::here() else { return };
    let write = Write { version: storage.version(), by, origin };
    let mut gone = Vec::new();
    {
        let mut writes = WRITES.lock();
        let writes = writes.get_or_insert_default();
        if writes.len() == writes.capacity() {
            // Full: before it grows, the storages that are gone leave.
            gone.extend(writes.extract_if(|_, (storage, _)| storage.is_gone()));
        }
        let of = writes.entry(storage.address()).or_insert_with(|| (storage.downgrade(), Vec::new()));
        if of.1.len() == KEPT {
            gone.push((0, (storage.downgrade(), vec![of.1.remove(0)])));
        }
        of.1.push(write);
    }
    drop(gone); // after the lock: places belong to the embedding language
}

/// The first noted write that made a version above `version`.
pub(super) fn first_after(storage: &Storage, version: u32) -> Option<Write> {
    let writes = WRITES.lock();
    let (_, writes) = writes.as_ref()?.get(&storage.address())?;
    writes.iter().find(|write| write.version.wrapping_sub(version) as i32 > 0).cloned()
}
