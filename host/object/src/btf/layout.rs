//! Where the fields of a struct lie, with everything that is in it by value.

use super::{Btf, BtfError, Kind, TypeId};

/// Deepest nesting of structs and arrays that is followed.
const MAX_DEPTH: usize = 32;
/// Most fields that one layout may hold, nested ones counted wherever they occur.
const MAX_FIELDS: usize = 65_536;

/// A struct or union and its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Empty for an anonymous one.
    pub name: String,
    /// In bytes. A flexible array at the end is not in it.
    pub size: u32,
    /// In the order of the source.
    pub fields: Vec<Field>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Empty for an anonymous struct or union, whose fields are reached without a name.
    pub name: String,
    /// From the beginning of the struct that it is in.
    pub bit_offset: u32,
    /// How many bits a bitfield has.
    pub bit_size: Option<u32>,
    /// Of the whole value in bytes; of a bitfield, that of the type it is declared with.
    pub size: u32,
    /// What it holds.
    pub ty: FieldType,
    /// The typedefs that its type was written with, outermost first (`gadget_mntns_id`, `__u64`).
    pub typedefs: Vec<String>,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// An integer of the field's size.
    Int {
        /// In two's complement.
        signed: bool,
    },
    /// A truth value.
    Bool,
    /// A `char`: text where there are many, a small signed integer alone.
    Char,
    /// A floating point number of the field's size.
    Float,
    /// An integer whose values have names.
    Enum {
        /// In two's complement.
        signed: bool,
        /// In the order of the source.
        variants: Vec<Variant>,
    },
    /// An address; what it points at is not in the struct.
    Pointer,
    /// Elements one behind the other.
    Array {
        /// What each of them is.
        element: Box<Element>,
        /// How many; 0 for a flexible array.
        len: u32,
    },
    /// A struct by value.
    Struct(Layout),
    /// A union by value: all its fields begin at 0.
    Union(Layout),
    /// Something that has no value in C, or that is only declared.
    Unknown,
}

/// A named value of an enumeration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// As in the source.
    pub name: String,
    /// Values of unsigned 64-bit enumerations keep their bits.
    pub value: i64,
}

/// What an array holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// In bytes.
    pub size: u32,
    /// What it holds.
    pub ty: FieldType,
    /// The typedefs that its type was written with, outermost first.
    pub typedefs: Vec<String>,
}

/// A field and where it is in the outermost struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundField<'a> {
    /// From the beginning of the outermost struct, in bits.
    pub bit_offset: u64,
    /// The field itself (its own offset counts from the struct that it is in).
    pub field: &'a Field,
}

impl Layout {
    /// Its last field is an array without a length: a record may be longer than `size`.
    #[must_use]
    pub fn ends_open(&self) -> bool {
        let last = self.fields.last().map(|field| &field.ty);
        matches!(last, Some(FieldType::Array { len: 0, .. }))
    }

    /// The field at a path such as `proc.parent.pid`. Anonymous structs and unions have no step of
    /// their own in it, as in C.
    #[must_use]
    pub fn field(&self, path: &str) -> Option<FoundField<'_>> {
        let mut layout = self;
        let mut base = 0;
        let mut steps = path.split('.').peekable();
        while let Some(step) = steps.next() {
            let found = layout.named(step, base)?;
            if steps.peek().is_none() {
                return Some(found);
            }
            base = found.bit_offset;
            layout = found.field.nested()?;
        }
        None
    }

    fn named(&self, name: &str, base: u64) -> Option<FoundField<'_>> {
        if name.is_empty() {
            return None;
        }
        self.fields.iter().find_map(|field| {
            let bit_offset = base + u64::from(field.bit_offset);
            if field.name == name {
                Some(FoundField { bit_offset, field })
            } else if field.name.is_empty() {
                field.nested()?.named(name, bit_offset)
            } else {
                None
            }
        })
    }

    /// The paths of all fields that have a value of their own: those of nested structs, not the structs;
    /// arrays whole.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        fn walk(layout: &Layout, prefix: &str, paths: &mut Vec<String>) {
            for field in &layout.fields {
                let path = match (prefix, field.name.as_str()) {
                    (prefix, "") => prefix.to_owned(),
                    ("", name) => name.to_owned(),
                    (prefix, name) => format!("{prefix}.{name}"),
                };
                match field.nested() {
                    Some(nested) => walk(nested, &path, paths),
                    None if !field.name.is_empty() => paths.push(path),
                    None => {}
                }
            }
        }
        let mut paths = Vec::new();
        walk(self, "", &mut paths);
        paths
    }
}

impl Field {
    /// The struct or union that the field is, by value.
    #[must_use]
    pub fn nested(&self) -> Option<&Layout> {
        match &self.ty {
            FieldType::Struct(layout) | FieldType::Union(layout) => Some(layout),
            _ => None,
        }
    }
}

struct Builder<'b, 'a> {
    btf: &'b Btf<'a>,
    root: TypeId,
    fields: usize,
}

struct Value {
    size: u32,
    ty: FieldType,
    typedefs: Vec<String>,
    /// A bitfield as integers themselves carried it before `kind_flag`: (offset, bits).
    bits: Option<(u32, u32)>,
}

