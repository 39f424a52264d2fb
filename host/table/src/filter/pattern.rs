//! Tests of text: equality, order, parts, globs, regular expressions and networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::number::Order;

/// A test of one text, which is bytes.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Equal(Vec<u8>),
    /// One of several, in order.
    OneOf(Vec<Vec<u8>>),
    Order(Order, Vec<u8>),
    Prefix(Vec<u8>),
    Suffix(Vec<u8>),
    Contains(Box<Finder<'static>>),
    /// A glob whose only wildcards are stars: the text between the stars.
    Pieces(Box<Pieces>),
    Glob(Glob),
    Regex(Regex),
    Networks(Vec<Network>),
}

impl Pattern {
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Equal(want) => text == want,
            Self::OneOf(any) => any.binary_search_by(|one| one.as_slice().cmp(text)).is_ok(),
            Self::Order(order, than) => order.admits(text, than.as_slice()),
            Self::Prefix(start) => text.starts_with(start),
            Self::Suffix(end) => text.ends_with(end),
            Self::Contains(part) => part.find(text).is_some(),
            Self::Pieces(pieces) => pieces.matches(text),
            Self::Glob(glob) => glob.matches(text),
            Self::Regex(regex) => regex.is_match(text),
            Self::Networks(any) => {
                address(text).is_some_and(|address| any.iter().any(|net| net.holds(address)))
            }
        }
    }

    /// What a test costs, about, in nanoseconds.
    pub(super) fn cost(&self) -> u32 {
        match self {
            Self::Equal(_) => 3,
            Self::Prefix(_) | Self::Suffix(_) | Self::Order(..) => 4,
            Self::Contains(_) => 12,
            Self::OneOf(_) => 20,
            Self::Pieces(_) => 15,
            Self::Glob(_) => 80,
            Self::Networks(_) => 40,
            Self::Regex(_) => 60,
        }
    }

    /// A regular expression, which becomes something cheaper when it is only a text.
    pub(super) fn regex(pattern: &str) -> Result<Self, regex::Error> {
        let regex = Regex::new(pattern)?;
        let start = pattern.strip_prefix('^');
        let body = start.unwrap_or(pattern);
        let end = body.strip_suffix('$');
        let body = end.unwrap_or(body);
        let special = |c: char| r"\.+*?()|[]{}^$".contains(c);
        if body.is_empty() || body.contains(special) {
            return Ok(Self::Regex(regex));
        }
        let body = body.as_bytes();
        Ok(match (start.is_some(), end.is_some()) {
            (true, true) => Self::Equal(body.to_vec()),
            (true, false) => Self::Prefix(body.to_vec()),
            (false, true) => Self::Suffix(body.to_vec()),
            (false, false) => Self::contains(body),
        })
    }

    /// Any of these texts.
    pub(super) fn one_of(mut any: Vec<Vec<u8>>) -> Self {
        any.sort_unstable();
        any.dedup();
        if any.len() == 1
            && let Some(one) = any.pop()
        {
            return Self::Equal(one);
        }
        Self::OneOf(any)
    }

    pub(super) fn contains(part: &[u8]) -> Self {
        Self::Contains(Box::new(Finder::new(part).into_owned()))
    }

    /// A glob, which becomes something cheaper when all its wildcards are stars.
    pub(super) fn glob(glob: Glob) -> Self {
        let literal = |parts: &[Part]| -> Option<Vec<u8>> {
            let byte = |part: &Part| match part {
                Part::Byte(byte) => Some(*byte),
                _ => None,
            };
            parts.iter().map(byte).collect()
        };
        let pieces = glob.0.split(|part| *part == Part::Star).map(literal);
        let Some(pieces) = pieces.collect::<Option<Vec<Vec<u8>>>>() else {
            return Self::Glob(glob);
        };
        // A star takes whole characters; to look for bytes is the same, unless they begin in the
        // midst of one.
        let within = |piece: &Vec<u8>| piece.first().is_some_and(|byte| byte & 0xc0 == 0x80);
        if pieces.iter().skip(1).any(within) {
            return Self::Glob(glob);
        }
        match pieces.as_slice() {
            [] => Self::Glob(glob),
            [all] => Self::Equal(all.clone()),
            [start, end] if end.is_empty() => Self::Prefix(start.clone()),
            [start, end] if start.is_empty() => Self::Suffix(end.clone()),
            [start, part, end] if start.is_empty() && end.is_empty() => Self::contains(part),
            [start, inner @ .., end] => Self::Pieces(Box::new(Pieces {
                start: start.clone(),
                inner: inner
                    .iter()
                    .map(|part| Finder::new(part).into_owned())
                    .collect(),
                end: end.clone(),
            })),
        }
    }
}

/// Texts that come one after the other, with anything between them.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    start: Vec<u8>,
    inner: Vec<Finder<'static>>,
    end: Vec<u8>,
}

