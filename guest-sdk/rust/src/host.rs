//! The host's functions: the contract's imports, or a stand-in where the guest is not WebAssembly.
//!
//! The bindings are written out by hand against the canonical ABI of `ig:gadget@0.1.0`: a guest then needs no
//! package from a registry, builds in a second, and hands columns over without copying or allocating. Encoding the
//! component checks every signature against the WIT, and a test of the build checks the layouts.

#[cfg(not(target_family = "wasm"))]
pub use crate::testing::host::*;
#[cfg(target_family = "wasm")]
pub use canonical::*;

#[cfg(target_family = "wasm")]
mod canonical {
    use crate::containers::Owner;
    use crate::emit::{Column, Emit};
    use crate::log::Level;
    use std::mem::MaybeUninit;

    #[link(wasm_import_module = "ig:gadget/tables@0.1.0")]
    unsafe extern "C" {
        #[link_name = "emit"]
        fn tables_emit(
            table: u32,
            rows: u32,
            origin: *const u32,
            origin_length: usize,
            columns: *const Column<'_>,
            columns_length: usize,
            answer: *mut Answer,
        );
        #[link_name = "end-frame"]
        fn tables_end_frame(table: u32);
        #[link_name = "wanted"]
        fn tables_wanted(table: u32, answer: *mut List);
    }

    #[link(wasm_import_module = "ig:gadget/log@0.1.0")]
    unsafe extern "C" {
        #[link_name = "write"]
        fn log_write(level: u32, text: *const u8, length: usize);
    }

    #[link(wasm_import_module = "ig:gadget/params@0.1.0")]
    unsafe extern "C" {
        #[link_name = "get"]
        fn params_get(param: u32, answer: *mut List);
    }

    #[link(wasm_import_module = "ig:gadget/clock@0.1.0")]
    unsafe extern "C" {
        #[link_name = "boot"]
        fn import_clock_boot() -> u64;
        #[link_name = "wall"]
        fn import_clock_wall() -> u64;
    }

    #[link(wasm_import_module = "ig:gadget/maps@0.1.0")]
    unsafe extern "C" {
        #[link_name = "lookup"]
        fn maps_lookup(grant: u32, key: *const u8, key_length: usize, answer: *mut Found);
        #[link_name = "update"]
        fn maps_update(
            grant: u32,
            key: *const u8,
            key_length: usize,
            value: *const u8,
            value_length: usize,
            answer: *mut Answer,
        );
        #[link_name = "delete"]
        fn maps_delete(grant: u32, key: *const u8, key_length: usize, answer: *mut Answer);
        #[link_name = "read-all"]
        fn maps_read_all(grant: u32, answer: *mut Answer);
    }

    #[link(wasm_import_module = "ig:gadget/timers@0.1.0")]
    unsafe extern "C" {
        #[link_name = "every"]
        fn timers_every(period: u64, answer: *mut Answer);
        #[link_name = "once"]
        fn timers_once(delay: u64, answer: *mut Answer);
        #[link_name = "cancel"]
        fn timers_cancel(timer: u32);
    }

    #[link(wasm_import_module = "ig:gadget/containers@0.1.0")]
    unsafe extern "C" {
        #[link_name = "of-records"]
        fn containers_of_records(offsets: *const u32, length: usize, answer: *mut List);
        #[link_name = "by-cgroup"]
        fn containers_by_cgroup(cgroups: *const u64, length: usize, answer: *mut List);
        #[link_name = "by-mount-namespace"]
        fn containers_by_mount_namespace(namespace: u64, at: u64) -> u32;
        #[link_name = "by-id"]
        fn containers_by_id(id: *const u8, length: usize) -> u32;
        #[link_name = "field"]
        fn containers_field(
            owners: *const Owner,
            owners_length: usize,
            name: *const u8,
            name_length: usize,
            answer: *mut Answer,
        );
    }

