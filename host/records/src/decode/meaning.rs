//! What a kind or a C type says about a field beyond its bytes: byte order, addresses, endpoints.

use super::plan::{Node, Read, Value, number};
use ig_object::btf::{Field, FieldType, FoundField, Layout};
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

pub(super) fn is_big_endian(typedefs: &[String]) -> bool {
    let names = ["__be16", "__be32", "__be64"];
    typedefs.iter().any(|name| names.contains(&name.as_str()))
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
        data_type: data_type.clone(),
    };
    Some((data_type, read))
}

/// Where an address is in a struct or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddressPlace {
    /// From the beginning, in bytes.
    pub(super) at: u32,
    /// 16, or 4 where only IPv4 has room.
    len: u32,
    /// Place and size of the number that says which it is.
    pub(super) version: Option<(u32, u32)>,
}

fn address(field: &Field, how: How<'_>) -> Option<(DataType, Read)> {
    match &field.ty {
        FieldType::Struct(layout) | FieldType::Union(layout) => {
            Some((DataType::Bytes, address_in(layout)?.read()))
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
    let (address, (at, big)) = endpoint_in(layout)?;
    let (_, port) = number(2, false, big)?;
    let data_type = Kind::endpoint_type();
    let fields = vec![
        Node {
            offset: 0,
            read: address.read(),
        },
        Node {
            offset: at,
            read: port,
        },
    ];
    let read = Read::Struct {
        size: layout.size,
        fields,
        data_type: data_type.clone(),
    };
    Some((data_type, read))
}

impl AddressPlace {
    fn read(self) -> Read {
        Read::Address {
            at: self.at,
            len: self.len,
            version: self.version,
        }
    }
}

/// The address in a struct that is one: a member of 16 bytes, or a struct or union that has one, and perhaps a member
/// `version` (4, 6) or `family` (`AF_INET`, `AF_INET6`) that says how many of them count; or four bytes alone.
/// `struct gadget_l3endpoint_t`, `union gadget_ip_addr_t`, `struct in6_addr` and `struct in_addr` are such.
pub(super) fn address_in(layout: &Layout) -> Option<AddressPlace> {
    let place = bytes_in(layout)?;
    let version = ["version", "family"].iter().find_map(|name| {
        let found = layout.field(name)?;
        let FoundField { bit_offset, field } = found;
        let number = matches!(field.ty, FieldType::Int { .. }) && matches!(field.size, 1 | 2);
        let at = u32::try_from(bit_offset / 8).ok()?;
        (number && field.bit_size.is_none() && bit_offset.is_multiple_of(8))
            .then_some((at, field.size))
    });
    Some(AddressPlace { version, ..place })
}

fn bytes_in(layout: &Layout) -> Option<AddressPlace> {
    let of = |field: &Field| -> Option<AddressPlace> {
        if field.bit_size.is_some() || !field.bit_offset.is_multiple_of(8) {
            return None;
        }
        let own = field.bit_offset / 8;
        let (at, len) = match &field.ty {
            FieldType::Struct(nested) | FieldType::Union(nested) => {
                let inner = bytes_in(nested)?;
                (own.checked_add(inner.at)?, inner.len)
            }
            FieldType::Array { element, .. } if field.size == 16 => match element.ty {
                FieldType::Int { .. } => (own, 16),
                _ => return None,
            },
            FieldType::Int { .. } if field.size == 16 => (own, 16),
            FieldType::Int { .. } if field.size == 4 && layout.size == 4 => (own, 4),
            _ => return None,
        };
        Some(AddressPlace {
            at,
            len,
            version: None,
        })
    };
    layout
        .fields
        .iter()
        .filter_map(of)
        .max_by_key(|place| place.len)
}

/// Where the address of an endpoint is, and where its port and whether that is in network byte order.
pub(super) fn endpoint_in(layout: &Layout) -> Option<(AddressPlace, (u32, bool))> {
    let address = address_in(layout)?;
    let FoundField { bit_offset, field } = layout.field("port")?;
    let number = field.ty == FieldType::Int { signed: false } && field.size == 2;
    if !number || field.bit_size.is_some() || !bit_offset.is_multiple_of(8) {
        return None;
    }
    let at = u32::try_from(bit_offset / 8).ok()?;
    Some((address, (at, is_big_endian(&field.typedefs))))
}
