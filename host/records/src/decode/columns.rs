//! Reading columns: each loop touches one field of all records.

use super::names::VariantNames;
use super::origin::Places;
use super::plan::{Node, Read, width};
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{
    Array as _, ArrayRef, BinaryArray, BooleanArray, ListArray, PrimitiveArray, StructArray,
    new_null_array,
};
use arrow_buffer::{
    ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer,
};
use arrow_schema::DataType as Arrow;
use ig_object::btf::AddressPlace;
use ig_table::DataType;
use std::sync::Arc;

/// Bytes that the copy of text moves at once.
const CHUNK: usize = 16;

pub(super) fn read(node: &Node, span: &[u8], places: &Places) -> ArrayRef {
    let at = At {
        span,
        places,
        offset: node.offset,
    };
    match &node.read {
        Read::Number {
            size,
            signed,
            big,
            data_type,
        } => at.number(*size, *signed, *big, data_type),
        Read::Bits {
            shift,
            bits,
            signed,
            data_type,
        } => at.bits(*shift, *bits, *signed, data_type),
        Read::Truth { size } => {
            let set = |field: &[u8]| field.iter().any(|byte| *byte != 0);
            let values = BooleanBuffer::collect_bool(places.len(), |row| {
                at.field(row, *size).is_some_and(set)
            });
            Arc::new(BooleanArray::new(values, at.nulls(*size)))
        }
        Read::TruthBits { shift, bits } => {
            let values =
                BooleanBuffer::collect_bool(places.len(), |row| at.load(row, *shift, *bits) != 0);
            Arc::new(BooleanArray::new(values, at.nulls(bytes_of(*shift, *bits))))
        }
        Read::Name { shift, bits, names } => at.name(*shift, *bits, names),
        Read::Address(place) => at.address(*place),
        Read::Text { size } => at.text(*size),
        Read::Bytes { size } => at.bytes(*size),
        Read::List {
            len,
            stride,
            item,
            ends_at_zeros,
            data_type,
        } => at.list(*len, *stride, item, *ends_at_zeros, data_type),
        Read::Struct {
            size,
            fields,
            by_first,
            data_type,
        } => at.structure(*size, fields, *by_first, data_type),
    }
}

/// Bytes that bits touch.
fn bytes_of(shift: u32, bits: u32) -> u32 {
    (shift + bits).div_ceil(8)
}

/// A value of every record, at one offset.
struct At<'a> {
    span: &'a [u8],
    places: &'a Places,
    offset: u32,
}

