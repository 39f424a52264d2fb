//! From a struct's field to how its column is read.

use super::meaning::{self, How};
use super::names::VariantNames;
use super::{DecodeError, FieldSpec};
use ig_object::btf::{AddressPlace, Field, FieldType, Layout};
use ig_table::DataType;
use std::sync::Arc;

/// Most values that one record may give to one column, those of nested arrays and structs together; eight
/// bytes of text count as one.
pub(super) const MAX_WEIGHT: u64 = 1 << 20;

/// A column and how it is read.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) data_type: DataType,
    pub(super) node: Node,
    /// How many values a record gives, at most; eight bytes of text count as one.
    pub(super) weight: u64,
}

/// A value, before it is known whether it is wanted so.
pub(super) struct Value {
    pub(super) data_type: DataType,
    pub(super) node: Node,
}

/// How to read a value, from the places that its parent gives.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Of the value, from the beginning of the parent's, in bytes.
    pub(super) offset: u32,
    pub(super) read: Read,
}

#[derive(Clone, Debug)]
pub(super) enum Read {
    /// An integer or float of `size` bytes into one of `data_type`.
    Number {
        size: u32,
        signed: bool,
        /// In the other byte order than the machine's, which is that of the network.
        big: bool,
        data_type: DataType,
    },
    /// Bits of an integer, `shift` of them after the offset.
    Bits {
        shift: u32,
        bits: u32,
        signed: bool,
        data_type: DataType,
    },
    /// True when any of `size` bytes is not zero.
    Truth { size: u32 },
    /// True when any of these bits is set.
    TruthBits { shift: u32, bits: u32 },
    /// The name of an enumeration's value, which is as for `Bits`.
    Name {
        shift: u32,
        bits: u32,
        names: Arc<VariantNames>,
    },
    /// 4 or 16 bytes as an IP address.
    Address(AddressPlace),
    /// Up to the first NUL, at most `size` bytes; none: up to the end of the record.
    Text { size: Option<u32> },
    /// Exactly `size` bytes; none: up to the end of the record.
    Bytes { size: Option<u32> },
    /// `len` values of `stride` bytes; none: as many as fit before the end of the record.
    List {
        len: Option<u32>,
        stride: u32,
        item: Box<Node>,
        /// Values that are zero at the end are none, and what the record's end cuts off is not there.
        ends_at_zeros: bool,
        data_type: DataType,
    },
    /// Values side by side in `size` bytes.
    Struct {
        size: u32,
        fields: Vec<Node>,
        /// Null where the first of them is.
        by_first: bool,
        data_type: DataType,
    },
}

/// The type of column that a field becomes when the manifest names neither type nor kind.
///
/// # Errors
///
/// No such field, or one without a value.
pub fn inferred(layout: &Layout, path: &str) -> Result<DataType, DecodeError> {
    inferred_as(layout, path, ig_table::Kind::None)
}

/// The type of column that a field becomes when the manifest names a kind and no type: some kinds need another one
/// than the field alone would get.
///
/// # Errors
///
/// No such field, one without a value, or one that cannot be of that kind.
pub fn inferred_as(
    layout: &Layout,
    path: &str,
    kind: ig_table::Kind,
) -> Result<DataType, DecodeError> {
    let spec = FieldSpec {
        path: path.to_owned(),
        data_type: None,
        kind,
    };
    Ok(column(layout, &spec)?.data_type)
}

pub(super) fn column(layout: &Layout, spec: &FieldSpec) -> Result<Column, DecodeError> {
    let (name, path) = (|| layout.name.clone(), || spec.path.clone());
    let Some(found) = layout.field(&spec.path) else {
        let paths = layout.paths();
        let nearest = ig_object::nearest(&spec.path, paths.iter().map(String::as_str));
        return Err(DecodeError::NoField {
            layout: name(),
            path: path(),
            nearest,
        });
    };
    let how = How {
        kind: spec.kind,
        wanted: spec.data_type.as_ref(),
    };
    let natural = match meaning::by_kind(&found, how) {
        Some(value) => Some(value),
        None => field(found.field, found.bit_offset, how),
    };
    let natural = natural.ok_or_else(|| DecodeError::NoValue {
        layout: name(),
        path: path(),
    })?;
    let (data_type, node) = match &spec.data_type {
        None => (natural.data_type, natural.node),
        Some(wanted) => {
            let is = natural.data_type.to_string();
            let node = retype(natural, wanted, fixed_size(found.field));
            let node = node.ok_or_else(|| DecodeError::Type {
                layout: name(),
                path: path(),
                found: is,
                wanted: wanted.to_string(),
            })?;
            (wanted.clone(), node)
        }
    };
    let weight = node.weight();
    if weight > MAX_WEIGHT {
        return Err(DecodeError::TooMany {
            layout: name(),
            path: path(),
        });
    }
    let column = Column {
        data_type,
        node,
        weight,
    };
    if !spec.kind.accepts(&column.data_type) {
        return Err(DecodeError::Kind {
            layout: name(),
            path: path(),
            found: column.data_type.to_string(),
            kind: spec.kind.as_str(),
        });
    }
    Ok(column)
}

