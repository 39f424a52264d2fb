//! What the built-in decoder costs, against a decoder that somebody wrote by hand for one struct: the same walk over the
//! headers, then column by column into the same Arrow arrays, with every offset known to the compiler.

use crate::figures::{Figure, median};
use crate::process::Setup;
use anyhow::{Context as _, Result, bail};
use arrow_array::types::{ArrowPrimitiveType, Int32Type, UInt32Type, UInt64Type};
use arrow_array::{ArrayRef, BinaryArray, PrimitiveArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use ig_object::btf::{Element, Field, FieldType, Layout};
use ig_records::decode::{Decoder, FieldSpec, Picked};
use ig_records::span;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// Records of a span.
const RECORDS: usize = 256;
/// Spans that are walked over in turn: what a ring holds of a storm, in the second cache.
const SPANS: usize = 8;

/// `struct event` of a tracer of open(2): name, offset, size; signed or text where it says so.
const FIELDS: [(&str, u32, u32, Is); 12] = [
    ("timestamp", 0, 8, Is::Unsigned),
    ("mntns", 8, 8, Is::Unsigned),
    ("cgroup", 16, 8, Is::Unsigned),
    ("pid", 24, 4, Is::Unsigned),
    ("tid", 28, 4, Is::Unsigned),
    ("uid", 32, 4, Is::Unsigned),
    ("gid", 36, 4, Is::Unsigned),
    ("flags", 40, 4, Is::Unsigned),
    ("mode", 44, 4, Is::Unsigned),
    ("ret", 48, 4, Is::Signed),
    ("comm", 56, 16, Is::Text),
    ("fname", 72, 64, Is::Text),
];
const SIZE: usize = 136;
/// The columns of the run in which few are wanted.
const FEW: [usize; 3] = [0, 3, 11];

#[derive(Clone, Copy)]
enum Is {
    Unsigned,
    Signed,
    Text,
}

fn layout() -> Layout {
    let field = |(name, offset, size, is): (&str, u32, u32, Is)| Field {
        name: name.to_owned(),
        bit_offset: offset * 8,
        bit_size: None,
        size,
        ty: match is {
            Is::Unsigned => FieldType::Int { signed: false },
            Is::Signed => FieldType::Int { signed: true },
            Is::Text => FieldType::Array {
                element: Box::new(Element {
                    size: 1,
                    ty: FieldType::Char,
                    typedefs: Vec::new(),
                }),
                len: size,
            },
        },
        typedefs: Vec::new(),
    };
    Layout {
        name: "event".to_owned(),
        size: SIZE as u32,
        fields: FIELDS.map(field).to_vec(),
    }
}

fn records(first: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for i in first..first + RECORDS as u64 {
        let mut record = Vec::with_capacity(SIZE);
        record.extend((86_400_000_000_000 + i * 5_432).to_le_bytes());
        record.extend((4_026_531_841 + i % 3).to_le_bytes());
        record.extend((1_000 + i * 7 % 300).to_le_bytes());
        for number in [i, i + 1, i % 3, 0, 0o2_000_000, 0o644, i % 5, 0] {
            record.extend((number as u32).to_le_bytes());
        }
        for (size, text) in [
            (16, format!("task-{}", i % 100)),
            (
                64,
                format!(
                    "/usr/lib/{}/file-{}",
                    "x".repeat(5 + i as usize * 7 % 20),
                    i % 97
                ),
            ),
        ] {
            let mut text = text.into_bytes();
            text.resize(size, 0);
            record.extend(text);
        }
        span::push(&mut bytes, &[&record])?;
    }
    Ok(bytes)
}

/// The decoder by hand.
mod by_hand {
    use super::{
        Arc, ArrayRef, ArrowPrimitiveType, BinaryArray, Buffer, Int32Type, OffsetBuffer,
        PrimitiveArray, SIZE, ScalarBuffer, UInt32Type, UInt64Type,
    };

    /// Where the records' payloads begin; none when the span is broken or a record too short.
    pub(super) fn walk(span: &[u8]) -> Option<Vec<u32>> {
        let mut starts = Vec::with_capacity(span.len() / (SIZE + 8));
        let mut at = 0;
        while at < span.len() {
            let header = u32::from_le_bytes(*span.get(at..)?.first_chunk()?);
            let len = (header & 0x3fff_ffff) as usize;
            if header >> 31 != 0 || len < SIZE || at + 8 + len > span.len() {
                return None;
            }
            if header >> 30 & 1 == 0 {
                starts.push(at as u32 + 8);
            }
            at += 8 + len.next_multiple_of(8);
        }
        Some(starts)
    }

    /// Any of the columns.
    pub(super) fn column(index: usize, span: &[u8], starts: &[u32]) -> Option<ArrayRef> {
        Some(match index {
            0 => number::<8, 0, UInt64Type>(span, starts, u64::from_le_bytes),
            1 => number::<8, 8, UInt64Type>(span, starts, u64::from_le_bytes),
            2 => number::<8, 16, UInt64Type>(span, starts, u64::from_le_bytes),
            3 => number::<4, 24, UInt32Type>(span, starts, u32::from_le_bytes),
            4 => number::<4, 28, UInt32Type>(span, starts, u32::from_le_bytes),
            5 => number::<4, 32, UInt32Type>(span, starts, u32::from_le_bytes),
            6 => number::<4, 36, UInt32Type>(span, starts, u32::from_le_bytes),
            7 => number::<4, 40, UInt32Type>(span, starts, u32::from_le_bytes),
            8 => number::<4, 44, UInt32Type>(span, starts, u32::from_le_bytes),
            9 => number::<4, 48, Int32Type>(span, starts, i32::from_le_bytes),
            10 => text::<16, 56>(span, starts),
            11 => text::<64, 72>(span, starts),
            _ => return None,
        })
    }

    fn number<const N: usize, const AT: usize, T: ArrowPrimitiveType>(
        span: &[u8],
        starts: &[u32],
        of: impl Fn([u8; N]) -> T::Native,
    ) -> ArrayRef {
        let values: Vec<T::Native> = starts
            .iter()
            .map(|start| {
                let field = span
                    .get(*start as usize + AT..)
                    .and_then(<[u8]>::first_chunk);
                of(*field.unwrap_or(&[0; N]))
            })
            .collect();
        Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), None))
    }

    /// A copy of 16 bytes at once, of which those before the NUL count.
    fn text<const N: usize, const AT: usize>(span: &[u8], starts: &[u32]) -> ArrayRef {
        let mut offsets = Vec::with_capacity(starts.len() + 1);
        offsets.push(0_i32);
        let mut data = vec![0; starts.len() * N];
        let mut used = 0;
        for start in starts {
            let field: Option<&[u8; N]> = span
                .get(*start as usize + AT..)
                .and_then(<[u8]>::first_chunk);
            for chunk in field.unwrap_or(&[0; N]).as_chunks::<16>().0 {
                if let Some(place) = data.get_mut(used..).and_then(<[u8]>::first_chunk_mut) {
                    *place = *chunk;
                }
                let word = u128::from_le_bytes(*chunk);
                const ONES: u128 = u128::from_le_bytes([1; 16]);
                let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
                used += zeros.trailing_zeros() as usize / 8;
                if zeros != 0 {
                    break;
                }
            }
            offsets.push(used as i32);
        }
        data.truncate(used);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Arc::new(BinaryArray::new(offsets, Buffer::from_vec(data), None))
    }
}

