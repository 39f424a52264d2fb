//! Columns under construction: Arrow buffers, written value by value.
//!
//! Every node has validity bits (lowest first, 1 = valid; empty: no nulls), then values or offsets and what they
//! point into. Buffers are cleared and used again, so that a running gadget does not allocate.

use crate::emit::{Buffer, Buffers};
use crate::text::Text as TextValue;

#[cfg(target_endian = "big")]
compile_error!(
    "the contract's buffers are little endian, and numbers are handed over as they lie in memory"
);

/// A column, or a part of one.
pub trait Column: Default {
    /// The number of buffers that it hands over.
    const BUFFERS: usize;

    /// The number of values.
    fn len(&self) -> usize;

    /// Whether there are no values.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a null.
    fn push_null(&mut self);

    /// Keeps the first `len` values.
    fn truncate(&mut self, len: usize);

    /// Keeps nothing but the memory.
    fn clear(&mut self) {
        self.truncate(0);
    }

    /// Adds the buffers, depth first, to what is handed over.
    fn buffers<'a, const N: usize>(&'a self, to: &mut Buffers<'a, N>);
}

/// A column that takes values of type `V`.
pub trait Push<V>: Column {
    /// Appends a value.
    fn push(&mut self, value: V);
}

/// Which values are not null. Nothing is kept until there is a null.
#[derive(Clone, Debug, Default)]
pub struct Validity {
    bits: Vec<u8>,
}

impl Validity {
    /// Value `at`, the next one, is valid.
    #[inline(always)]
    pub fn valid(&mut self, at: usize) {
        if !self.bits.is_empty() {
            self.append(at, true);
        }
    }

    /// Value `at`, the next one, is null.
    pub fn null(&mut self, at: usize) {
        if self.bits.is_empty() {
            self.bits.resize(at / 8, 0xff);
            if !at.is_multiple_of(8) {
                self.bits.push((1 << (at % 8)) - 1);
            }
        }
        self.append(at, false);
    }

    fn append(&mut self, at: usize, valid: bool) {
        if at.is_multiple_of(8) {
            self.bits.push(u8::from(valid));
        } else if let Some(last) = self.bits.last_mut() {
            *last |= u8::from(valid) << (at % 8);
        }
    }

    /// Keeps the first `len` values.
    pub fn truncate(&mut self, len: usize) {
        self.bits.truncate(len.div_ceil(8));
        if !len.is_multiple_of(8)
            && self.bits.len() == len.div_ceil(8)
            && let Some(last) = self.bits.last_mut()
        {
            *last &= (1 << (len % 8)) - 1;
        }
    }

    /// The bits.
    #[must_use]
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }
}

mod sealed {
    /// Types whose bytes are all initialized and mean the same in the contract.
    pub trait Plain: Copy + Default {}
}

/// A number or a bool: a value of fixed size, without padding.
pub trait Scalar: sealed::Plain {}

macro_rules! scalars {
    ($($type:ty)*) => {
        $(
            impl sealed::Plain for $type {}
            impl Scalar for $type {}
        )*
    };
}

scalars!(bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);

/// The bytes of numbers as they lie in memory.
pub(crate) fn bytes_of<T: Scalar>(values: &[T]) -> &[u8] {
    // SAFETY: a scalar has no padding, so all its bytes are initialized; u8 needs no alignment; the length is the
    // slice's own size in bytes, and the borrow is kept.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Numbers or bools.
#[derive(Clone, Debug, Default)]
pub struct Numbers<T> {
    validity: Validity,
    values: Vec<T>,
}

impl<T: Scalar> Column for Numbers<T> {
    const BUFFERS: usize = 2;

    #[inline(always)]
    fn len(&self) -> usize {
        self.values.len()
    }

    fn push_null(&mut self) {
        self.validity.null(self.values.len());
        self.values.push(T::default());
    }

    fn truncate(&mut self, len: usize) {
        self.validity.truncate(len);
        self.values.truncate(len);
    }

    #[inline]
    fn buffers<'a, const N: usize>(&'a self, to: &mut Buffers<'a, N>) {
        to.add(Buffer::new(self.validity.bits()));
        to.add(Buffer::new(bytes_of(&self.values)));
    }
}