impl At<'_> {
    /// The records in which `size` bytes at the offset do not end inside; none when all do.
    fn nulls(&self, size: u32) -> Option<NullBuffer> {
        let end = u64::from(self.offset) + u64::from(size);
        if end <= u64::from(self.places.shortest) {
            return None;
        }
        let Places { starts, ends, .. } = self.places;
        let inside = BooleanBuffer::collect_bool(self.places.len(), |row| {
            match (starts.get(row), ends.get(row)) {
                (Some(start), Some(limit)) => u64::from(*start) + end <= u64::from(*limit),
                _ => false,
            }
        });
        Some(NullBuffer::new(inside)).filter(|nulls| nulls.null_count() > 0)
    }

    /// The bytes of one record's value, if they are in the span.
    fn field(&self, row: usize, size: u32) -> Option<&[u8]> {
        let start = *self.places.starts.get(row)? as usize + self.offset as usize;
        self.span.get(start..)?.get(..size as usize)
    }

    fn number(&self, size: u32, signed: bool, big: bool, data_type: &DataType) -> ArrayRef {
        let buffer = match (size, width(data_type), big) {
            (1, Some(1), _) => self.words(u8::from_le_bytes),
            (2, Some(2), false) => self.words(u16::from_le_bytes),
            (4, Some(4), false) => self.words(u32::from_le_bytes),
            (8, Some(8), false) => self.words(u64::from_le_bytes),
            (2, Some(2), true) => self.words(u16::from_be_bytes),
            (4, Some(4), true) => self.words(u32::from_be_bytes),
            (8, Some(8), true) => self.words(u64::from_be_bytes),
            (1, Some(2), _) => self.words(|[byte]| extend(byte.into(), 8, signed) as u16),
            (1, Some(4), _) => self.words(|[byte]| extend(byte.into(), 8, signed) as u32),
            (1, Some(8), _) => self.words(|[byte]| extend(byte.into(), 8, signed)),
            (2, Some(4), false) => {
                self.words(|word| extend(u16::from_le_bytes(word).into(), 16, signed) as u32)
            }
            (2, Some(8), false) => {
                self.words(|word| extend(u16::from_le_bytes(word).into(), 16, signed))
            }
            (4, Some(8), false) => {
                self.words(|word| extend(u32::from_le_bytes(word).into(), 32, signed))
            }
            (2, Some(4), true) => {
                self.words(|word| extend(u16::from_be_bytes(word).into(), 16, signed) as u32)
            }
            (2, Some(8), true) => {
                self.words(|word| extend(u16::from_be_bytes(word).into(), 16, signed))
            }
            (4, Some(8), true) => {
                self.words(|word| extend(u32::from_be_bytes(word).into(), 32, signed))
            }
            _ => return new_null_array(&data_type.arrow(), self.places.len()), // never planned
        };
        primitive(buffer, data_type, self.places.len(), self.nulls(size))
    }

    /// One word of every record. A record that is too short gives what lies there, or 0: it becomes null.
    fn words<const N: usize, T: ArrowNativeType>(&self, word: impl Fn([u8; N]) -> T) -> Buffer {
        let behind = self.span.get(self.offset as usize..).unwrap_or_default();
        let values = self.places.starts.iter().map(|start| {
            let bytes = behind
                .get(*start as usize..)
                .and_then(|rest| rest.first_chunk::<N>());
            bytes.map_or_else(|| word([0; N]), |bytes| word(*bytes))
        });
        Buffer::from_vec(values.collect::<Vec<T>>())
    }

    fn bits(&self, shift: u32, bits: u32, signed: bool, data_type: &DataType) -> ArrayRef {
        let rows = 0..self.places.len();
        let values = rows.map(|row| extend(self.load(row, shift, bits), bits, signed));
        let buffer = match width(data_type) {
            Some(1) => Buffer::from_vec(values.map(|value| value as u8).collect()),
            Some(2) => Buffer::from_vec(values.map(|value| value as u16).collect()),
            Some(4) => Buffer::from_vec(values.map(|value| value as u32).collect()),
            _ => Buffer::from_vec(values.collect::<Vec<u64>>()),
        };
        primitive(
            buffer,
            data_type,
            self.places.len(),
            self.nulls(bytes_of(shift, bits)),
        )
    }

    /// Bits of one record, without sign.
    #[inline]
    fn load(&self, row: usize, shift: u32, bits: u32) -> u64 {
        let mask = u64::MAX >> (64 - bits.clamp(1, 64));
        if shift + bits <= 64
            && let Some(word) = self.field(row, 8).and_then(|field| field.first_chunk())
        {
            return u64::from_le_bytes(*word) >> shift & mask;
        }
        let bytes = self.field(row, bytes_of(shift, bits)).unwrap_or_default();
        let mut word = [0; 16];
        for (to, from) in word.iter_mut().zip(bytes) {
            *to = *from;
        }
        (u128::from_le_bytes(word) >> shift) as u64 & mask
    }

    fn name(&self, shift: u32, bits: u32, names: &VariantNames) -> ArrayRef {
        let rows = self.places.len();
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0_i32);
        let nulls = self.nulls(bytes_of(shift, bits));
        let mut data = Vec::with_capacity(rows * names.longest().min(16));
        for row in 0..rows {
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                names.push(self.load(row, shift, bits), &mut data);
            }
            offsets.push(offset(data.len()));
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Arc::new(BinaryArray::new(offsets, Buffer::from_vec(data), nulls))
    }

    /// 4 bytes for version 4, which is also the number of the address family 2, 16 for version 6, which is also 10.
    fn address(&self, place: AddressPlace) -> ArrayRef {
        let AddressPlace { v4, v6, version } = place;
        let (v4, v6) = (v4.map(|at| (at, 4)), v6.map(|at| (at, 16)));
        let rows = self.places.len();
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0_i32);
        let mut data = Vec::with_capacity(rows * if v6.is_some() { 16 } else { 4 });
        let mut missing = false;
        let field = |start: u32, end: u32, place: usize, size: usize| {
            let (start, room) = self.room(start, end, None)?;
            let end = place.checked_add(size).filter(|end| *end <= room)?;
            self.span.get(start..)?.get(place..end)
        };
        let mut valid = Vec::with_capacity(rows);
        for (start, end) in self.places.starts.iter().zip(&self.places.ends) {
            let which = match version {
                None => v6.or(v4),
                Some((place, size)) => match field(*start, *end, place as usize, size as usize) {
                    Some([4 | 2] | [4 | 2, 0]) => v4,
                    Some([6 | 10] | [6 | 10, 0]) => v6,
                    _ => None,
                },
            };
            let found = which.and_then(|(at, len)| field(*start, *end, at as usize, len));
            data.extend_from_slice(found.unwrap_or_default());
            missing |= found.is_none();
            valid.push(found.is_some());
            offsets.push(offset(data.len()));
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let nulls = missing.then(|| NullBuffer::from(valid));
        Arc::new(BinaryArray::new(offsets, Buffer::from_vec(data), nulls))
    }

    /// Where the text or bytes of a record may lie: none when it ends before them.
    #[inline]
    fn room(&self, start: u32, end: u32, size: Option<u32>) -> Option<(usize, usize)> {
        let start = u64::from(start) + u64::from(self.offset);
        let room = u64::from(end).checked_sub(start)?;
        let room = size.map_or(room, |size| room.min(size.into()));
        Some((start as usize, room as usize))
    }

    fn text(&self, size: Option<u32>) -> ArrayRef {
        if let Some(size) = size
            && (size as usize).is_multiple_of(CHUNK)
            && self.offset.saturating_add(size) <= self.places.shortest
        {
            return self.whole_text(size as usize);
        }
        let rows = self.places.len();
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0_i32);
        let guess = size.unwrap_or(32).min(32) as usize;
        let mut text = Text {
            data: vec![0; rows * guess + CHUNK],
            used: 0,
        };
        let mut missing = false;
        for (start, end) in self.places.starts.iter().zip(&self.places.ends) {
            match self.room(*start, *end, size) {
                Some((start, room)) => text.push(self.span, start, room),
                None => missing = true,
            }
            offsets.push(offset(text.used));
        }
        text.data.truncate(text.used);
        self.binary(text.data, offsets, missing)
    }

    /// Text of whole chunks in records none of which ends inside of it: most arrays of `char` are this.
    fn whole_text(&self, size: usize) -> ArrayRef {
        let rows = self.places.len();
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0_i32);
        let behind = self.span.get(self.offset as usize..).unwrap_or_default();
        let mut data = vec![0; rows * size.min(48) + size];
        let mut used = 0;
        for start in &self.places.starts {
            let field = behind.get(*start as usize..);
            let field = field.and_then(|rest| rest.get(..size)).unwrap_or_default();
            if data.len() - used < size {
                data.resize(data.len() * 2 + size, 0);
            }
            for chunk in field.as_chunks::<CHUNK>().0 {
                let place = data.get_mut(used..).and_then(<[u8]>::first_chunk_mut);
                if let Some(place) = place {
                    *place = *chunk;
                }
                match first_zero(chunk) {
                    None => used += CHUNK,
                    Some(nul) => {
                        used += nul;
                        break;
                    }
                }
            }
            offsets.push(offset(used));
        }
        data.truncate(used);
        self.binary(data, offsets, false)
    }

    fn bytes(&self, size: Option<u32>) -> ArrayRef {
        let rows = self.places.len();
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0_i32);
        let mut data = Vec::with_capacity(rows * size.unwrap_or(32).min(64) as usize);
        let missing = self.nulls(size.unwrap_or(0));
        for (start, end) in self.places.starts.iter().zip(&self.places.ends) {
            let room = self.room(*start, *end, size);
            let whole = |room: &(usize, usize)| size.is_none_or(|size| room.1 == size as usize);
            if let Some((start, room)) = room.filter(whole) {
                let value = self.span.get(start..).and_then(|rest| rest.get(..room));
                data.extend_from_slice(value.unwrap_or_default());
            }
            offsets.push(offset(data.len()));
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Arc::new(BinaryArray::new(offsets, Buffer::from_vec(data), missing))
    }

    /// A column of text, null where the record ends before the text begins.
    fn binary(&self, data: Vec<u8>, offsets: Vec<i32>, missing: bool) -> ArrayRef {
        let nulls = if missing { self.nulls(0) } else { None };
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Arc::new(BinaryArray::new(offsets, Buffer::from_vec(data), nulls))
    }

    fn list(
        &self,
        len: Option<u32>,
        stride: u32,
        item: &Node,
        ends_at_zeros: bool,
        data_type: &DataType,
    ) -> ArrayRef {
        let rows = self.places.len();
        let most = len.map(|len| len.saturating_mul(stride));
        let whole = most.filter(|_| !ends_at_zeros);
        let nulls = self.nulls(whole.unwrap_or(0));
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0_i32);
        let mut items =
            Places::with_capacity(rows.saturating_mul(len.unwrap_or(4).min(64) as usize));
        for (start, end) in self.places.starts.iter().zip(&self.places.ends) {
            // A fixed array is there as a whole or not at all; of a flexible one, what fits.
            let room = self.room(*start, *end, most);
            let room = room.filter(|(_, room)| whole.is_none_or(|whole| *room == whole as usize));
            if let Some((start, mut room)) = room {
                if ends_at_zeros {
                    room = self.used(start, room, stride as usize);
                }
                // Both fit 32 bits: they lie between a start and an end.
                let (mut at, end) = (start as u32, (start + room) as u32);
                while end - at >= stride {
                    items.push(at, at + stride);
                    at += stride;
                }
            }
            offsets.push(offset(items.len()));
        }
        let values = read(item, self.span, &items);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        match data_type.arrow() {
            Arrow::List(field) => Arc::new(ListArray::new(field, offsets, values, nulls)),
            other => new_null_array(&other, rows), // never planned
        }
    }

    /// How many of `room` bytes values take, without those at the end that are zero or cut off.
    fn used(&self, start: usize, room: usize, stride: usize) -> usize {
        let bytes = self.span.get(start..).and_then(|rest| rest.get(..room));
        let mut values = bytes.unwrap_or_default().chunks_exact(stride.max(1));
        let last = values
            .rposition(|value| value.iter().any(|byte| *byte != 0))
            .map_or(0, |last| last + 1);
        last * stride
    }

    fn structure(
        &self,
        size: u32,
        fields: &[Node],
        by_first: bool,
        data_type: &DataType,
    ) -> ArrayRef {
        let mut nulls = self.nulls(size);
        let mut places = Places::with_capacity(self.places.len());
        for (start, end) in self.places.starts.iter().zip(&self.places.ends) {
            places.push(start.saturating_add(self.offset), *end);
        }
        let columns: Vec<ArrayRef> = fields
            .iter()
            .map(|field| read(field, self.span, &places))
            .collect();
        if let Some(first) = columns.first().filter(|_| by_first) {
            nulls = NullBuffer::union(nulls.as_ref(), first.nulls());
        }
        match data_type.arrow() {
            Arrow::Struct(fields) => Arc::new(StructArray::new(fields, columns, nulls)),
            other => new_null_array(&other, self.places.len()), // never planned
        }
    }
}