impl Pieces {
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let rest = text.strip_prefix(self.start.as_slice());
        let rest = rest.and_then(|rest| rest.strip_suffix(self.end.as_slice()));
        let Some(mut rest) = rest else {
            return false;
        };
        // The first place is as good as any later one: it leaves the most.
        self.inner.iter().all(|part| {
            let after = part.find(rest).map(|at| at + part.needle().len());
            let after = after.and_then(|after| rest.get(after..));
            after.inspect(|after| rest = after).is_some()
        })
    }
}

/// One place of a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// This byte.
    Byte(u8),
    /// `?`: one character; a byte that is not UTF-8 counts as one.
    One,
    /// `*`: any number of bytes, also `/`.
    Star,
    /// `[a-z]`, `[!a-z]`: one character in, or not in, these ranges.
    Class(bool, Vec<(char, char)>),
}

/// A glob, which the whole text has to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob(pub(super) Vec<Part>);

impl Glob {
    fn matches(&self, text: &[u8]) -> bool {
        let parts = self.0.as_slice();
        let (mut part, mut at) = (0, 0);
        // The last star, and the text from where on it does not reach yet: nothing before it
        // has to be tried again.
        let mut star: Option<(usize, usize)> = None;
        loop {
            let rest = text.get(at..).unwrap_or_default();
            let step = match parts.get(part) {
                Some(Part::Star) => {
                    star = Some((part + 1, at));
                    part += 1;
                    continue;
                }
                None if rest.is_empty() => return true,
                None => None,
                Some(one) => one.takes(rest),
            };
            match (step, star) {
                (Some(step), _) => {
                    part += 1;
                    at += step;
                }
                (None, Some((after, from))) => {
                    let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) else {
                        return false;
                    };
                    // A star takes whole characters, so that what follows begins at one.
                    let from = from + character(rest).1;
                    star = Some((after, from));
                    (part, at) = (after, from);
                }
                (None, None) => return false,
            }
        }
    }
}

impl Part {
    /// How many bytes at the start of `rest` it matches.
    fn takes(&self, rest: &[u8]) -> Option<usize> {
        match self {
            Self::Byte(byte) => (rest.first() == Some(byte)).then_some(1),
            Self::One => (!rest.is_empty()).then(|| character(rest).1),
            Self::Class(within, ranges) => {
                if rest.is_empty() {
                    return None;
                }
                let (c, len) = character(rest);
                let found = c.is_some_and(|c| ranges.iter().any(|(a, z)| (*a..=*z).contains(&c)));
                (found == *within).then_some(len)
            }
            Self::Star => None,
        }
    }
}

/// The first character and its length; `None` and 1 where the text is not UTF-8.
fn character(text: &[u8]) -> (Option<char>, usize) {
    let head = text.get(..4).unwrap_or(text);
    let valid = match std::str::from_utf8(head) {
        Ok(valid) => valid,
        Err(error) => head
            .get(..error.valid_up_to())
            .and_then(|valid| std::str::from_utf8(valid).ok())
            .unwrap_or_default(),
    };
    match valid.chars().next() {
        Some(c) => (Some(c), c.len_utf8()),
        None => (None, 1),
    }
}

/// An address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    /// Bits that do not count are 0.
    bits: u128,
    mask: u128,
    v6: bool,
}

impl Network {
    /// `10.0.0.0/8`, `fe80::/10`, or an address alone.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv6() { 128 } else { 32 };
        let length = match length {
            // No sign, no leading zeros: what `u8` takes beyond plain digits.
            Some(text) if text.starts_with('+') => return None,
            Some(text) => text.parse().ok().filter(|length: &u32| *length <= most)?,
            None => most,
        };
        let host = 128 - most + length;
        let mask = u128::MAX.checked_shl(128 - host).unwrap_or(0);
        let (v6, bits) = number(address);
        Some(Self {
            bits: bits & mask,
            mask,
            v6,
        })
    }

    /// The bits that count and what they are, of IPv4.
    pub(super) fn v4(self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        // Of the mask the lowest 32 bits are those of an IPv4 address.
        let low = |bits: u128| Ipv4Addr::from_bits(bits as u32);
        (!self.v6).then(|| (low(self.mask), low(self.bits)))
    }

    /// An IPv4 address within IPv6 (`::ffff:10.0.0.1`) is also the IPv4 address.
    fn holds(self, address: IpAddr) -> bool {
        let within = |address| {
            let (v6, bits) = number(address);
            v6 == self.v6 && bits & self.mask == self.bits
        };
        within(address) || within(address.to_canonical())
    }

    /// An address as the kernel has it, 4 or 16 bytes.
    pub(super) fn holds_bytes(self, bytes: &[u8]) -> bool {
        let address = match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
            16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
            _ => None,
        };
        address.is_some_and(|address| self.holds(address))
    }
}

/// Whether it is IPv6, and its bits, the lowest last.
fn number(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(v4) => (false, v4.to_bits().into()),
        IpAddr::V6(v6) => (true, Ipv6Addr::to_bits(v6)),
    }
}

