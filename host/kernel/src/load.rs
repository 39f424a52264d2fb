//! An object's way into the kernel: variables and sizes set, maps made, programs verified, attached in order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use aya::maps::MapData;
use aya::{Ebpf, EbpfLoader};
use ig_object::{Hook, MapValue, Object};

use crate::attach::{self, Attachment};
use crate::cgroups::{CgroupFilter, FILTER_MAP, FILTER_VARIABLE};
use crate::error::{LoadError, ProgramError, chain, hook_text};
use crate::follow::{self, FOLLOW_FORK_PROGRAM, FOLLOWED_MAP, FOLLOWED_VARIABLE, FollowError};
use crate::iterator::BpfIterator;
use crate::ledger::{self, LEDGER_SUFFIX, Ledger, ProgramStats};
use crate::map::{Map, MapError, Update};
use crate::prepared::{self, KernelTypes};
use crate::rate;
use crate::ring::{Ring, RingError, WAKEUP_SUFFIX};
use crate::socket_filter::SocketFilter;
use crate::sys::bpf::kind;
use crate::sys::os;

/// Of a ring buffer that neither the user nor the object wants larger, in bytes.
pub const DEFAULT_RING_SIZE: u32 = 4 << 20;
/// The largest ring buffer, in bytes.
const LARGEST_RING_SIZE: u32 = 1 << 31;

/// What the host decides about an object before it is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Values of `const volatile` variables by name, in the kernel's byte order and exactly as long as the variable.
    pub variables: BTreeMap<String, Vec<u8>>,
    /// Of ring buffers by map, in bytes; rounded up to a power of two of pages. Rings not named here get what the
    /// object says, but at least [`DEFAULT_RING_SIZE`].
    pub ring_sizes: BTreeMap<String, u32>,
    /// Of other maps: how many entries instead of what the object says.
    pub max_entries: BTreeMap<String, u32>,
    /// Programs that are not loaded at all. The fork follower of the headers is excluded unless the variable `gadget_filter_followed` is set here.
    pub exclude: BTreeSet<String>,
    /// Programs that are left out, with the reason, if the kernel can't load or attach them; those whose section
    /// begins with `?` are optional anyway. The fork follower never is: without it, following would lose children.
    pub optional: BTreeSet<String>,
    /// The set of cgroups that programs are narrowed to: it takes the place of the headers' map, and `gadget_filter_by_cgroup` is
    /// set unless it is in `variables`. Nothing happens if the object has neither; [`CgroupFilter::narrows`] tells.
    pub cgroups: Option<CgroupFilter>,
}

/// A program that does not run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// As the object names it.
    pub program: String,
    /// What it would have hooked.
    pub hook: String,
    /// In one line.
    pub reason: String,
}

/// Loads an object.
#[derive(Debug)]
pub struct Loader<'a> {
    bytes: &'a [u8],
    object: &'a Object<'a>,
    options: LoadOptions,
}