/// Nanoseconds a record of a decoder that gives columns of each span.
fn walk(
    spans: &[Vec<u8>],
    passes: usize,
    mut decode: impl FnMut(&[u8]) -> Result<Vec<ArrayRef>>,
) -> Result<f64> {
    let begin = Instant::now();
    for _ in 0..passes {
        for span in spans {
            black_box(decode(black_box(span))?);
        }
    }
    Ok(begin.elapsed().as_nanos() as f64 / (passes * spans.len() * RECORDS) as f64)
}

/// Both sides, taking turns, for these columns.
fn compare(setup: &Setup, spans: &[Vec<u8>], wanted: &[usize]) -> Result<(f64, f64)> {
    let specs: Vec<_> = wanted
        .iter()
        .filter_map(|index| FIELDS.get(*index))
        .map(|(name, ..)| FieldSpec {
            path: (*name).to_owned(),
            data_type: None,
            kind: ig_table::Kind::None,
        })
        .collect();
    let decoder = Decoder::new(&layout(), &specs)?;
    let ours = |span: &[u8]| -> Result<Vec<ArrayRef>> {
        let picked = Picked::all(span)?;
        let columns = (0..decoder.len()).map(|column| decoder.decode(column, &picked));
        Ok(columns.collect::<Result<_, _>>()?)
    };
    let theirs = |span: &[u8]| {
        let starts = by_hand::walk(span).context("the span")?;
        let columns = wanted
            .iter()
            .map(|index| by_hand::column(*index, span, &starts));
        columns.collect::<Option<Vec<_>>>().context("the columns")
    };
    for span in spans {
        if ours(span)? != theirs(span)? {
            bail!("the two decoders do not agree");
        }
    }
    let passes = if setup.quick { 50 } else { 1_000 };
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for _ in 0..setup.rounds() {
        them.push(walk(spans, passes, theirs)?);
        us.push(walk(spans, passes, ours)?);
    }
    Ok((median(&us), median(&them)))
}

/// All figures.
pub fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let spans = (0..SPANS as u64)
        .map(|i| records(i * RECORDS as u64))
        .collect::<Result<Vec<_>>>()?;
    let all: Vec<usize> = (0..FIELDS.len()).collect();
    let (twelve, twelve_by_hand) = compare(setup, &spans, &all)?;
    let (three, three_by_hand) = compare(setup, &spans, &FEW)?;
    let against = "Rust by hand, the same arrays";
    Ok(vec![
        Figure::ratio(
            "decode.all-12",
            "ns/rec",
            twelve,
            against,
            twelve_by_hand,
            1.2,
        ),
        Figure::ratio(
            "decode.3-of-12",
            "ns/rec",
            three,
            against,
            three_by_hand,
            1.2,
        ),
    ])
}
