//! What is handed to the host: buffers of columns, in the layout of the component model's canonical ABI.

use crate::host;
use std::marker::PhantomData;

/// A `list<u8>` of the canonical ABI: bytes that live for `'a`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Buffer<'a> {
    start: *const u8,
    length: usize,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> Buffer<'a> {
    /// No bytes.
    pub const EMPTY: Self = Self {
        start: std::ptr::dangling(),
        length: 0,
        bytes: PhantomData,
    };

    /// The bytes.
    #[must_use]
    #[inline(always)]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            start: bytes.as_ptr(),
            length: bytes.len(),
            bytes: PhantomData,
        }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        // SAFETY: only `new` and `EMPTY` make one: of a slice's own pointer and length, whose borrow is kept.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

/// Up to `N` buffers.
#[derive(Debug)]
pub struct Buffers<'a, const N: usize> {
    all: [Buffer<'a>; N],
    used: usize,
}

impl<'a, const N: usize> Buffers<'a, N> {
    /// None yet.
    #[must_use]
    #[inline(always)]
    pub fn new() -> Self {
        Self {
            all: [Buffer::EMPTY; N],
            used: 0,
        }
    }

    /// Adds one. `N` is the sum of the columns' `BUFFERS`, so there is room.
    #[inline(always)]
    pub fn add(&mut self, buffer: Buffer<'a>) {
        if let Some(place) = self.all.get_mut(self.used) {
            *place = buffer;
            self.used += 1;
        }
    }

    /// Those that were added.
    #[must_use]
    #[inline(always)]
    pub fn all(&self) -> &[Buffer<'a>] {
        self.all.get(..self.used).unwrap_or(&self.all)
    }
}

impl<const N: usize> Default for Buffers<'_, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// The contract's record `column`, in the canonical ABI's layout.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    index: u16,
    buffers: *const Buffer<'a>,
    count: usize,
    lives: PhantomData<&'a [Buffer<'a>]>,
}

impl<'a> Column<'a> {
    /// Column `index` of its table, made of `buffers`.
    #[must_use]
    #[inline(always)]
    pub fn new(index: u16, buffers: &'a [Buffer<'a>]) -> Self {
        Self {
            index,
            buffers: buffers.as_ptr(),
            count: buffers.len(),
            lives: PhantomData,
        }
    }

    /// Its place in the table, from 0.
    #[must_use]
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Its buffers.
    #[must_use]
    pub fn buffers(&self) -> &'a [Buffer<'a>] {
        // SAFETY: only `new` makes one: of a slice's own pointer and length, whose borrow is kept.
        unsafe { std::slice::from_raw_parts(self.buffers, self.count) }
    }
}

/// Up to `N` columns.
#[derive(Debug)]
pub struct Columns<'a, const N: usize> {
    all: [Column<'a>; N],
    used: usize,
}

impl<'a, const N: usize> Columns<'a, N> {
    /// None yet.
    #[must_use]
    #[inline(always)]
    pub fn new() -> Self {
        Self {
            all: [Column::new(0, &[]); N],
            used: 0,
        }
    }

    /// Adds column `index`, made of `buffers`. `N` is the number of the table's columns, so there is room.
    #[inline(always)]
    pub fn add(&mut self, index: u16, buffers: &'a [Buffer<'a>]) {
        if let Some(place) = self.all.get_mut(self.used) {
            *place = Column::new(index, buffers);
            self.used += 1;
        }
    }

    /// Those that were added.
    #[must_use]
    #[inline(always)]
    pub fn all(&self) -> &[Column<'a>] {
        self.all.get(..self.used).unwrap_or(&self.all)
    }
}

impl<const N: usize> Default for Columns<'_, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// The rows of a table that are handed over in one call of the host.
#[derive(Clone, Copy, Debug)]
pub struct Emit<'a> {
    /// The table's place in the manifest, from 0.
    pub table: u16,
    /// The number of rows.
    pub rows: u32,
    /// Per row the offset of its record in the call's span, or empty.
    pub origin: &'a [u32],
    /// The columns that the guest computed.
    pub columns: &'a [Column<'a>],
}

impl Emit<'_> {
    /// Hands the rows to the host. When they are over the host's budget, they are lost and the log says so.
    pub fn send(&self) {
        if let Err(reason) = host::emit(self) {
            crate::error!(
                "{} rows of table {} are lost: {reason}",
                self.rows,
                self.table
            );
        }
    }
}