impl<'a> Loader<'a> {
    /// `object` must have been parsed from `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8], object: &'a Object<'a>, options: LoadOptions) -> Self {
        Self {
            bytes,
            object,
            options,
        }
    }

    /// Makes the maps and has the kernel verify the programs. Nothing is attached yet.
    ///
    /// # Errors
    ///
    /// An option does not fit the object, or the kernel refused a program that is not optional; see [`LoadError`].
    pub fn load(self) -> Result<Loaded, LoadError> {
        let Self {
            bytes,
            object,
            mut options,
        } = self;
        let cgroups = options
            .cgroups
            .take()
            .filter(|_| CgroupFilter::narrows(object));
        if cgroups.is_some() {
            let variable = options.variables.entry(FILTER_VARIABLE.to_owned());
            variable.or_insert_with(|| vec![1]);
        }
        rate::make_room(object, &mut options)?;
        check_variables(object, &options)?;
        check_programs(object, &options)?;
        let follows = options
            .variables
            .get(FOLLOWED_VARIABLE)
            .is_some_and(|value| value.iter().any(|byte| *byte != 0));
        if !follows {
            options.exclude.insert(FOLLOW_FORK_PROGRAM.to_owned());
        }
        let sizes = map_sizes(object, &options, os::page_size())?;
        let excluded: Vec<&str> = options.exclude.iter().map(String::as_str).collect();
        let prepared = prepared::prepare(bytes, &excluded)?;
        let types = KernelTypes::for_object(object)?;

        let mut loader = prepared::loader();
        // Task storages and the like: aya makes them, this crate's map layer reads them.
        loader.btf(types.btf()).allow_unsupported_maps();
        for (name, value) in &options.variables {
            loader.override_global(name, value.as_slice(), true);
        }
        for (name, entries) in &sizes {
            loader.map_max_entries(name, *entries);
        }
        if let Some(cgroups) = &cgroups {
            loader.map_pin_path(FILTER_MAP, cgroups.path());
        }
        let mut ebpf = load_object(&mut loader, &prepared.bytes)?;

        let mut programs = Vec::new();
        let mut left_out = Vec::new();
        for program in object.programs() {
            if options.exclude.contains(&program.name) {
                continue;
            }
            let optional = (program.optional || options.optional.contains(&program.name))
                && program.name != FOLLOW_FORK_PROGRAM;
            let loaded = match ebpf.program_mut(&program.name) {
                Some(loaded) => attach::load(&program.name, &program.hook, loaded, types.btf()),
                None => Err(prepared::missing_program(
                    &program.name,
                    &program.hook,
                    &prepared.notes,
                )),
            };
            match loaded {
                Ok(()) => programs.push(LoadedProgram {
                    name: program.name.clone(),
                    hook: program.hook.clone(),
                    optional,
                    called: prepared
                        .values
                        .iter()
                        .any(|value| value.target == program.name),
                    attachment: None,
                }),
                Err(error) if optional => left_out.push(LeftOut::from(error)),
                Err(error) => return Err(error.into()),
            }
        }
        // The sort is stable: the others keep the object's order.
        programs.sort_by_key(|program| program.name != FOLLOW_FORK_PROGRAM);
        let possible_cpus = aya::util::nr_cpus().map_err(|(path, error)| {
            LoadError::Kernel(format!("cannot count the CPUs in {path}: {error}"))
        })?;
        let loaded = Loaded {
            programs,
            left_out,
            taken: BTreeSet::new(),
            possible_cpus,
            ebpf,
        };
        if let Some(cgroups) = &cgroups {
            loaded.check_shared(cgroups)?;
        }
        loaded.fill_slots(&prepared.values)?;
        Ok(loaded)
    }
}

fn load_object(loader: &mut EbpfLoader<'_>, bytes: &[u8]) -> Result<Ebpf, LoadError> {
    loader
        .load(bytes)
        .map_err(|error| LoadError::Kernel(chain(&error)))
}

fn check_variables(object: &Object<'_>, options: &LoadOptions) -> Result<(), LoadError> {
    for (name, value) in &options.variables {
        let error = |cause| LoadError::Variable {
            variable: name.clone(),
            cause,
        };
        let variable = object
            .variable(name)
            .ok_or_else(|| error("the object has none of that name".to_owned()))?;
        if !variable.is_const_volatile {
            return Err(error("it is not const volatile".to_owned()));
        }
        if variable.size as usize != value.len() {
            return Err(error(format!(
                "it has {} bytes, the value {}",
                variable.size,
                value.len()
            )));
        }
    }
    Ok(())
}

fn check_programs(object: &Object<'_>, options: &LoadOptions) -> Result<(), LoadError> {
    let names: Vec<&str> = object
        .programs()
        .iter()
        .map(|program| program.name.as_str())
        .collect();
    for program in options.exclude.iter().chain(&options.optional) {
        if !names.contains(&program.as_str()) {
            return Err(LoadError::NoSuchProgram {
                program: program.clone(),
                have: names.join(", "),
            });
        }
    }
    Ok(())
}

/// How many entries (bytes, for rings) each map gets that does not get what the object says.
fn map_sizes(
    object: &Object<'_>,
    options: &LoadOptions,
    page: usize,
) -> Result<BTreeMap<String, u32>, LoadError> {
    let mut sizes = BTreeMap::new();
    for (map, entries) in &options.max_entries {
        match object.map(map) {
            Some(found) if found.kind != kind::RINGBUF => sizes.insert(map.clone(), *entries),
            Some(_) => {
                return Err(size_error(
                    map,
                    "it is a ring buffer, which is sized in bytes",
                ));
            }
            None => return Err(size_error(map, "the object has none of that name")),
        };
    }
    for map in options.ring_sizes.keys() {
        match object.map(map) {
            Some(found) if found.kind == kind::RINGBUF => {}
            Some(_) => return Err(size_error(map, "it is not a ring buffer")),
            None => return Err(size_error(map, "the object has none of that name")),
        }
    }
    for map in object.maps().iter().filter(|map| map.kind == kind::RINGBUF) {
        let wanted = options
            .ring_sizes
            .get(&map.name)
            .copied()
            .unwrap_or_else(|| map.max_entries.max(DEFAULT_RING_SIZE));
        let size = ring_size(wanted, page)
            .ok_or_else(|| size_error(&map.name, "at most 2 GiB are possible"))?;
        sizes.insert(map.name.clone(), size);
    }
    Ok(sizes)
}

