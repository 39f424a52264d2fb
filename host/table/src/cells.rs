//! Arrays of a batch, resolved once, so that a row costs no look-up and no downcast.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, BinaryArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};

use crate::kinds::words::Whole;
use crate::schema::DataType;

/// The values of one array, or of the items or fields inside of one.
#[derive(Debug)]
pub(crate) struct Cells<'a> {
    nulls: Option<&'a NullBuffer>,
    pub(crate) values: Values<'a>,
}

/// Values by type.
#[derive(Debug)]
pub(crate) enum Values<'a> {
    /// Nobody computed the column, or the array is not what the schema says.
    Unknown,
    Bool(&'a BooleanBuffer),
    Whole(Wholes<'a>),
    F32(&'a [f32]),
    F64(&'a [f64]),
    Text(Binary<'a>),
    Bytes(Binary<'a>),
    List {
        offsets: &'a [i32],
        items: Box<Cells<'a>>,
    },
    Struct(Vec<(&'a str, Cells<'a>)>),
}

/// Whole numbers by type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wholes<'a> {
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    U64(&'a [u64]),
}

impl Wholes<'_> {
    /// The number in a row; 0 outside.
    #[inline(always)]
    pub(crate) fn get(self, row: usize) -> Whole {
        match self {
            Self::I8(values) => i64::from(at(values, row)).into(),
            Self::I16(values) => i64::from(at(values, row)).into(),
            Self::I32(values) => i64::from(at(values, row)).into(),
            Self::I64(values) => at(values, row).into(),
            Self::U8(values) => u64::from(at(values, row)).into(),
            Self::U16(values) => u64::from(at(values, row)).into(),
            Self::U32(values) => u64::from(at(values, row)).into(),
            Self::U64(values) => at(values, row).into(),
        }
    }

    /// The bits of the number in a row, no more than its type has.
    #[inline(always)]
    pub(crate) fn bits(self, row: usize) -> u64 {
        match self {
            Self::I8(values) => u64::from(at(values, row) as u8),
            Self::I16(values) => u64::from(at(values, row) as u16),
            Self::I32(values) => u64::from(at(values, row) as u32),
            Self::I64(values) => at(values, row) as u64,
            Self::U8(values) => u64::from(at(values, row)),
            Self::U16(values) => u64::from(at(values, row)),
            Self::U32(values) => u64::from(at(values, row)),
            Self::U64(values) => at(values, row),
        }
    }
}

/// The value in a row; the default outside.
#[inline(always)]
pub(crate) fn at<T: Copy + Default>(values: &[T], row: usize) -> T {
    values.get(row).copied().unwrap_or_default()
}

/// Byte strings of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binary<'a> {
    offsets: &'a [i32],
    data: &'a [u8],
    /// Every byte of every row is printable ASCII and neither a quote nor a backslash, so that
    /// the bytes stand for themselves everywhere.
    pub(crate) clean: bool,
}

impl<'a> Binary<'a> {
    /// The bytes in a row; empty outside.
    #[inline(always)]
    pub(crate) fn get(self, row: usize) -> &'a [u8] {
        let (start, end) = self.range(row);
        self.data.get(start..end).unwrap_or_default()
    }

    /// Where the bytes of a row begin and end in [`Binary::data`].
    #[inline(always)]
    pub(crate) fn range(self, row: usize) -> (usize, usize) {
        (
            at(self.offsets, row) as usize,
            at(self.offsets, row + 1) as usize,
        )
    }

    /// The bytes of all rows, and perhaps others before and after.
    #[inline(always)]
    pub(crate) fn data(self) -> &'a [u8] {
        self.data
    }
}

impl<'a> Cells<'a> {
    /// Resolves an array that should have this type and this many values.
    pub(crate) fn new(ty: &'a DataType, array: Option<&'a dyn Array>, len: usize) -> Self {
        let unknown = Self {
            nulls: None,
            values: Values::Unknown,
        };
        let Some(array) = array.filter(|array| array.len() >= len) else {
            return unknown;
        };
        let Some(values) = values(ty, array) else {
            return unknown;
        };
        let nulls = array
            .nulls()
            .filter(|nulls| nulls.null_count() > 0 && nulls.len() >= len);
        Self { nulls, values }
    }

    /// Whether there is no value in a row.
    #[inline(always)]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        match self.nulls {
            None => false,
            Some(nulls) => row >= nulls.len() || nulls.is_null(row),
        }
    }
}