impl<T: Scalar> Push<T> for Numbers<T> {
    #[inline(always)]
    fn push(&mut self, value: T) {
        self.validity.valid(self.values.len());
        self.values.push(value);
    }
}

impl<T: Scalar> Push<Option<T>> for Numbers<T> {
    #[inline(always)]
    fn push(&mut self, value: Option<T>) {
        match value {
            Some(value) => self.push(value),
            None => self.push_null(),
        }
    }
}

/// Text or bytes.
#[derive(Clone, Debug)]
pub struct Texts {
    validity: Validity,
    /// One more than there are values; begins with 0.
    offsets: Vec<i32>,
    data: Vec<u8>,
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            validity: Validity::default(),
            offsets: vec![0],
            data: Vec::new(),
        }
    }
}

impl Column for Texts {
    const BUFFERS: usize = 3;

    #[inline(always)]
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn push_null(&mut self) {
        self.validity.null(self.len());
        self.offsets.push(self.data.len() as i32);
    }

    fn truncate(&mut self, len: usize) {
        self.validity.truncate(len);
        self.offsets.truncate(len + 1);
        self.data
            .truncate(self.offsets.last().copied().unwrap_or(0) as usize);
    }

    #[inline]
    fn buffers<'a, const N: usize>(&'a self, to: &mut Buffers<'a, N>) {
        to.add(Buffer::new(self.validity.bits()));
        to.add(Buffer::new(bytes_of(&self.offsets)));
        to.add(Buffer::new(&self.data));
    }
}

impl<V: TextValue> Push<V> for Texts {
    #[inline(always)]
    fn push(&mut self, value: V) {
        if value.append(&mut self.data) {
            self.validity.valid(self.len());
            self.offsets.push(self.data.len() as i32);
        } else {
            self.push_null();
        }
    }
}

/// Lists: any number of values of one column each.
#[derive(Clone, Debug)]
pub struct Lists<C> {
    validity: Validity,
    /// One more than there are values; begins with 0.
    offsets: Vec<i32>,
    items: C,
}

impl<C: Default> Default for Lists<C> {
    fn default() -> Self {
        Self {
            validity: Validity::default(),
            offsets: vec![0],
            items: C::default(),
        }
    }
}

impl<C: Column> Column for Lists<C> {
    const BUFFERS: usize = 2 + C::BUFFERS;

    #[inline(always)]
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn push_null(&mut self) {
        self.validity.null(self.len());
        self.offsets.push(self.items.len() as i32);
    }

    fn truncate(&mut self, len: usize) {
        self.validity.truncate(len);
        self.offsets.truncate(len + 1);
        self.items
            .truncate(self.offsets.last().copied().unwrap_or(0) as usize);
    }

    fn buffers<'a, const N: usize>(&'a self, to: &mut Buffers<'a, N>) {
        to.add(Buffer::new(self.validity.bits()));
        to.add(Buffer::new(bytes_of(&self.offsets)));
        self.items.buffers(to);
    }
}

impl<C, I> Push<I> for Lists<C>
where
    I: IntoIterator,
    C: Push<I::Item>,
{
    #[inline]
    fn push(&mut self, items: I) {
        self.validity.valid(self.len());
        for item in items {
            self.items.push(item);
        }
        self.offsets.push(self.items.len() as i32);
    }
}

/// A list that may be null, wherever a column takes a list: `Nullable(Some(items))` is the list of these items,
/// `Nullable(None)` is null.
///
/// An `Option` alone is what it is elsewhere in Rust: it iterates, and so is a list of one item or of none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nullable<I>(pub Option<I>);

impl<I> From<Option<I>> for Nullable<I> {
    fn from(items: Option<I>) -> Self {
        Self(items)
    }
}