fn size_error(map: &str, cause: &str) -> LoadError {
    LoadError::MapSize {
        map: map.to_owned(),
        cause: cause.to_owned(),
    }
}

/// Rounded up to what the kernel takes: a power of two, at least a page.
fn ring_size(bytes: u32, page: usize) -> Option<u32> {
    let page = u32::try_from(page).ok()?;
    bytes
        .max(page)
        .checked_next_power_of_two()
        .filter(|size| *size <= LARGEST_RING_SIZE)
}

impl From<ProgramError> for LeftOut {
    fn from(error: ProgramError) -> Self {
        let mut reason = error.cause;
        if let Some(verdict) = error.verifier.last() {
            reason = format!("{reason} ({verdict})");
        }
        Self {
            program: error.program,
            hook: error.hook,
            reason,
        }
    }
}

#[derive(Debug)]
struct LoadedProgram {
    name: String,
    hook: Hook,
    optional: bool,
    /// The source puts it into a map of programs.
    called: bool,
    attachment: Option<Attachment>,
}

/// An object in the kernel. Dropping it detaches and unloads everything; nothing is pinned, so the end of the
/// process, however it comes, does the same. Rings and maps taken from it stay readable.
#[derive(Debug)]
pub struct Loaded {
    // Fields drop in this order: off the hooks before the programs go.
    programs: Vec<LoadedProgram>,
    left_out: Vec<LeftOut>,
    taken: BTreeSet<String>,
    possible_cpus: usize,
    ebpf: Ebpf,
}

impl Loaded {
    /// Hangs the programs onto their hooks, the fork follower first, the others as the object orders them.
    ///
    /// # Errors
    ///
    /// A program that is not optional could not be attached; those before it are detached again.
    pub fn attach(&mut self) -> Result<(), LoadError> {
        let mut tracefs = None;
        let mut failed = None;
        let Self {
            programs,
            left_out,
            ebpf,
            ..
        } = self;
        programs.retain_mut(|program| {
            let only_called = program.called
                && matches!(
                    program.hook,
                    Hook::Uprobe { target: None, .. } | Hook::SocketFilter
                );
            if failed.is_some() || program.attachment.is_some() || only_called {
                return true;
            }
            let attached = match ebpf.program_mut(&program.name) {
                Some(loaded) => attach::attach(&program.name, &program.hook, loaded, &mut tracefs),
                None => Err(prepared::missing_program(&program.name, &program.hook, &[])),
            };
            match attached {
                Ok(attachment) => program.attachment = Some(attachment),
                Err(error) if program.optional => {
                    left_out.push(LeftOut::from(error));
                    return false;
                }
                Err(error) => failed = Some(error),
            }
            true
        });
        match failed {
            None => Ok(()),
            Some(error) => {
                self.detach();
                Err(error.into())
            }
        }
    }

    /// Whether the programs really have the set that others fill: where aya does not find it, it makes a map.
    fn check_shared(&self, cgroups: &CgroupFilter) -> Result<(), LoadError> {
        let error = |cause: String| {
            LoadError::Kernel(format!("cannot share the map {FILTER_MAP:?}: {cause}"))
        };
        let map = self
            .map(FILTER_MAP)
            .map_err(|cause| error(cause.to_string()))?;
        if map.fd().info().id == cgroups.id() {
            return Ok(());
        }
        Err(error(
            "the loader has made one of its own; is a procfs mounted at /proc?".to_owned(),
        ))
    }

    /// Puts programs into the slots of maps where the source has them (`__array(values, ...)`); aya does not. Slots of
    /// programs that were left out stay empty: a tail call to them falls through.
    fn fill_slots(&self, values: &[MapValue]) -> Result<(), LoadError> {
        for value in values {
            let error = |cause: String| {
                let MapValue { map, slot, target } = value;
                LoadError::Kernel(format!(
                    "cannot put {target:?} into slot {slot} of the map {map:?}: {cause}"
                ))
            };
            let Some(fd) = self
                .ebpf
                .program(&value.target)
                .and_then(|program| program.fd().ok())
            else {
                continue;
            };
            let map = self
                .map(&value.map)
                .map_err(|cause| error(cause.to_string()))?;
            let fd = fd.as_fd().as_raw_fd();
            map.update(&value.slot.to_ne_bytes(), &fd.to_ne_bytes(), Update::Any)
                .map_err(|cause| error(cause.to_string()))?;
        }
        Ok(())
    }

