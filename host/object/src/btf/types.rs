//! One type of BTF and what hangs on it.

use super::{BtfError, read_u32};

/// Number of a type in its BTF; 0 is void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

/// The kinds of types (`BTF_KIND_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Integer, character or boolean.
    Int = 1,
    /// Pointer.
    Ptr = 2,
    /// Array.
    Array = 3,
    /// Struct.
    Struct = 4,
    /// Union.
    Union = 5,
    /// Enumeration of 32 bits or fewer.
    Enum = 6,
    /// A struct, union or enum that is declared and not defined.
    Fwd = 7,
    /// Another name for a type.
    Typedef = 8,
    /// `volatile`.
    Volatile = 9,
    /// `const`.
    Const = 10,
    /// `restrict`.
    Restrict = 11,
    /// A function.
    Func = 12,
    /// What a function takes and gives.
    FuncProto = 13,
    /// A global variable.
    Var = 14,
    /// The variables of an ELF section.
    DataSec = 15,
    /// Floating point.
    Float = 16,
    /// `__attribute__((btf_decl_tag))`.
    DeclTag = 17,
    /// `__attribute__((btf_type_tag))`.
    TypeTag = 18,
    /// Enumeration of 64 bits.
    Enum64 = 19,
}

impl Kind {
    fn from_number(kind: u8) -> Option<Self> {
        Some(match kind {
            1 => Self::Int,
            2 => Self::Ptr,
            3 => Self::Array,
            4 => Self::Struct,
            5 => Self::Union,
            6 => Self::Enum,
            7 => Self::Fwd,
            8 => Self::Typedef,
            9 => Self::Volatile,
            10 => Self::Const,
            11 => Self::Restrict,
            12 => Self::Func,
            13 => Self::FuncProto,
            14 => Self::Var,
            15 => Self::DataSec,
            16 => Self::Float,
            17 => Self::DeclTag,
            18 => Self::TypeTag,
            19 => Self::Enum64,
            _ => return None,
        })
    }

    /// A typedef, `const`, `volatile`, `restrict` or type tag: says nothing about the bytes of a value.
    #[must_use]
    pub fn is_modifier(self) -> bool {
        matches!(
            self,
            Self::Typedef | Self::Volatile | Self::Const | Self::Restrict | Self::TypeTag
        )
    }

    /// Bytes that follow the three common words: (fixed, for each of `vlen`).
    fn tail(self) -> (usize, usize) {
        match self {
            Self::Int | Self::Var | Self::DeclTag => (4, 0),
            Self::Array => (12, 0),
            Self::Struct | Self::Union | Self::DataSec | Self::Enum64 => (0, 12),
            Self::Enum | Self::FuncProto => (0, 8),
            _ => (0, 0),
        }
    }

    /// The third word is a type id, not a size.
    pub(crate) fn has_target(self) -> bool {
        self.is_modifier()
            || matches!(
                self,
                Self::Ptr | Self::Func | Self::FuncProto | Self::Var | Self::DeclTag
            )
    }
}

/// Kind and length in bytes of the type at `at`.
#[inline]
pub(crate) fn frame(types: &[u8], at: usize, id: u32) -> Result<(Kind, usize), BtfError> {
    let cut = BtfError::Truncated { id, offset: at };
    let Some(head) = types.get(at..).and_then(|rest| rest.first_chunk::<12>()) else {
        return Err(cut);
    };
    let (kind, vlen) = (
        head[7] & 0x1f,
        usize::from(u16::from_le_bytes([head[4], head[5]])),
    );
    let kind = Kind::from_number(kind).ok_or(BtfError::UnknownKind { id, kind })?;
    let (fixed, each) = kind.tail();
    let length = 12 + fixed + each * vlen;
    if length > types.len() - at {
        return Err(cut);
    }
    Ok((kind, length))
}

/// The string at an offset, up to its NUL.
pub(crate) fn string(strings: &[u8], offset: u32) -> Option<&str> {
    let rest = strings.get(offset as usize..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

/// One type.
#[derive(Clone, Copy, Debug)]
pub struct Type<'a> {
    name: u32,
    info: u32,
    third: u32,
    kind: Kind,
    tail: &'a [u8],
    strings: &'a [u8],
}

/// What an integer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntType {
    /// `BTF_INT_SIGNED`.
    pub signed: bool,
    /// `BTF_INT_CHAR`; compilers rarely set it.
    pub char: bool,
    /// `BTF_INT_BOOL`.
    pub bool: bool,
    /// How many bits count.
    pub bits: u8,
    /// Where they begin in the value's bytes.
    pub bit_offset: u8,
}

/// What an array is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayType {
    /// Type of an element.
    pub element: TypeId,
    /// Type of an index.
    pub index: TypeId,
    /// Number of elements; 0 for a flexible one.
    pub len: u32,
}

/// A member of a struct or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Empty for an anonymous one.
    pub name: &'a str,
    /// Its type.
    pub ty: TypeId,
    /// From the beginning of the struct.
    pub bit_offset: u32,
    /// Of a bitfield.
    pub bit_size: Option<u32>,
}

/// A parameter of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// Empty when it has none.
    pub name: &'a str,
    /// Its type; void marks a variable number of arguments.
    pub ty: TypeId,
}