/// An offset into a column's data; the limits on what is decoded at once keep it in 31 bits.
fn offset(at: usize) -> i32 {
    i32::try_from(at).unwrap_or(i32::MAX)
}

/// Texts one behind the other, with some bytes to spare behind the last.
struct Text {
    data: Vec<u8>,
    used: usize,
}

impl Text {
    /// Copies up to the first NUL in `room` bytes. Whole chunks are copied, what is too much is overwritten
    /// by the next text: a copy of a known length is a few instructions, one of an unknown length a call.
    #[inline]
    fn push(&mut self, span: &[u8], start: usize, room: usize) {
        let source = span.get(start..).unwrap_or_default();
        let mut copied = 0;
        while copied < room {
            let Some(from) = source
                .get(copied..)
                .and_then(|rest| rest.first_chunk::<CHUNK>())
            else {
                return self.push_last(source, copied, room);
            };
            let to = self.data.get_mut(self.used + copied..);
            let Some(to) = to.and_then(|rest| rest.first_chunk_mut::<CHUNK>()) else {
                let longer = self.data.len() * 2 + room.min(4096) + CHUNK;
                self.data.resize(longer, 0);
                continue;
            };
            *to = *from;
            if let Some(nul) = first_zero(from) {
                copied += nul;
                break;
            }
            copied += CHUNK;
        }
        self.used += copied.min(room);
    }

