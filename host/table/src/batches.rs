//! Rows as Arrow record batches, the way other programs want them: [`crate::arrow_stream`],
//! [`crate::parquet_file`].
//!
//! The selected columns, in their order, each nullable, and values rather than words:
//!
//! | column | Arrow type |
//! |---|---|
//! | `text` | Utf8; bytes that are not UTF-8 are `\xNN`, as in JSON: see [`crate::text`] |
//! | `bytes` | Binary |
//! | kind `timestamp` | Timestamp(ns, UTC), wall clock; a time beyond the year 2262 is null |
//! | numbers and `bool` | the same type |
//! | `list<T>` | List of `item` |
//! | `struct<...>` | Struct |
//!
//! Of a table whose rows come in frames the first column is the frame's number: `frame`, UInt64.
//!
//! A field's metadata has its kind as `ig:kind` (absent for `none`) and its description as
//! `ig:description`; the schema's has the table's name as `ig:table`.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{ArrowPrimitiveType, Int64Type, TimestampNanosecondType, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, ListArray, PrimitiveArray, RecordBatch, RecordBatchOptions,
    StringArray, StructArray, UInt64Array, new_null_array,
};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{
    ArrowError, DataType as Arrow, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit,
};

use crate::kinds::Kind;
use crate::schema::{DataType, Rows, Table, same_type};
use crate::text;

/// Makes record batches of one schema.
#[derive(Debug)]
pub(crate) struct Batches {
    schema: SchemaRef,
    /// Of each field: the column's index in the table.
    selected: Vec<usize>,
    /// The first field is the number of the frame.
    frames: bool,
}

impl Batches {
    /// For the columns `selected` of a table, by index; an index outside is left out. `frames`: its rows come in frames.
    pub(crate) fn new(table: &Table, selected: &[usize], frames: bool) -> Self {
        let selected: Vec<usize> = selected
            .iter()
            .copied()
            .filter(|index| *index < table.columns.len())
            .collect();
        let columns = selected
            .iter()
            .filter_map(|index| table.columns.get(*index));
        let frame = frames.then(|| Field::new("frame", Arrow::UInt64, true));
        let columns = columns.map(|column| {
            let ty = arrow(&column.data_type, column.kind);
            let kind = (column.kind != Kind::None).then(|| ("ig:kind", column.kind.as_str()));
            let description = Some(("ig:description", column.description.as_str()))
                .filter(|(_, text)| !text.is_empty());
            let metadata = kind.into_iter().chain(description);
            Field::new(&column.name, ty, true)
                .with_metadata(metadata.collect::<arrow_schema::Metadata>())
        });
        let fields: Fields = frame.into_iter().chain(columns).collect();
        let metadata = [("ig:table", table.name.as_str())];
        Self {
            schema: Arc::new(Schema::new_with_metadata(fields, metadata)),
            selected,
            frames,
        }
    }