/// A variable in a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionVariable {
    /// Of kind [`Kind::Var`], or [`Kind::Func`] for a kfunc.
    pub ty: TypeId,
    /// In the section, in bytes; 0 in objects that were not linked, where the symbol knows better.
    pub offset: u32,
    /// In bytes.
    pub size: u32,
}

impl<'a> Type<'a> {
    pub(super) fn read(types: &'a [u8], at: usize, strings: &'a [u8]) -> Option<Self> {
        let (kind, length) = frame(types, at, 0).ok()?;
        Some(Self {
            name: read_u32(types, at)?,
            info: read_u32(types, at + 4)?,
            third: read_u32(types, at + 8)?,
            kind,
            tail: types.get(at + 12..at + length)?,
            strings,
        })
    }

    /// Empty for a type that has none (or one that is not UTF-8).
    #[must_use]
    pub fn name(&self) -> &'a str {
        if self.name == 0 {
            ""
        } else {
            string(self.strings, self.name).unwrap_or("")
        }
    }

    /// What kind of type it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// `kind_flag`: bitfields in a struct, union instead of struct in a declaration, signed enumeration.
    #[must_use]
    pub fn flag(&self) -> bool {
        self.info >> 31 != 0
    }

    /// In bytes, where the type itself says it.
    #[must_use]
    pub fn size(&self) -> Option<u32> {
        matches!(
            self.kind,
            Kind::Int
                | Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Enum64
                | Kind::DataSec
                | Kind::Float
        )
        .then_some(self.third)
    }

    /// The type that a pointer, typedef, modifier, function, prototype (what it returns), variable or tag
    /// is about.
    #[must_use]
    pub fn target(&self) -> Option<TypeId> {
        self.kind.has_target().then_some(TypeId(self.third))
    }

    /// Of a [`Kind::Int`].
    #[must_use]
    pub fn int(&self) -> Option<IntType> {
        let word = read_u32(self.tail, 0).filter(|_| self.kind == Kind::Int)?;
        let [bits, _, bit_offset, encoding] = word.to_le_bytes();
        Some(IntType {
            signed: encoding & 1 != 0,
            char: encoding & 2 != 0,
            bool: encoding & 4 != 0,
            bits,
            bit_offset,
        })
    }

    /// Of a [`Kind::Array`].
    #[must_use]
    pub fn array(&self) -> Option<ArrayType> {
        if self.kind != Kind::Array {
            return None;
        }
        let word = |at| read_u32(self.tail, at);
        Some(ArrayType {
            element: TypeId(word(0)?),
            index: TypeId(word(4)?),
            len: word(8)?,
        })
    }

    fn words(&self, kinds: &[Kind], width: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let tail = if kinds.contains(&self.kind) {
            self.tail
        } else {
            &[]
        };
        tail.chunks_exact(width)
    }

    /// Of a struct or union; none of another kind.
    pub fn members(&self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        let (strings, flag) = (self.strings, self.flag());
        self.words(&[Kind::Struct, Kind::Union], 12)
            .filter_map(move |word| {
                let offset = read_u32(word, 8)?;
                let (bit_offset, bits) = if flag {
                    (offset & 0x00ff_ffff, offset >> 24)
                } else {
                    (offset, 0)
                };
                Some(Member {
                    name: string(strings, read_u32(word, 0)?).unwrap_or(""),
                    ty: TypeId(read_u32(word, 4)?),
                    bit_offset,
                    bit_size: (bits != 0).then_some(bits),
                })
            })
    }

    /// Names and values of an enumeration, those of unsigned ones as they are in 64 bits; none of
    /// another kind.
    pub fn variants(&self) -> impl Iterator<Item = (&'a str, i64)> + use<'a> {
        let (strings, signed, wide) = (self.strings, self.flag(), self.kind == Kind::Enum64);
        let width = if wide { 12 } else { 8 };
        self.words(&[Kind::Enum, Kind::Enum64], width)
            .filter_map(move |word| {
                let low = read_u32(word, 4)?;
                let value = if wide {
                    (u64::from(read_u32(word, 8)?) << 32 | u64::from(low)).cast_signed()
                } else if signed {
                    i64::from(low.cast_signed())
                } else {
                    i64::from(low)
                };
                Some((string(strings, read_u32(word, 0)?).unwrap_or(""), value))
            })
    }

    /// Of a function's prototype; none of another kind.
    pub fn params(&self) -> impl Iterator<Item = Param<'a>> + use<'a> {
        let strings = self.strings;
        self.words(&[Kind::FuncProto], 8).filter_map(move |word| {
            let name = string(strings, read_u32(word, 0)?).unwrap_or("");
            Some(Param {
                name,
                ty: TypeId(read_u32(word, 4)?),
            })
        })
    }

    /// Of a section; none of another kind.
    pub fn variables(&self) -> impl Iterator<Item = SectionVariable> + use<'a> {
        self.words(&[Kind::DataSec], 12).filter_map(|word| {
            Some(SectionVariable {
                ty: TypeId(read_u32(word, 0)?),
                offset: read_u32(word, 4)?,
                size: read_u32(word, 8)?,
            })
        })
    }
}