    /// Takes the programs off their hooks. When it returns, no program starts any more; one that runs on another CPU
    /// may still finish its record. Maps, rings and counters stay readable. A process that this one has forked meanwhile
    /// and that has not executed its program yet holds copies of the links and delays it.
    pub fn detach(&mut self) {
        let programs = self.programs.iter_mut();
        attach::detach(programs.filter_map(|program| program.attachment.take()));
    }

    /// An iterator that is attached; none: there is no such program, it is no iterator, or it was left out.
    ///
    /// # Errors
    ///
    /// There are no more descriptors.
    pub fn iterator(&self, program: &str) -> io::Result<Option<BpfIterator>> {
        let found = self.programs.iter().find(|p| p.name == program);
        let Some((target, link)) = found.and_then(|found| match &found.hook {
            Hook::Iterator { target } => Some((target, found.attachment.as_ref()?.iterator()?)),
            _ => None,
        }) else {
            return Ok(None);
        };
        let link = link.try_clone_to_owned()?;
        Ok(Some(BpfIterator::new(program, target, link)))
    }

    /// The socket filters that are attached, for [`SocketFilter::open_in`].
    ///
    /// # Errors
    ///
    /// There are no more descriptors.
    pub fn socket_filters(&self) -> io::Result<Vec<SocketFilter>> {
        let attached = self.programs.iter().filter_map(|program| {
            let slot = program.attachment.as_ref()?.socket_filter()?;
            Some(slot.filter(&program.name))
        });
        attached.collect()
    }

    /// There are socket filters, attached or not.
    #[must_use]
    pub fn has_socket_filters(&self) -> bool {
        let mut programs = self.programs.iter();
        programs.any(|program| matches!(program.hook, Hook::SocketFilter))
    }

    /// Programs that were optional and could not be loaded or attached.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Programs that are loaded, with what they hook, in the order of attaching.
    pub fn programs(&self) -> impl Iterator<Item = (&str, String)> {
        self.programs
            .iter()
            .map(|program| (program.name.as_str(), hook_text(&program.hook)))
    }