    /// The schema of every batch.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows as a batch. Text that is UTF-8 is not copied.
    pub(crate) fn batch(&self, rows: &Rows) -> Result<RecordBatch, ArrowError> {
        let frame: Option<ArrayRef> = self
            .frames
            .then(|| Arc::new(UInt64Array::from_value(rows.frame, rows.len)) as ArrayRef);
        let fields = self.schema.fields().iter().skip(usize::from(self.frames));
        let columns = self.selected.iter().zip(fields).map(|(index, field)| {
            let array = rows.columns.get(*index).and_then(Option::as_ref);
            match (rows.table.columns.get(*index), array) {
                (Some(column), Some(array))
                    if array.len() == rows.len
                        && same_type(&column.data_type, array.data_type()) =>
                {
                    convert(&column.data_type, field, array, rows.wall_offset)
                }
                _ => Ok(new_null_array(field.data_type(), rows.len)),
            }
        });
        let columns = frame
            .into_iter()
            .map(Ok)
            .chain(columns)
            .collect::<Result<Vec<ArrayRef>, ArrowError>>()?;
        // Without columns there are rows all the same.
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}

/// Whether values of a column are points in time.
fn is_time(ty: &DataType, kind: Kind) -> bool {
    kind == Kind::Timestamp && matches!(ty, DataType::U64 | DataType::I64)
}

fn arrow(ty: &DataType, kind: Kind) -> Arrow {
    match ty {
        DataType::Text => Arrow::Utf8,
        DataType::List(item) => Arrow::List(Arc::new(Field::new("item", arrow(item, kind), true))),
        DataType::Struct(fields) => Arrow::Struct(
            fields
                .iter()
                .map(|(name, ty)| Field::new(name, arrow(ty, Kind::None), true))
                .collect(),
        ),
        ty if is_time(ty, kind) => Arrow::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        ty => ty.arrow(),
    }
}

/// An array of the type that [`arrow`] gave `field`.
fn convert(
    ty: &DataType,
    field: &FieldRef,
    array: &ArrayRef,
    wall_offset: i64,
) -> Result<ArrayRef, ArrowError> {
    let unexpected = || ArrowError::SchemaError(format!("{ty} is not {}", array.data_type()));
    Ok(match (ty, field.data_type()) {
        (DataType::Text, _) => Arc::new(utf8(array.as_binary_opt().ok_or_else(unexpected)?)?),
        (DataType::List(item), Arrow::List(inner)) => {
            let list = array.as_list_opt::<i32>().ok_or_else(unexpected)?;
            let items = convert(item, inner, list.values(), wall_offset)?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Arc::new(ListArray::try_new(
                Arc::clone(inner),
                offsets,
                items,
                nulls,
            )?)
        }
        (DataType::Struct(types), Arrow::Struct(inner)) => {
            let array = array.as_struct_opt().ok_or_else(unexpected)?;
            let columns = types
                .iter()
                .zip(inner)
                .zip(array.columns())
                .map(|(((_, ty), field), column)| convert(ty, field, column, wall_offset))
                .collect::<Result<Vec<ArrayRef>, ArrowError>>()?;
            let nulls = array.nulls().cloned();
            Arc::new(StructArray::try_new_with_length(
                inner.clone(),
                columns,
                nulls,
                array.len(),
            )?)
        }
        (DataType::U64, Arrow::Timestamp(..)) => times::<UInt64Type>(array, |boot| {
            i64::try_from(i128::from(boot) + i128::from(wall_offset)).ok()
        })
        .ok_or_else(unexpected)?,
        (DataType::I64, Arrow::Timestamp(..)) => {
            times::<Int64Type>(array, |boot| boot.checked_add(wall_offset))
                .ok_or_else(unexpected)?
        }
        _ => Arc::clone(array),
    })
}

fn times<T: ArrowPrimitiveType>(
    array: &dyn Array,
    wall: impl Fn(T::Native) -> Option<i64>,
) -> Option<ArrayRef> {
    let array = array.as_primitive_opt::<T>()?;
    let times: PrimitiveArray<TimestampNanosecondType> = array.unary_opt(wall);
    Some(Arc::new(times.with_timezone("UTC")))
}

/// Bytes as UTF-8. Without a copy when nothing has to be escaped.
fn utf8(array: &BinaryArray) -> Result<StringArray, ArrowError> {
    let (offsets, nulls) = (array.offsets(), array.nulls().cloned());
    // Without a backslash nothing can look like an escape.
    if !array.value_data().contains(&b'\\')
        && let Ok(texts) =
            StringArray::try_new(offsets.clone(), array.values().clone(), nulls.clone())
    {
        return Ok(texts);
    }
    let mut data = Vec::with_capacity(array.value_data().len());
    let mut ends = Vec::with_capacity(array.len() + 1);
    ends.push(0_i32);
    for bytes in array {
        data.extend_from_slice(text::to_utf8(bytes.unwrap_or_default()).as_bytes());
        let end =
            i32::try_from(data.len()).map_err(|_| ArrowError::OffsetOverflowError(data.len()))?;
        ends.push(end);
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
    StringArray::try_new(offsets, Buffer::from_vec(data), nulls)
}

#[cfg(test)]
mod tests;