fn address(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(parts: &[Part], text: &[u8]) -> bool {
        Glob(parts.to_vec()).matches(text)
    }

    #[test]
    fn globs() {
        use Part::{Byte, Class, One, Star};
        let abc = [Star, Byte(b'a'), Star, Byte(b'b'), One];
        assert!(like(&abc, b"xxaaxbbc"));
        assert!(like(&abc, "abé".as_bytes()));
        assert!(like(&abc, b"ab\xff"));
        assert!(!like(&abc, b"ab"));
        assert!(!like(&abc, b"ba"));
        assert!(!like(&abc, b"abcd"));
        assert!(like(&[], b"") && !like(&[], b"a"));
        assert!(like(&[Star], b"") && !like(&[One], b""));
        assert!(!like(&[One, One], "é".as_bytes()));
        assert!(like(&[Star, One], "é".as_bytes()));
        assert!(!like(&[One, Star, One], "é".as_bytes()));
        let digit = Class(true, vec![('0', '9'), ('é', 'é')]);
        assert!(like(&[digit.clone(), Star], b"7up"));
        assert!(like(std::slice::from_ref(&digit), "é".as_bytes()));
        assert!(!like(&[digit], b"\xff"));
        assert!(like(&[Class(false, vec![('0', '9')])], b"\xff"));
        assert!(!like(&[Class(false, vec![('0', '9')])], b""));
        // Linear in the number of stars, not exponential.
        let stars = vec![[Star, Byte(b'a')]; 40].concat();
        assert!(!like(&stars, &[b'b'; 2_000]));
        assert!(!like(&stars, &[b'a'; 39]));
    }

    #[test]
    fn simple_patterns_are_cheap() {
        use Part::{Byte, One, Star};
        let glob = |parts: &[Part]| format!("{:?}", Pattern::glob(Glob(parts.to_vec())));
        assert!(glob(&[Byte(1), Star]).starts_with("Prefix"));
        assert!(glob(&[Star, Byte(1)]).starts_with("Suffix"));
        assert!(glob(&[Star, Byte(1), Star]).starts_with("Contains"));
        assert!(glob(&[Byte(1), Byte(2)]).starts_with("Equal"));
        assert!(glob(&[Byte(1), One]).starts_with("Glob"));
        assert!(glob(&[Star, Byte(1), Star, Byte(1)]).starts_with("Pieces"));
        assert!(glob(&[Byte(1), Star, Byte(1)]).starts_with("Pieces"));
        // It would be found in the midst of a character.
        assert!(glob(&[Star, Byte(0xa9)]).starts_with("Glob"));
        assert!(glob(&[Star, Byte(0xc3), Byte(0xa9)]).starts_with("Suffix"));
        assert!(glob(&[]).starts_with("Equal"));
        let regex = |text: &str| format!("{:?}", Pattern::regex(text).unwrap());
        assert!(regex("lib").starts_with("Contains"));
        assert!(regex("^lib").starts_with("Prefix"));
        assert!(regex("lib$").starts_with("Suffix"));
        assert!(regex("^lib$").starts_with("Equal"));
        for text in ["", "^", "$", "a.b", "a|b", r"a\b", "(?i)a", "a$b"] {
            assert!(regex(text).starts_with("Regex"), "{text}");
        }
    }

    #[test]
    fn pieces_do_not_overlap() {
        use Part::{Byte, Star};
        let glob = [
            Byte(b'a'),
            Star,
            Byte(b'b'),
            Star,
            Byte(b'b'),
            Star,
            Byte(b'a'),
        ];
        let pattern = Pattern::glob(Glob(glob.to_vec()));
        assert!(matches!(pattern, Pattern::Pieces(_)));
        for (text, want) in [
            ("abba", true),
            ("axbxbxa", true),
            ("aba", false),
            ("a", false),
            ("abb", false),
            ("bba", false),
        ] {
            assert_eq!(pattern.matches(text.as_bytes()), want, "{text}");
            assert_eq!(like(&glob, text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn networks() {
        let holds =
            |net: &str, address: &str| Network::parse(net).unwrap().holds(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.1.2.3/8", "10.255.0.1"));
        assert!(holds("0.0.0.0/0", "255.255.255.255"));
        assert!(!holds("0.0.0.0/0", "::1"));
        assert!(holds("10.0.0.1", "10.0.0.1"));
        assert!(!holds("10.0.0.1", "10.0.0.2"));
        assert!(holds("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(holds("::/0", "::ffff:10.0.0.1"));
        assert!(holds("fe80::/10", "febf::1"));
        assert!(!holds("fe80::/10", "fec0::1"));
        assert!(holds("::1/128", "0:0::1"));
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "a/8",
            "10.0.0.0/8/8",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
        let net = Network::parse("10.0.0.0/8").unwrap();
        assert!(net.holds_bytes(&[10, 1, 2, 3]));
        assert!(!net.holds_bytes(&[11, 1, 2, 3]));
        assert!(!net.holds_bytes(&[10, 1, 2]));
        assert!(net.holds_bytes(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]));
    }
}