    /// A list or string that the host made with `cabi_realloc`.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct List {
        start: *mut u8,
        length: usize,
    }

    impl List {
        /// Takes the memory.
        ///
        /// # Safety
        ///
        /// The host has just filled this in for a list whose elements are `T`, and nobody took it yet.
        unsafe fn take<T>(self) -> Vec<T> {
            if self.length == 0 {
                return Vec::new();
            }
            // SAFETY: the host asked `cabi_realloc`, which is the global allocator, for exactly `length` elements with
            // T's alignment, and filled them (canonical ABI, store_list).
            unsafe { Vec::from_raw_parts(self.start.cast(), self.length, self.length) }
        }

        /// Takes the memory as text.
        ///
        /// # Safety
        ///
        /// As for `take::<u8>`.
        unsafe fn text(self) -> String {
            // SAFETY: the caller's promise.
            let bytes = unsafe { self.take::<u8>() };
            String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
        }
    }

    /// A `result<_, string>`, or one whose value is a bool, a u32 or a list: 12 bytes, aligned to 4.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Answer {
        failed: u8,
        value: List,
    }

    impl Answer {
        /// The first byte of the value: a bool.
        fn bool(&self) -> bool {
            self.value.start.addr() & 0xff != 0
        }

        /// The first word of the value: a u32.
        fn number(&self) -> u32 {
            self.value.start.addr() as u32
        }

        /// `Ok` with itself, or the reason.
        ///
        /// # Safety
        ///
        /// The host has just filled this in, and nobody took its list yet.
        unsafe fn check(self) -> Result<Self, String> {
            if self.failed == 0 {
                return Ok(self);
            }
            // SAFETY: on failure the value is a string.
            Err(unsafe { self.value.text() })
        }
    }

    /// A `result<option<list<u8>>, string>`: 16 bytes, aligned to 4.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Found {
        failed: u8,
        /// The option's discriminant (a byte), or the start of the reason.
        some: usize,
        /// The start of the list, or the length of the reason.
        start: usize,
        length: usize,
    }

    /// An `option<string>`: 12 bytes, aligned to 4.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct OptionalText {
        some: u8,
        text: List,
    }

    const ZERO_LIST: List = List {
        start: std::ptr::null_mut(),
        length: 0,
    };
    const ZERO_ANSWER: Answer = Answer {
        failed: 0,
        value: ZERO_LIST,
    };

    /// Hands rows over.
    ///
    /// # Errors
    ///
    /// The rows are over the budget; none was taken.
    pub fn emit(emit: &Emit<'_>) -> Result<(), String> {
        let mut answer = ZERO_ANSWER;
        // SAFETY: the pointers and lengths are of live slices in the canonical ABI's layouts, and the host fills in the
        // answer before it returns.
        unsafe {
            tables_emit(
                u32::from(emit.table),
                emit.rows,
                emit.origin.as_ptr(),
                emit.origin.len(),
                emit.columns.as_ptr(),
                emit.columns.len(),
                &raw mut answer,
            );
            answer.check().map(|_| ())
        }
    }

    /// Ends a frame of a table.
    pub fn end_frame(table: u16) {
        // SAFETY: numbers only.
        unsafe { tables_end_frame(u32::from(table)) }
    }

    /// The columns of a table that somebody needs now, ascending.
    #[must_use]
    pub fn wanted(table: u16) -> Vec<u16> {
        let mut answer = ZERO_LIST;
        // SAFETY: the host fills in a list of u16.
        unsafe {
            tables_wanted(u32::from(table), &raw mut answer);
            answer.take()
        }
    }

    /// Writes to the host's log.
    pub fn log(level: Level, text: &str) {
        // SAFETY: pointer and length are of a live str.
        unsafe { log_write(level as u32, text.as_ptr(), text.len()) }
    }

    /// The value of a parameter.
    #[must_use]
    pub fn param(index: u16) -> String {
        let mut answer = ZERO_LIST;
        // SAFETY: the host fills in a string.
        unsafe {
            params_get(u32::from(index), &raw mut answer);
            answer.text()
        }
    }

    /// Nanoseconds of CLOCK_BOOTTIME.
    #[must_use]
    pub fn clock_boot() -> u64 {
        // SAFETY: numbers only.
        unsafe { import_clock_boot() }
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn clock_wall() -> u64 {
        // SAFETY: numbers only.
        unsafe { import_clock_wall() }
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// The host's reason.
    pub fn map_lookup(grant: u16, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let mut answer = MaybeUninit::<Found>::zeroed();
        // SAFETY: pointer and length are of a live slice; the host fills in the answer, of which all bytes were
        // initialized before.
        let found = unsafe {
            maps_lookup(
                u32::from(grant),
                key.as_ptr(),
                key.len(),
                answer.as_mut_ptr(),
            );
            answer.assume_init()
        };
        let list = |start: usize, length: usize| List {
            start: std::ptr::with_exposed_provenance_mut(start),
            length,
        };
        // SAFETY: the discriminants say which list the host has put where.
        unsafe {
            match (found.failed, found.some & 0xff) {
                (0, 0) => Ok(None),
                (0, _) => Ok(Some(list(found.start, found.length).take())),
                _ => Err(list(found.some, found.start).text()),
            }
        }
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    ///
    /// The host's reason.
    pub fn map_update(grant: u16, key: &[u8], value: &[u8]) -> Result<(), String> {
        let mut answer = ZERO_ANSWER;
        // SAFETY: pointers and lengths are of live slices; the host fills in the answer.
        unsafe {
            maps_update(
                u32::from(grant),
                key.as_ptr(),
                key.len(),
                value.as_ptr(),
                value.len(),
                &raw mut answer,
            );
            answer.check().map(|_| ())
        }
    }

    /// Removes a key; false when there was none.
    ///
    /// # Errors
    ///
    /// The host's reason.
    pub fn map_delete(grant: u16, key: &[u8]) -> Result<bool, String> {
        let mut answer = ZERO_ANSWER;
        // SAFETY: pointer and length are of a live slice; the host fills in the answer.
        unsafe {
            maps_delete(u32::from(grant), key.as_ptr(), key.len(), &raw mut answer);
            answer.check().map(|answer| answer.bool())
        }
    }

    /// All entries of a map, in span framing.
    ///
    /// # Errors
    ///
    /// The host's reason.
    pub fn map_read_all(grant: u16) -> Result<Vec<u8>, String> {
        let mut answer = ZERO_ANSWER;
        // SAFETY: the host fills in the answer; a success holds a list of bytes.
        unsafe {
            maps_read_all(u32::from(grant), &raw mut answer);
            answer.check().map(|answer| answer.value.take())
        }
    }

    /// Sets a timer that repeats.
    ///
    /// # Errors
    ///
    /// The host's reason.
    pub fn timer_every(period: u64) -> Result<u32, String> {
        let mut answer = ZERO_ANSWER;
        // SAFETY: the host fills in the answer.
        unsafe {
            timers_every(period, &raw mut answer);
            answer.check().map(|answer| answer.number())
        }
    }

    /// Sets a timer that fires once.
    ///
    /// # Errors
    ///
    /// The host's reason.
    pub fn timer_once(delay: u64) -> Result<u32, String> {
        let mut answer = ZERO_ANSWER;
        // SAFETY: the host fills in the answer.
        unsafe {
            timers_once(delay, &raw mut answer);
            answer.check().map(|answer| answer.number())
        }
    }

    /// Stops a timer.
    pub fn timer_cancel(timer: u32) {
        // SAFETY: numbers only.
        unsafe { timers_cancel(timer) }
    }

    /// The owners of records of the span that is being processed.
    #[must_use]
    pub fn owners_of_records(offsets: &[u32]) -> Vec<Owner> {
        let mut answer = ZERO_LIST;
        // SAFETY: pointer and length are of a live slice; the host fills in a list of u32, which is what an Owner is.
        unsafe {
            containers_of_records(offsets.as_ptr(), offsets.len(), &raw mut answer);
            answer.take()
        }
    }

    /// The owners of cgroups.
    #[must_use]
    pub fn owners_by_cgroup(cgroups: &[u64]) -> Vec<Owner> {
        let mut answer = ZERO_LIST;
        // SAFETY: as above.
        unsafe {
            containers_by_cgroup(cgroups.as_ptr(), cgroups.len(), &raw mut answer);
            answer.take()
        }
    }

    /// The owner of a mount namespace at a time.
    #[must_use]
    pub fn owner_by_mount_namespace(namespace: u64, at: u64) -> Owner {
        // SAFETY: numbers only.
        Owner::from_raw(unsafe { containers_by_mount_namespace(namespace, at) })
    }

    /// The container with an id.
    #[must_use]
    pub fn owner_by_id(id: &str) -> Owner {
        // SAFETY: pointer and length are of a live str.
        Owner::from_raw(unsafe { containers_by_id(id.as_ptr(), id.len()) })
    }

    /// A field of owners.
    ///
    /// # Errors
    ///
    /// The host's reason.
    pub fn owner_fields(owners: &[Owner], name: &str) -> Result<Vec<Option<String>>, String> {
        let mut answer = ZERO_ANSWER;
        // SAFETY: pointers and lengths are of live slices; the host fills in the answer, and a success holds a list of
        // options, each of which has a text of its own where its discriminant says so.
        unsafe {
            containers_field(
                owners.as_ptr(),
                owners.len(),
                name.as_ptr(),
                name.len(),
                &raw mut answer,
            );
            let texts: Vec<OptionalText> = answer.check()?.value.take();
            let text = |text: OptionalText| (text.some != 0).then(|| text.text.text());
            Ok(texts.into_iter().map(text).collect())
        }
    }

    /// What `export!` makes the component's exports of.
    pub mod exports {
        use crate::verdict::Verdict;

        /// The result of `init`: `result<_, string>`.
        #[repr(C)]
        #[derive(Debug)]
        pub struct Started {
            failed: u8,
            reason: *const u8,
            length: usize,
        }

        /// Puts a result of `init` where the host reads it. Happens once in a guest's life, so it is never freed.
        #[must_use]
        pub fn started(result: Result<(), String>) -> *const Started {
            let failed = u8::from(result.is_err());
            let reason: &'static str = result.err().unwrap_or_default().leak();
            Box::leak(Box::new(Started {
                failed,
                reason: reason.as_ptr(),
                length: reason.len(),
            }))
        }

        /// The result of `process`, where the host reads it when the call has returned.
        #[repr(transparent)]
        #[derive(Debug)]
        pub struct Place(std::cell::UnsafeCell<Verdict>);

        // SAFETY: WebAssembly without the threads proposal has one thread, and the host calls one function at a time.
        unsafe impl Sync for Place {}

        impl Place {
            /// Nothing there yet.
            #[must_use]
            pub const fn new() -> Self {
                Self(std::cell::UnsafeCell::new(Verdict {
                    accepted: 0,
                    dropped: 0,
                    malformed: 0,
                }))
            }

            /// Puts a verdict there.
            pub fn set(&self, verdict: Verdict) -> *const Verdict {
                // SAFETY: no reference to the inside is ever made, and there is one thread.
                unsafe { *self.0.get() = verdict };
                self.0.get()
            }
        }

        impl Default for Place {
            fn default() -> Self {
                Self::new()
            }
        }

        /// Takes the span of a call of `process`, which the host made with [`realloc`].
        ///
        /// # Safety
        ///
        /// Only for the arguments of a call by the host, once.
        #[must_use]
        pub unsafe fn span(start: *mut u8, length: usize) -> Vec<u8> {
            // SAFETY: the host asked `realloc` for exactly `length` bytes and filled them.
            unsafe { super::List { start, length }.take() }
        }

        /// Takes the owners of a call of `container-watcher`, which the host made with [`realloc`].
        ///
        /// # Safety
        ///
        /// Only for the arguments of a call by the host, once.
        #[must_use]
        pub unsafe fn owners(start: *mut u8, length: usize) -> Vec<crate::containers::Owner> {
            // SAFETY: the host asked `realloc` for exactly `length` u32 and filled them.
            unsafe { super::List { start, length }.take() }
        }

        /// The canonical ABI's `realloc`: memory of the global allocator.
        ///
        /// # Safety
        ///
        /// `old` of `old_size` bytes came from here with the same `align`, which is a power of two, or is null.
        pub unsafe fn realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
            use std::alloc::{Layout, alloc, handle_alloc_error, realloc};
            let Ok(layout) = Layout::from_size_align(size, align) else {
                std::process::abort()
            };
            if size == 0 {
                return std::ptr::without_provenance_mut(align);
            }
            // SAFETY: the size is not 0; the old memory is the caller's promise.
            let start = unsafe {
                if old_size == 0 {
                    alloc(layout)
                } else {
                    realloc(
                        old,
                        Layout::from_size_align_unchecked(old_size, align),
                        size,
                    )
                }
            };
            if start.is_null() {
                handle_alloc_error(layout);
            }
            start
        }
    }
}
