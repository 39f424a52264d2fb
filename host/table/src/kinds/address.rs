//! Addresses of the network and of its cards.
//!
//! An address is kept as it is on the wire: as `bytes`, 4 for IPv4 and 16 for IPv6, or an IPv4
//! address alone as the `u32` that a little-endian machine loads from these 4 bytes.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that a `u32` column holds.
#[must_use]
pub fn of_u32(value: u32) -> Ipv4Addr {
    Ipv4Addr::from(value.to_le_bytes())
}

/// What a `u32` column holds for an address.
#[must_use]
pub fn to_u32(address: Ipv4Addr) -> u32 {
    u32::from_le_bytes(address.octets())
}

/// The address in a `bytes` column; none when there are neither 4 nor 16 bytes.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(octets).into())
}

/// Adds `10.0.0.1` or, as RFC 5952 wants it, `2001:db8::1`; other bytes in hex.
pub(crate) fn push(bytes: &[u8], out: &mut String) {
    match of_bytes(bytes) {
        // Writing to a string does not fail.
        Some(IpAddr::V4(address)) => drop(write!(out, "{address}")),
        Some(IpAddr::V6(address)) => drop(write!(out, "{address}")),
        None => push_separated(bytes, None, out),
    }
}

/// Adds an address as it stands before a port: `10.0.0.1`, `[2001:db8::1]`.
pub(crate) fn push_host(bytes: &[u8], out: &mut String) {
    let long = bytes.len() == 16;
    if long {
        out.push('[');
    }
    push(bytes, out);
    if long {
        out.push(']');
    }
}

/// Adds a card's address: `00:1a:2b:3c:4d:5e`, of however many bytes.
pub(crate) fn push_mac(bytes: &[u8], out: &mut String) {
    push_separated(bytes, Some(':'), out);
}

fn push_separated(bytes: &[u8], separator: Option<char>, out: &mut String) {
    for (i, byte) in bytes.iter().enumerate() {
        if i > 0 {
            out.extend(separator);
        }
        out.extend(crate::text::hex(*byte).map(char::from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let text = |bytes: &[u8]| {
            let (mut bare, mut host) = (String::new(), String::new());
            push(bytes, &mut bare);
            push_host(bytes, &mut host);
            (bare, host)
        };
        let both = |bare: &str, host: &str| (bare.to_owned(), host.to_owned());
        assert_eq!(text(&[10, 0, 0, 1]), both("10.0.0.1", "10.0.0.1"));
        let mut long = [0; 16];
        assert_eq!(text(&long), both("::", "[::]"));
        long[15] = 1;
        assert_eq!(text(&long), both("::1", "[::1]"));
        // RFC 5952: the longest run of zeros, lower case, no zeros in front.
        let documentation: Ipv6Addr = "2001:0DB8:0:0:1:0:0:1".parse().unwrap();
        let text6 = text(&documentation.octets());
        assert_eq!(text6, both("2001:db8::1:0:0:1", "[2001:db8::1:0:0:1]"));
        let mapped = text(&Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().octets());
        assert_eq!(mapped.0, "::ffff:10.0.0.1");
        assert_eq!(text(&[1, 0xab]), both("01ab", "01ab"));
        assert_eq!(text(b""), both("", ""));
    }

    #[test]
    fn a_number_is_the_bytes_on_the_wire() {
        let address = Ipv4Addr::new(10, 0, 0, 1);
        assert_eq!(to_u32(address), 0x0100_000a);
        assert_eq!(of_u32(to_u32(address)), address);
        assert_eq!(of_bytes(&address.octets()), Some(address.into()));
        assert_eq!(of_bytes(&[0; 5]), None);
    }

    #[test]
    fn cards() {
        let mut out = String::new();
        push_mac(&[0, 0x1a, 0x2b, 0x3c, 0x4d, 0x5e], &mut out);
        assert_eq!(out, "00:1a:2b:3c:4d:5e");
    }
}