impl<C, I> Push<Nullable<I>> for Lists<C>
where
    I: IntoIterator,
    C: Push<I::Item>,
{
    #[inline]
    fn push(&mut self, items: Nullable<I>) {
        match items.0 {
            Some(items) => self.push(items),
            None => self.push_null(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<C: Column>(column: &C) -> Vec<Vec<u8>> {
        let mut buffers = Buffers::<8>::new();
        column.buffers(&mut buffers);
        let all: Vec<Vec<u8>> = buffers
            .all()
            .iter()
            .map(|buffer| buffer.bytes().to_vec())
            .collect();
        assert_eq!(all.len(), C::BUFFERS);
        all
    }

    fn offsets(offsets: &[i32]) -> Vec<u8> {
        offsets
            .iter()
            .flat_map(|offset| offset.to_le_bytes())
            .collect()
    }

    #[test]
    fn numbers_without_nulls_have_no_validity() {
        let mut column = Numbers::<u16>::default();
        column.push(1);
        column.push(Some(0x0203));
        assert_eq!(all(&column), [vec![], vec![1, 0, 3, 2]]);
    }

    #[test]
    fn a_late_null_marks_all_before_it_valid() {
        let mut column = Numbers::<u8>::default();
        for value in 0..10 {
            column.push(value);
        }
        column.push(None);
        column.push(11);
        assert_eq!(
            all(&column),
            [
                vec![0xff, 0b1011],
                vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 11]
            ]
        );
        column.truncate(11);
        column.push(7);
        assert_eq!(all(&column)[0], [0xff, 0b1011]);
        column.clear();
        column.push(true as u8);
        assert_eq!(all(&column), [vec![], vec![1]]);
    }

    #[test]
    fn validity_is_right_at_every_length() {
        for nulls in 0_u32..1 << 10 {
            let mut column = Numbers::<bool>::default();
            for at in 0..10 {
                column.push((nulls >> at & 1 == 0).then_some(true));
            }
            let bits = !nulls & 0x3ff;
            let expected = if nulls == 0 {
                vec![]
            } else {
                bits.to_le_bytes()[..2].to_vec()
            };
            assert_eq!(all(&column)[0], expected, "{nulls:b}");
        }
    }

    #[test]
    fn texts() {
        let mut column = Texts::default();
        column.push("ls");
        column.push(None::<&str>);
        column.push(&b"\xff/"[..]);
        assert_eq!(
            all(&column),
            [vec![0b101], offsets(&[0, 2, 2, 4]), b"ls\xff/".to_vec()]
        );
        column.truncate(1);
        column.push("x");
        assert_eq!(
            all(&column),
            [vec![0b11], offsets(&[0, 2, 3]), b"lsx".to_vec()]
        );
    }

    #[test]
    fn lists_of_lists() {
        let mut column = Lists::<Lists<Texts>>::default();
        column.push([vec!["a", "bc"], vec![]]);
        column.push_null();
        column.push([["d"]]);
        assert_eq!(column.len(), 3);
        assert_eq!(
            all(&column),
            [
                vec![0b101],
                offsets(&[0, 2, 2, 3]),
                vec![],
                offsets(&[0, 2, 2, 3]),
                vec![],
                offsets(&[0, 1, 3, 4]),
                b"abcd".to_vec()
            ]
        );
        column.truncate(1);
        assert_eq!(all(&column)[6], b"abc");
    }
    #[test]
    fn lists_in_lists_may_be_null() {
        let mut column = Lists::<Lists<Numbers<u8>>>::default();
        column.push([
            Nullable(Some(vec![Some(1), None])),
            Nullable(None),
            Nullable(Some(vec![])),
        ]);
        column.push(Nullable(None::<[[u8; 0]; 0]>));
        column.push(Nullable(Some([[2]])));
        assert_eq!(
            all(&column),
            [
                vec![0b101],
                offsets(&[0, 3, 3, 4]),
                vec![0b1101],
                offsets(&[0, 2, 2, 2, 3]),
                vec![0b101],
                vec![1, 0, 2]
            ]
        );
        column.truncate(1);
        column.push([Some(3)]);
        assert_eq!(
            all(&column)[1..],
            [
                offsets(&[0, 3, 4]),
                vec![0b1101],
                offsets(&[0, 2, 2, 2, 3]),
                vec![0b101],
                vec![1, 0, 3]
            ],
            "an option is a list of one item"
        );
    }
}