    /// The same where less than a chunk is left in the span.
    #[cold]
    fn push_last(&mut self, source: &[u8], copied: usize, room: usize) {
        let rest = source
            .get(copied..room.min(source.len()))
            .unwrap_or_default();
        let end = rest
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(rest.len());
        self.data.truncate(self.used + copied);
        self.data
            .extend_from_slice(rest.get(..end).unwrap_or_default());
        self.used += copied + end;
    }
}

/// Index of the first zero byte.
#[inline]
fn first_zero(chunk: &[u8; CHUNK]) -> Option<usize> {
    const ONES: u128 = u128::from_le_bytes([1; CHUNK]);
    let word = u128::from_le_bytes(*chunk);
    // The lowest bit that this sets is in the lowest byte that is zero.
    let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
    (zeros != 0).then(|| zeros.trailing_zeros() as usize / 8)
}

/// The lowest `bits` of a word as a word of 64, with its sign or with zeros.
#[inline]
fn extend(value: u64, bits: u32, signed: bool) -> u64 {
    let shift = 64 - bits.clamp(1, 64);
    if signed {
        ((value << shift).cast_signed() >> shift).cast_unsigned()
    } else {
        value
    }
}

fn primitive(
    buffer: Buffer,
    data_type: &DataType,
    rows: usize,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    macro_rules! array {
        ($ty:ty) => {
            Arc::new(PrimitiveArray::<$ty>::new(
                ScalarBuffer::new(buffer, 0, rows),
                nulls,
            ))
        };
    }
    match data_type {
        DataType::I8 => array!(Int8Type),
        DataType::I16 => array!(Int16Type),
        DataType::I32 => array!(Int32Type),
        DataType::I64 => array!(Int64Type),
        DataType::U8 => array!(UInt8Type),
        DataType::U16 => array!(UInt16Type),
        DataType::U32 => array!(UInt32Type),
        DataType::U64 => array!(UInt64Type),
        DataType::F32 => array!(Float32Type),
        DataType::F64 => array!(Float64Type),
        other => new_null_array(&other.arrow(), rows), // never planned
    }
}