    /// Opens a ring buffer for reading: once, since a ring has one consumer.
    ///
    /// # Errors
    ///
    /// There is no such ring, it was opened before, or the kernel did not let us map it.
    pub fn ring(&mut self, map: &str) -> Result<Ring, RingError> {
        let name = || map.to_owned();
        if self.taken.contains(map) {
            return Err(RingError::Taken { map: name() });
        }
        let opened = match self.map(map) {
            Ok(opened) => opened,
            Err(MapError::System { error, .. }) => {
                return Err(RingError::Map {
                    map: name(),
                    size: 0,
                    error,
                });
            }
            Err(_) => return Err(RingError::NoSuchMap { map: name() }),
        };
        let info = *opened.fd().info();
        let fd = opened
            .fd()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| RingError::Map {
                map: name(),
                size: info.max_entries,
                error,
            })?;
        let wakeup = format!("{map}{WAKEUP_SUFFIX}");
        let wakeup = self
            .has_map(&wakeup)
            .then(|| self.map(&wakeup))
            .transpose()
            .map_err(|error| RingError::Wakeup {
                map: wakeup.clone(),
                error: io::Error::other(error),
            })?;
        let ring = Ring::open(map, fd, &info, wakeup.as_ref())?;
        self.taken.insert(name());
        Ok(ring)
    }

    /// A map by its name in the object. The handle is independent: it stays usable after `self` is gone.
    ///
    /// # Errors
    ///
    /// There is no such map, or no descriptors are left.
    pub fn map(&self, name: &str) -> Result<Map, MapError> {
        let map = self.ebpf.map(name).ok_or_else(|| MapError::NoSuchMap {
            map: name.to_owned(),
        })?;
        let fd: OwnedFd = map_data(map)
            .fd()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| MapError::System {
                map: name.to_owned(),
                action: "open",
                error,
            })?;
        Map::open(name, fd, self.possible_cpus)
    }

    /// Whether the object has a map of this name.
    #[must_use]
    pub fn has_map(&self, name: &str) -> bool {
        self.ebpf.map(name).is_some()
    }

    /// What the programs counted for a ring; `None` when the object reserves without the headers' macros, so that
    /// losses are unknown.
    ///
    /// # Errors
    ///
    /// The ledger's map is not what the headers declare, or can't be read.
    pub fn ledger(&self, ring: &str) -> Result<Option<Ledger>, MapError> {
        let name = format!("{ring}{LEDGER_SUFFIX}");
        if !self.has_map(&name) {
            return Ok(None);
        }
        Ledger::read(&self.map(&name)?).map(Some)
    }

    /// Events that programs did not count because it was not decided yet whether their cgroup is wanted; `None` when the object
    /// does not ask `gadget/count.h`.
    ///
    /// # Errors
    ///
    /// The counter's map is not what the header declares, or can't be read.
    pub fn uncounted(&self) -> Result<Option<u64>, MapError> {
        if !self.has_map(ledger::UNCOUNTED_MAP) {
            return Ok(None);
        }
        ledger::uncounted(&self.map(ledger::UNCOUNTED_MAP)?).map(Some)
    }

    /// What the kernel counted for each loaded program.
    ///
    /// # Errors
    ///
    /// The kernel did not answer.
    pub fn stats(&self) -> Result<Vec<ProgramStats>, LoadError> {
        let mut stats = Vec::new();
        for LoadedProgram { name, .. } in &self.programs {
            let error = |error| LoadError::Stats {
                program: name.clone(),
                error,
            };
            let fd = self
                .ebpf
                .program(name)
                .and_then(|program| program.fd().ok());
            let fd = fd.ok_or_else(|| error(std::io::ErrorKind::NotFound.into()))?;
            stats.push(ProgramStats::read(name, fd.as_fd()).map_err(error)?);
        }
        Ok(stats)
    }

    /// Marks a process, all its threads and, through the fork follower, all children they make from now on. Programs
    /// see only marked ones if the variable `gadget_filter_followed` is set.
    ///
    /// # Errors
    ///
    /// The object lacks the headers' map, or there is no such process.
    pub fn follow(&self, pid: u32) -> Result<(), FollowError> {
        let map = self.map(FOLLOWED_MAP).map_err(|error| match error {
            MapError::System { error, .. } => FollowError::System { pid, error },
            _ => FollowError::Unsupported,
        })?;
        follow::follow(&map, pid)
    }
}

fn map_data(map: &aya::maps::Map) -> &MapData {
    use aya::maps::Map::{
        Array, ArrayOfMaps, BloomFilter, CgroupArray, CgroupStorage, CgrpStorage, CpuMap, DevMap,
        DevMapHash, HashMap, HashOfMaps, InodeStorage, LpmTrie, LruHashMap, PerCpuArray,
        PerCpuCgroupStorage, PerCpuHashMap, PerCpuLruHashMap, PerfEventArray, ProgramArray, Queue,
        ReusePortSockArray, RingBuf, SkStorage, SockHash, SockMap, Stack, StackTraceMap,
        Unsupported, XskMap,
    };
    match map {
        Array(data)
        | ArrayOfMaps(data)
        | BloomFilter(data)
        | CgroupArray(data)
        | CgroupStorage(data)
        | CgrpStorage(data)
        | CpuMap(data)
        | DevMap(data)
        | DevMapHash(data)
        | HashMap(data)
        | HashOfMaps(data)
        | InodeStorage(data)
        | LpmTrie(data)
        | LruHashMap(data)
        | PerCpuArray(data)
        | PerCpuCgroupStorage(data)
        | PerCpuHashMap(data)
        | PerCpuLruHashMap(data)
        | PerfEventArray(data)
        | ProgramArray(data)
        | Queue(data)
        | ReusePortSockArray(data)
        | RingBuf(data)
        | SkStorage(data)
        | SockHash(data)
        | SockMap(data)
        | Stack(data)
        | StackTraceMap(data)
        | Unsupported(data)
        | XskMap(data) => data,
    }
}

#[cfg(test)]
mod tests {
    use super::ring_size;

    #[test]
    fn rings_are_powers_of_two_of_at_least_a_page() {
        assert_eq!(ring_size(0, 4096), Some(4096));
        assert_eq!(ring_size(4096, 4096), Some(4096));
        assert_eq!(ring_size(4097, 4096), Some(8192));
        assert_eq!(ring_size(5 << 20, 4096), Some(8 << 20));
        assert_eq!(ring_size(1, 65536), Some(65536));
        assert_eq!(ring_size(1 << 31, 4096), Some(1 << 31));
        assert_eq!(ring_size((1 << 31) + 1, 4096), None);
    }
}