pub(super) fn build(btf: &Btf<'_>, id: TypeId) -> Result<Layout, BtfError> {
    let resolved = btf.resolve(id).filter(|id| {
        btf.get(*id)
            .is_some_and(|ty| matches!(ty.kind(), Kind::Struct | Kind::Union))
    });
    let resolved = resolved.ok_or(BtfError::Broken {
        id: id.0,
        what: "it is neither a struct nor a union",
    })?;
    Builder {
        btf,
        root: id,
        fields: 0,
    }
    .layout(resolved, 0)
}

impl Builder<'_, '_> {
    fn too_deep(&self) -> BtfError {
        BtfError::TooDeep { id: self.root.0 }
    }

    fn layout(&mut self, id: TypeId, depth: usize) -> Result<Layout, BtfError> {
        let missing = BtfError::Broken {
            id: id.0,
            what: "it does not exist",
        };
        let ty = self.btf.get(id).ok_or(missing)?;
        let mut fields = Vec::new();
        for member in ty.members() {
            self.fields += 1;
            if self.fields > MAX_FIELDS || depth > MAX_DEPTH {
                return Err(self.too_deep());
            }
            let value = self.value(member.ty, depth + 1)?;
            let (shift, bit_size) = match (member.bit_size, value.bits) {
                (Some(bits), _) => (0, Some(bits)),
                (None, Some((shift, bits))) => (shift, Some(bits)),
                (None, None) => (0, None),
            };
            let bit_offset = member.bit_offset.checked_add(shift);
            fields.push(Field {
                name: member.name.to_owned(),
                bit_offset: bit_offset.ok_or(BtfError::Broken {
                    id: id.0,
                    what: "a member lies beyond 512 MiB",
                })?,
                bit_size,
                size: value.size,
                ty: value.ty,
                typedefs: value.typedefs,
            });
        }
        Ok(Layout {
            name: ty.name().to_owned(),
            size: ty.size().unwrap_or(0),
            fields,
        })
    }

    fn value(&mut self, id: TypeId, depth: usize) -> Result<Value, BtfError> {
        if depth > MAX_DEPTH {
            return Err(self.too_deep());
        }
        let mut typedefs = Vec::new();
        let mut id = id;
        let unknown = |typedefs| Value {
            size: 0,
            ty: FieldType::Unknown,
            typedefs,
            bits: None,
        };
        let ty = loop {
            let Some(ty) = self.btf.get(id) else {
                return Ok(unknown(typedefs));
            };
            let Some(target) = ty.target().filter(|_| ty.kind().is_modifier()) else {
                break ty;
            };
            if ty.kind() == Kind::Typedef {
                typedefs.push(ty.name().to_owned());
            }
            self.fields += 1; // a circle of typedefs ends here too
            if self.fields > MAX_FIELDS {
                return Err(self.too_deep());
            }
            id = target;
        };
        let mut bits = None;
        let (size, field) = match ty.kind() {
            Kind::Int => {
                let size = ty.size().unwrap_or(0);
                let int = ty.int();
                if let Some(int) = int.filter(|int| u32::from(int.bits) < size.saturating_mul(8)) {
                    bits = Some((u32::from(int.bit_offset), u32::from(int.bits)));
                }
                (
                    size,
                    int.map_or(FieldType::Unknown, |int| match (int.bool, int.char) {
                        (true, _) => FieldType::Bool,
                        (_, true) if size == 1 => FieldType::Char,
                        _ if size == 1 && ty.name() == "char" => FieldType::Char,
                        _ => FieldType::Int { signed: int.signed },
                    }),
                )
            }
            Kind::Float => (ty.size().unwrap_or(0), FieldType::Float),
            Kind::Enum | Kind::Enum64 => {
                let variant = |(name, value): (&str, i64)| Variant {
                    name: name.to_owned(),
                    value,
                };
                let variants: Vec<_> = ty.variants().map(variant).collect();
                self.fields += variants.len();
                (
                    ty.size().unwrap_or(0),
                    FieldType::Enum {
                        signed: ty.flag(),
                        variants,
                    },
                )
            }
            Kind::Ptr => (8, FieldType::Pointer),
            Kind::Array => {
                let array = ty.array();
                let array = array.ok_or(BtfError::Broken {
                    id: id.0,
                    what: "the array is cut short",
                })?;
                let Value {
                    size, ty, typedefs, ..
                } = self.value(array.element, depth + 1)?;
                let whole = size.checked_mul(array.len).ok_or(BtfError::Broken {
                    id: id.0,
                    what: "the array is larger than 4 GiB",
                })?;
                let element = Box::new(Element { size, ty, typedefs });
                (
                    whole,
                    FieldType::Array {
                        element,
                        len: array.len,
                    },
                )
            }
            Kind::Struct => {
                let layout = self.layout(id, depth)?;
                (layout.size, FieldType::Struct(layout))
            }
            Kind::Union => {
                let layout = self.layout(id, depth)?;
                (layout.size, FieldType::Union(layout))
            }
            _ => return Ok(unknown(typedefs)),
        };
        if self.fields > MAX_FIELDS {
            return Err(self.too_deep());
        }
        Ok(Value {
            size,
            ty: field,
            typedefs,
            bits,
        })
    }
}