/// The rows of a list's items that belong to a row of the list.
#[inline(always)]
pub(crate) fn items(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    at(offsets, row) as usize..at(offsets, row + 1) as usize
}

fn values<'a>(ty: &'a DataType, array: &'a dyn Array) -> Option<Values<'a>> {
    Some(match ty {
        DataType::Bool => Values::Bool(array.as_boolean_opt()?.values()),
        DataType::I8 => Values::Whole(Wholes::I8(numbers::<Int8Type>(array)?)),
        DataType::I16 => Values::Whole(Wholes::I16(numbers::<Int16Type>(array)?)),
        DataType::I32 => Values::Whole(Wholes::I32(numbers::<Int32Type>(array)?)),
        DataType::I64 => Values::Whole(Wholes::I64(numbers::<Int64Type>(array)?)),
        DataType::U8 => Values::Whole(Wholes::U8(numbers::<UInt8Type>(array)?)),
        DataType::U16 => Values::Whole(Wholes::U16(numbers::<UInt16Type>(array)?)),
        DataType::U32 => Values::Whole(Wholes::U32(numbers::<UInt32Type>(array)?)),
        DataType::U64 => Values::Whole(Wholes::U64(numbers::<UInt64Type>(array)?)),
        DataType::F32 => Values::F32(numbers::<Float32Type>(array)?),
        DataType::F64 => Values::F64(numbers::<Float64Type>(array)?),
        DataType::Text => Values::Text(binary(array)?),
        DataType::Bytes => Values::Bytes(binary(array)?),
        DataType::List(item) => {
            let list = array.as_list_opt::<i32>()?;
            let items = list.values().as_ref();
            Values::List {
                offsets: list.value_offsets(),
                items: Box::new(Cells::new(item, Some(items), items.len())),
            }
        }
        DataType::Struct(fields) => {
            let array = array.as_struct_opt()?;
            if array.columns().len() != fields.len() {
                return None;
            }
            let columns = fields.iter().zip(array.columns());
            Values::Struct(
                columns
                    .map(|((name, ty), column)| {
                        (
                            name.as_str(),
                            Cells::new(ty, Some(column.as_ref()), array.len()),
                        )
                    })
                    .collect(),
            )
        }
    })
}

fn numbers<T: ArrowPrimitiveType>(array: &dyn Array) -> Option<&[T::Native]> {
    Some(array.as_primitive_opt::<T>()?.values())
}

fn binary(array: &dyn Array) -> Option<Binary<'_>> {
    let array: &BinaryArray = array.as_binary_opt()?;
    let (offsets, data) = (array.value_offsets(), array.value_data());
    let used = match (offsets.first(), offsets.last()) {
        (Some(first), Some(last)) => data
            .get(*first as usize..*last as usize)
            .unwrap_or_default(),
        _ => &[],
    };
    Some(Binary {
        offsets,
        data,
        clean: is_clean(used),
    })
}

/// Whether bytes stand for themselves in JSON and on a terminal. Looks at many bytes at once.
pub(crate) fn is_clean(bytes: &[u8]) -> bool {
    let special = |byte: u8| !(0x20..0x7f).contains(&byte) | (byte == b'"') | (byte == b'\\');
    let (blocks, rest) = bytes.as_chunks::<64>();
    let blocks_special = blocks
        .iter()
        .any(|block| block.iter().fold(false, |any, byte| any | special(*byte)));
    !blocks_special && !rest.iter().fold(false, |any, byte| any | special(*byte))
}