/// Bytes of a value that has a fixed number of them.
fn fixed_size(field: &Field) -> Option<u32> {
    (field.bit_size.is_none() && field.size > 0).then_some(field.size)
}

fn field(field: &Field, bit_offset: u64, how: How<'_>) -> Option<Value> {
    let offset = u32::try_from(bit_offset / 8).ok()?;
    let shift = (bit_offset % 8) as u32;
    if let Some(bits) = field.bit_size {
        return bitfield(field, offset, shift, bits, how);
    }
    // Nothing but a bitfield begins inside of a byte.
    if shift != 0 {
        None
    } else {
        value(&field.ty, field.size, offset, &field.typedefs, how)
    }
}

fn bitfield(field: &Field, offset: u32, shift: u32, bits: u32, how: How<'_>) -> Option<Value> {
    if bits == 0 || bits > 64 {
        return None;
    }
    let signed = match &field.ty {
        FieldType::Bool => {
            let read = Read::TruthBits { shift, bits };
            return Some(Value {
                data_type: DataType::Bool,
                node: Node { offset, read },
            });
        }
        FieldType::Enum { signed, variants } if how.wanted == Some(&DataType::Text) => {
            let names = Arc::new(VariantNames::new(variants, bits, *signed));
            return Some(Value {
                data_type: DataType::Text,
                node: Node {
                    offset,
                    read: Read::Name { shift, bits, names },
                },
            });
        }
        FieldType::Int { signed } | FieldType::Enum { signed, .. } => *signed,
        FieldType::Char => true,
        _ => return None,
    };
    let data_type = integer(field.size, signed)?;
    let read = Read::Bits {
        shift,
        bits,
        signed,
        data_type: data_type.clone(),
    };
    Some(Value {
        data_type,
        node: Node { offset, read },
    })
}

fn value(
    ty: &FieldType,
    size: u32,
    offset: u32,
    typedefs: &[String],
    how: How<'_>,
) -> Option<Value> {
    let (data_type, read) = match ty {
        FieldType::Int { .. } if size == 16 => (DataType::Bytes, Read::Bytes { size: Some(16) }),
        FieldType::Enum { signed, variants }
            if how.wanted == Some(&DataType::Text) && integer(size, *signed).is_some() =>
        {
            let (shift, bits) = (0, size * 8);
            let names = Arc::new(VariantNames::new(variants, bits, *signed));
            (DataType::Text, Read::Name { shift, bits, names })
        }
        FieldType::Int { signed } => number(size, *signed, how.is_big(typedefs))?,
        FieldType::Enum { signed, .. } => number(size, *signed, false)?,
        FieldType::Char => number(size, true, false)?,
        FieldType::Pointer => number(8, false, false)?,
        FieldType::Bool => (DataType::Bool, Read::Truth { size }),
        FieldType::Float => {
            let data_type = match size {
                4 => DataType::F32,
                8 => DataType::F64,
                _ => return None,
            };
            (
                data_type.clone(),
                Read::Number {
                    size,
                    signed: false,
                    big: false,
                    data_type,
                },
            )
        }
        FieldType::Array { element, len } => {
            let fixed = (*len > 0).then_some(*len);
            match element.ty {
                FieldType::Char => (DataType::Text, Read::Text { size: fixed }),
                FieldType::Int { signed: false } if element.size == 1 => {
                    (DataType::Bytes, Read::Bytes { size: fixed })
                }
                _ if element.size == 0 => return None,
                _ => {
                    let typedefs = &element.typedefs;
                    let item = value(&element.ty, element.size, 0, typedefs, how.of_item())?;
                    let data_type = DataType::List(Box::new(item.data_type));
                    let read = Read::List {
                        len: fixed,
                        stride: element.size,
                        item: Box::new(item.node),
                        ends_at_zeros: false,
                        data_type: data_type.clone(),
                    };
                    (data_type, read)
                }
            }
        }
        FieldType::Struct(layout) | FieldType::Union(layout) => {
            let (mut types, mut nodes) = (Vec::new(), Vec::new());
            members(layout, 0, &mut types, &mut nodes);
            if nodes.is_empty() {
                return None;
            }
            let data_type = DataType::Struct(types);
            (
                data_type.clone(),
                Read::Struct {
                    size,
                    fields: nodes,
                    by_first: false,
                    data_type,
                },
            )
        }
        FieldType::Unknown => return None,
    };
    Some(Value {
        data_type,
        node: Node { offset, read },
    })
}

/// The fields of a struct, those of anonymous members among them; what has no value is left out.
fn members(layout: &Layout, base: u64, types: &mut Vec<(String, DataType)>, nodes: &mut Vec<Node>) {
    for member in &layout.fields {
        let bit_offset = base + u64::from(member.bit_offset);
        match (member.name.as_str(), member.nested()) {
            ("", Some(nested)) => members(nested, bit_offset, types, nodes),
            ("", None) => {} // padding
            (name, _) => {
                if let Some(column) = field(member, bit_offset, How::PLAIN) {
                    types.push((name.to_owned(), column.data_type));
                    nodes.push(column.node);
                }
            }
        }
    }
}

