//! Structs that are an address of the network, or the side of a connection.

use super::layout::{Field, FieldType, FoundField, Layout};

/// Where an IP address is in a struct or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPlace {
    /// Where the 4 bytes of one of IPv4 are, from the beginning; none: it has no room.
    pub v4: Option<u32>,
    /// Where the 16 bytes of one of IPv6 are; none: it has no room.
    pub v6: Option<u32>,
    /// Place and size of the number that says which it is: 4 or `AF_INET`, 6 or `AF_INET6`. None: it is the longer one.
    pub version: Option<(u32, u32)>,
}

/// Where the address of an endpoint is, and its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointPlace {
    /// The address.
    pub address: AddressPlace,
    /// Where the 2 bytes of the port are, from the beginning.
    pub port: u32,
    /// The port is in network byte order.
    pub port_big: bool,
    /// It is one of the kernel's socket addresses, and so also may be none of the network at all.
    pub socket: bool,
}

/// Where `struct sockaddr_in` and `struct sockaddr_in6` have what (`include/uapi/linux/in.h`, `in6.h`): the family in
/// two bytes, the port in two, the address.
const PORT: u32 = 2;
const V4: u32 = 4;
const V6: u32 = 8;

impl Layout {
    /// The address in a struct or union that is one: a member of 16 bytes, or a struct or union that has one, and
    /// perhaps a member `version` (4, 6) or `family` (`AF_INET`, `AF_INET6`) that says how many of them count; or four
    /// bytes alone; or one of the kernel's socket addresses.
    ///
    /// `struct gadget_l3endpoint_t`, `union gadget_ip_addr_t`, `struct in6_addr`, `struct in_addr` and
    /// `struct sockaddr_in` are such.
    #[must_use]
    pub fn address(&self) -> Option<AddressPlace> {
        if let Some((v4, v6)) = self.socket_address() {
            return Some(AddressPlace {
                v4: v4.then_some(V4),
                v6: v6.then_some(V6),
                version: Some((0, 2)),
            });
        }
        let (at, len) = self.bytes_of_address()?;
        let version = ["version", "family"].iter().find_map(|name| {
            let FoundField { bit_offset, field } = self.field(name)?;
            let number = matches!(field.ty, FieldType::Int { .. }) && matches!(field.size, 1 | 2);
            let at = u32::try_from(bit_offset / 8).ok()?;
            (number && field.bit_size.is_none() && bit_offset.is_multiple_of(8))
                .then_some((at, field.size))
        });
        // Without a version all bytes are the address.
        let short = len == 4 || version.is_some();
        Some(AddressPlace {
            v4: short.then_some(at),
            v6: (len == 16).then_some(at),
            version,
        })
    }

    /// The address and the port of a struct that has an address (see [`Self::address`]) and a member `port` of two
    /// bytes (`struct gadget_l4endpoint_t`), or that is one of the kernel's socket addresses.
    #[must_use]
    pub fn endpoint(&self) -> Option<EndpointPlace> {
        let address = self.address()?;
        if self.is_socket_address() {
            return Some(EndpointPlace {
                address,
                port: PORT,
                port_big: true,
                socket: true,
            });
        }
        let FoundField { bit_offset, field } = self.field("port")?;
        let number = field.ty == FieldType::Int { signed: false } && field.size == 2;
        if !number || field.bit_size.is_some() || !bit_offset.is_multiple_of(8) {
            return None;
        }
        Some(EndpointPlace {
            address,
            port: u32::try_from(bit_offset / 8).ok()?,
            port_big: is_big_endian(&field.typedefs),
            socket: false,
        })
    }

    /// It is one of the kernel's socket addresses, by its name, or a union of those.
    #[must_use]
    pub fn is_socket_address(&self) -> bool {
        self.socket_address().is_some()
    }

