//! What a kind or a C type says about a field beyond its bytes: byte order, addresses, endpoints, stacks.

use super::plan::{Node, Read, Value, number};
use ig_object::btf::{Field, FieldType, FoundField, is_big_endian};
use ig_table::{DataType, Kind};

/// What the manifest says about a field.
#[derive(Clone, Copy)]
pub(super) struct How<'a> {
    pub(super) kind: Kind,
    pub(super) wanted: Option<&'a DataType>,
}

impl How<'_> {
    /// Nothing.
    pub(super) const PLAIN: Self = How {
        kind: Kind::None,
        wanted: None,
    };

    /// The same about an item of a list.
    pub(super) fn of_item(self) -> Self {
        let wanted = match self.wanted {
            Some(DataType::List(item)) => Some(&**item),
            _ => None,
        };
        How { wanted, ..self }
    }

    /// Whether an integer is turned around. `__be16`, `__be32` and `__be64` are the kernel's names for integers in
    /// network byte order; an address stays as on the wire.
    pub(super) fn is_big(self, typedefs: &[String]) -> bool {
        match self.kind {
            Kind::PortBe | Kind::AddressLe => true,
            Kind::Address => false,
            _ => is_big_endian(typedefs),
        }
    }
}

/// A field that the column's kind reads in another way than its C type alone would be.
pub(super) fn by_kind(found: &FoundField<'_>, how: How<'_>) -> Option<Value> {
    let FoundField { bit_offset, field } = *found;
    if field.bit_size.is_some() || !bit_offset.is_multiple_of(8) {
        return None;
    }
    let offset = u32::try_from(bit_offset / 8).ok()?;
    let (data_type, read) = match how.kind {
        Kind::Address => address(field, how)?,
        Kind::Endpoint => endpoint(field)?,
        Kind::KernelStack | Kind::UserStack => stack(field)?,
        // Bytes whose kind is one of numbers.
        kind if how.wanted.is_none() => numbers(field, kind)?,
        _ => return None,
    };
    Some(Value {
        data_type,
        node: Node { offset, read },
    })
}

/// An array of bytes or characters as a list, when its kind is one of numbers.
fn numbers(field: &Field, kind: Kind) -> Option<(DataType, Read)> {
    let FieldType::Array { element, len } = &field.ty else {
        return None;
    };
    let signed = match &element.ty {
        FieldType::Char => true,
        FieldType::Int { signed: false } => false,
        _ => return None,
    };
    if kind == Kind::None || element.size != 1 {
        return None;
    }
    let (natural, item) = if signed {
        (DataType::Text, DataType::I8)
    } else {
        (DataType::Bytes, DataType::U8)
    };
    if kind.accepts(&natural) || !kind.accepts(&item) {
        return None;
    }
    let (item_type, read) = number(1, signed, false)?;
    let data_type = DataType::List(Box::new(item_type));
    let read = Read::List {
        len: (*len > 0).then_some(*len),
        stride: 1,
        item: Box::new(Node { offset: 0, read }),
        ends_at_zeros: false,
        data_type: data_type.clone(),
    };
    Some((data_type, read))
}

fn address(field: &Field, how: How<'_>) -> Option<(DataType, Read)> {
    match &field.ty {
        FieldType::Struct(layout) | FieldType::Union(layout) => {
            Some((DataType::Bytes, Read::Address(layout.address()?)))
        }
        // 16 bytes as words are an address of IPv6, not a list of four of IPv4, unless a list is asked for.
        FieldType::Array { element, .. }
            if field.size == 16
                && element.size > 1
                && matches!(element.ty, FieldType::Int { .. })
                && !matches!(how.wanted, Some(DataType::List(_))) =>
        {
            Some((DataType::Bytes, Read::Bytes { size: Some(16) }))
        }
        _ => None,
    }
}

fn endpoint(field: &Field) -> Option<(DataType, Read)> {
    let layout = field.nested()?;
    let place = layout.endpoint()?;
    let (_, port) = number(2, false, place.port_big)?;
    let data_type = Kind::endpoint_type();
    let fields = vec![
        Node {
            offset: 0,
            read: Read::Address(place.address),
        },
        Node {
            offset: place.port,
            read: port,
        },
    ];
    let read = Read::Struct {
        size: layout.size,
        fields,
        // What lies where a port would is none when the address is one of another family, or there is none.
        by_first: place.socket || place.address.version.is_some(),
        data_type: data_type.clone(),
    };
    Some((data_type, read))
}

/// An array of addresses of code. Zeros at its end are room that was not needed; a record may end inside of it.
fn stack(field: &Field) -> Option<(DataType, Read)> {
    let FieldType::Array { element, len } = &field.ty else {
        return None;
    };
    let address = match element.ty {
        FieldType::Pointer => true,
        FieldType::Int { .. } => element.size == 8,
        _ => false,
    };
    if !address {
        return None;
    }
    let (item_type, read) = number(8, false, false)?;
    let data_type = DataType::List(Box::new(item_type));
    let read = Read::List {
        len: (*len > 0).then_some(*len),
        stride: 8,
        item: Box::new(Node { offset: 0, read }),
        ends_at_zeros: true,
        data_type: data_type.clone(),
    };
    Some((data_type, read))
}