pub(super) fn number(size: u32, signed: bool, big: bool) -> Option<(DataType, Read)> {
    let data_type = integer(size, signed)?;
    Some((
        data_type.clone(),
        Read::Number {
            size,
            signed,
            big,
            data_type,
        },
    ))
}

fn integer(size: u32, signed: bool) -> Option<DataType> {
    Some(match (size, signed) {
        (1, true) => DataType::I8,
        (2, true) => DataType::I16,
        (4, true) => DataType::I32,
        (8, true) => DataType::I64,
        (1, false) => DataType::U8,
        (2, false) => DataType::U16,
        (4, false) => DataType::U32,
        (8, false) => DataType::U64,
        _ => return None,
    })
}

/// Bytes of a number's type.
pub(super) fn width(data_type: &DataType) -> Option<u32> {
    Some(match data_type {
        DataType::I8 | DataType::U8 => 1,
        DataType::I16 | DataType::U16 => 2,
        DataType::I32 | DataType::U32 | DataType::F32 => 4,
        DataType::I64 | DataType::U64 | DataType::F64 => 8,
        _ => return None,
    })
}

/// The same bytes as another type: a larger integer (the same size may change its sign), bool from an
/// integer, text and bytes for each other, bytes from anything of a fixed size, and so on inside of lists.
pub(super) fn retype(natural: Value, wanted: &DataType, size: Option<u32>) -> Option<Node> {
    if natural.data_type == *wanted {
        return Some(natural.node);
    }
    let Node { offset, read } = natural.node;
    let read = match (read, wanted) {
        (Read::Number { size, .. }, DataType::Bool) if natural.data_type.is_integer() => {
            Read::Truth { size }
        }
        (
            Read::Number {
                size, signed, big, ..
            },
            wanted,
        ) if natural.data_type.is_integer() && wanted.takes_integer(size * 8, signed) => {
            Read::Number {
                size,
                signed,
                big,
                data_type: wanted.clone(),
            }
        }
        (Read::Bits { shift, bits, .. }, DataType::Bool) => Read::TruthBits { shift, bits },
        (
            Read::Bits {
                shift,
                bits,
                signed,
                ..
            },
            wanted,
        ) if wanted.takes_integer(bits, signed) => Read::Bits {
            shift,
            bits,
            signed,
            data_type: wanted.clone(),
        },
        (Read::Truth { size }, wanted)
            if integer(size, false).is_some() && wanted.takes_integer(size * 8, false) =>
        {
            Read::Number {
                size,
                signed: false,
                big: false,
                data_type: wanted.clone(),
            }
        }
        (Read::TruthBits { shift, bits }, wanted) if wanted.takes_integer(bits, false) => {
            Read::Bits {
                shift,
                bits,
                signed: false,
                data_type: wanted.clone(),
            }
        }
        (Read::Text { size }, DataType::Bytes) => Read::Bytes { size },
        (Read::Bytes { size }, DataType::Text) => Read::Text { size },
        (
            Read::List {
                len,
                stride,
                item,
                ends_at_zeros,
                data_type: DataType::List(found),
            },
            DataType::List(inner),
        ) => {
            let item = Value {
                data_type: *found,
                node: *item,
            };
            let item = Box::new(retype(item, inner, Some(stride))?);
            Read::List {
                len,
                stride,
                item,
                ends_at_zeros,
                data_type: wanted.clone(),
            }
        }
        // An array of one-byte integers may be text or bytes, and bytes a list of them.
        (Read::List { len, stride: 1, .. }, DataType::Text) => Read::Text { size: len },
        (Read::List { len, stride: 1, .. }, DataType::Bytes) => Read::Bytes { size: len },
        (Read::Bytes { size } | Read::Text { size }, DataType::List(inner))
            if matches!(**inner, DataType::U8 | DataType::I8) =>
        {
            let read = Read::Number {
                size: 1,
                signed: false,
                big: false,
                data_type: (**inner).clone(),
            };
            let item = Box::new(Node { offset: 0, read });
            Read::List {
                len: size,
                stride: 1,
                item,
                ends_at_zeros: false,
                data_type: wanted.clone(),
            }
        }
        (
            Read::Number { .. } | Read::Truth { .. } | Read::List { .. } | Read::Struct { .. },
            DataType::Bytes,
        ) => Read::Bytes { size: Some(size?) },
        _ => return None,
    };
    Some(Node { offset, read })
}

impl Node {
    fn weight(&self) -> u64 {
        match &self.read {
            Read::List { len, item, .. } => {
                u64::from(len.unwrap_or(8)).saturating_mul(item.weight())
            }
            Read::Struct { fields, .. } => fields
                .iter()
                .fold(1, |sum, field| field.weight().saturating_add(sum)),
            Read::Text { size } | Read::Bytes { size } => u64::from(size.unwrap_or(64)) / 8 + 1,
            Read::Name { names, .. } => names.longest() as u64 / 8 + 1,
            Read::Address(_) => 2,
            _ => 1,
        }
    }
}