    /// Whether a socket address has room for one of IPv4, and of IPv6.
    fn socket_address(&self) -> Option<(bool, bool)> {
        let (v4, v6) = match self.name.as_str() {
            "sockaddr_in" => (true, false),
            "sockaddr_in6" => (false, true),
            "sockaddr" | "sockaddr_storage" | "__kernel_sockaddr_storage" => (true, true),
            _ => {
                let of = |field: &Field| match field.bit_offset {
                    0 if self.fields.len() > 1 => field.nested()?.socket_address(),
                    _ => None,
                };
                let all: Option<Vec<_>> = self.fields.iter().map(of).collect();
                let all = all.filter(|all| !all.is_empty())?;
                (all.iter().any(|of| of.0), all.iter().any(|of| of.1))
            }
        };
        let (v4, v6) = (v4 && self.size >= V4 + 4, v6 && self.size >= V6 + 16);
        (v4 || v6).then_some((v4, v6))
    }

    /// Where the longest address in it begins, and how many bytes it has.
    fn bytes_of_address(&self) -> Option<(u32, u32)> {
        let of = |field: &Field| -> Option<(u32, u32)> {
            if field.bit_size.is_some() || !field.bit_offset.is_multiple_of(8) {
                return None;
            }
            let own = field.bit_offset / 8;
            match &field.ty {
                FieldType::Struct(nested) | FieldType::Union(nested) => {
                    let (at, len) = nested.bytes_of_address()?;
                    Some((own.checked_add(at)?, len))
                }
                FieldType::Array { element, .. } if field.size == 16 => match element.ty {
                    FieldType::Int { .. } => Some((own, 16)),
                    _ => None,
                },
                FieldType::Int { .. } if field.size == 16 => Some((own, 16)),
                FieldType::Int { .. } if field.size == 4 && self.size == 4 => Some((own, 4)),
                _ => None,
            }
        };
        // Of several of one length the last.
        self.fields
            .iter()
            .filter_map(of)
            .max_by_key(|(_, len)| *len)
    }
}

/// Whether one of these typedefs is the kernel's name for an integer in network byte order.
#[must_use]
pub fn is_big_endian(typedefs: &[String]) -> bool {
    let names = ["__be16", "__be32", "__be64"];
    typedefs.iter().any(|name| names.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, bytes: u32, size: u32, ty: FieldType) -> Field {
        Field {
            name: name.to_owned(),
            bit_offset: bytes * 8,
            bit_size: None,
            size,
            ty,
            typedefs: Vec::new(),
        }
    }

    fn named(name: &str, size: u32, fields: Vec<Field>) -> Layout {
        Layout {
            name: name.to_owned(),
            size,
            fields,
        }
    }

    #[test]
    fn socket_addresses_are_known_by_their_names() {
        let places = |layout: &Layout| {
            let place = layout.address()?;
            assert_eq!(place.version, Some((0, 2)));
            let endpoint = layout.endpoint()?;
            assert!(endpoint.socket && endpoint.port_big && endpoint.port == 2);
            Some((place.v4, place.v6))
        };
        fn of(name: &str, size: u32) -> Layout {
            named(name, size, Vec::new())
        }
        assert_eq!(places(&of("sockaddr_in", 16)), Some((Some(4), None)));
        assert_eq!(places(&of("sockaddr_in6", 28)), Some((None, Some(8))));
        assert_eq!(places(&of("sockaddr", 16)), Some((Some(4), None)));
        let storage = of("__kernel_sockaddr_storage", 128);
        assert_eq!(places(&storage), Some((Some(4), Some(8))));
        assert_eq!(places(&of("sockaddr_un", 110)), None);
        assert_eq!(places(&of("sockaddr", 4)), None, "no room");
        let members = |names: [(&str, u32); 2]| {
            let members =
                names.map(|(name, size)| field(name, 0, size, FieldType::Struct(of(name, size))));
            named("", 28, members.to_vec())
        };
        let union = members([("sockaddr_in", 16), ("sockaddr_in6", 28)]);
        assert_eq!(places(&union), Some((Some(4), Some(8))));
        assert_eq!(
            places(&members([("sockaddr_in", 16), ("sockaddr_un", 28)])),
            None
        );
    }
}
