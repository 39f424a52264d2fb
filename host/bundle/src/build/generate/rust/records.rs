//! Views of records, generated from the structs of the eBPF object's BTF.
//!
//! A view borrows the bytes and reads a field when it is asked for. Offsets come from BTF and never from a header
//! compiled for the guest: `long` and pointers are smaller there.

use super::names::{document, identifier, type_name};
use crate::build::generate::naming::Taken;
use crate::build::generate::record::{Extent, extent};
use ig_object::btf::{Element, Field, FieldType, Layout};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How the module begins.
const HEAD: &str = "//! Records as the eBPF program writes them, read where they lie.
#![allow(non_snake_case, unused_imports, clippy::all, reason = \"the names are the eBPF program's\")]

use gadget_sdk::text::Chars;
use std::fmt;
";

/// The views of all structs that sources and map values name.
#[derive(Debug, Default)]
pub(super) struct Records {
    taken: Taken,
    text: String,
    /// Views of nested structs, by what they show.
    nested: Vec<(Layout, String)>,
    /// Views of whole records, by the struct's name.
    whole: BTreeMap<String, String>,
}

/// The Rust type of a number.
fn number(size: u32, signed: bool) -> Option<&'static str> {
    Some(match (size, signed) {
        (1, false) => "u8",
        (2, false) => "u16",
        (4, false) => "u32",
        (8, false) => "u64",
        (16, false) => "u128",
        (1, true) => "i8",
        (2, true) => "i16",
        (4, true) => "i32",
        (8, true) => "i64",
        (16, true) => "i128",
        _ => return None,
    })
}

/// The Rust type of something that is read as a number of its own size.
pub(super) fn plain(ty: &FieldType, size: u32) -> Option<&'static str> {
    match ty {
        FieldType::Int { signed } | FieldType::Enum { signed, .. } => number(size, *signed),
        FieldType::Pointer => Some("u64"),
        FieldType::Char => Some("u8"),
        FieldType::Float if size == 4 => Some("f32"),
        FieldType::Float if size == 8 => Some("f64"),
        _ => None,
    }
}

/// One accessor.
struct Accessor {
    name: String,
    answer: String,
    body: String,
    /// An expression of `self` that implements Debug, if there is one.
    debug: bool,
}

impl Records {
    /// The view of a whole record of struct `layout`; the same for each source that carries it.
    pub(super) fn whole(&mut self, layout: &Layout) -> String {
        if let Some(name) = self.whole.get(&layout.name) {
            return name.clone();
        }
        let name = self.taken.unique(&type_name(&layout.name));
        self.whole.insert(layout.name.clone(), name.clone());
        let Extent { fixed, tail } = extent(layout);
        let mut accessors = Vec::new();
        self.accessors(
            layout,
            0,
            &name,
            tail.as_deref(),
            &mut Taken::default(),
            &mut accessors,
        );
        let shape = match (&tail, layout.size) {
            (Some(tail), _) => {
                format!("{fixed} bytes and then `{tail}`, which a record may cut short")
            }
            (None, size) => format!("{size} bytes"),
        };
        let debug = debug(&name, &accessors);
        let accessors = accessors.iter().map(Accessor::text).collect::<String>();
        let _ = write!(
            self.text,
            "
/// A record of `struct {c_name}`: {shape}.
#[derive(Clone, Copy)]
pub struct {name}<'a> {{
    fixed: &'a [u8; {fixed}],
    tail: &'a [u8],
    origin: u32,
}}

impl<'a> {name}<'a> {{
    /// The record's view; none when it is too short.
    #[must_use]
    #[inline(always)]
    pub fn parse(record: gadget_sdk::span::Record<'a>) -> Option<Self> {{
        let (fixed, tail) = record.payload.split_first_chunk()?;
        Some(Self {{ fixed, tail, origin: record.origin }})
    }}

    /// Where the record lies in its span: what the rows that come from it refer to.
    #[must_use]
    #[inline(always)]
    pub fn record_origin(self) -> u32 {{
        self.origin
    }}

    /// What stands behind the struct's fixed part.
    #[must_use]
    #[inline(always)]
    pub fn record_tail(self) -> &'a [u8] {{
        self.tail
    }}
{accessors}}}
{debug}",
            c_name = layout.name,
        );
        name
    }

    /// The view of a struct or union inside another one, or of a map's value.
    pub(super) fn nested(&mut self, layout: &Layout, wish: &str) -> String {
        if let Some((_, name)) = self.nested.iter().find(|(known, _)| known == layout) {
            return name.clone();
        }
        let wish = if layout.name.is_empty() {
            wish
        } else {
            &layout.name
        };
        let mut name = self.taken.unique(&type_name(wish));
        if self.whole.values().any(|whole| *whole == name) {
            name = self.taken.unique(&format!("{name}Part"));
        }
        self.nested.push((layout.clone(), name.clone()));
        let mut accessors = Vec::new();
        self.accessors(
            layout,
            0,
            &name,
            None,
            &mut Taken::default(),
            &mut accessors,
        );
        let debug = debug(&name, &accessors);
        let accessors = accessors.iter().map(Accessor::text).collect::<String>();
        let what = match layout.name.as_str() {
            "" => "An anonymous struct or union".to_owned(),
            name => format!("`{name}`"),
        };
        let size = layout.size;
        let _ = write!(
            self.text,
            "
/// {what}: {size} bytes.
#[derive(Clone, Copy)]
pub struct {name}<'a> {{
    fixed: &'a [u8; {size}],
}}

impl<'a> {name}<'a> {{
    /// The view of these bytes.
    #[must_use]
    #[inline(always)]
    pub fn view(fixed: &'a [u8; {size}]) -> Self {{
        Self {{ fixed }}
    }}

    /// The view of the first bytes of `bytes`; none when they are too few.
    #[must_use]
    #[inline(always)]
    pub fn view_of(bytes: &'a [u8]) -> Option<Self> {{
        bytes.first_chunk().map(Self::view)
    }}
{accessors}}}
{debug}",
        );
        name
    }

    /// The module's text.
    pub(super) fn text(self) -> String {
        format!("{HEAD}{}", self.text)
    }

    fn accessors(
        &mut self,
        layout: &Layout,
        base: u64,
        view: &str,
        tail: Option<&str>,
        taken: &mut Taken,
        accessors: &mut Vec<Accessor>,
    ) {
        for field in &layout.fields {
            let bit = base + u64::from(field.bit_offset);
            if field.name.is_empty() {
                if let Some(anonymous) = field.nested() {
                    self.accessors(anonymous, bit, view, None, taken, accessors);
                }
                continue;
            }
            let value = match (&field.ty, field.bit_size) {
                _ if tail == Some(field.name.as_str()) => self.tail(field, view),
                (_, Some(bits)) => bitfield(field, bit, bits),
                _ => self.value(field, bit / 8, view),
            };
            if let Some((answer, body, debug)) = value {
                let name = taken.unique(&field.name);
                accessors.push(Accessor {
                    name,
                    answer,
                    body,
                    debug,
                });
            }
        }
    }

    fn tail(&mut self, field: &Field, view: &str) -> Option<(String, String, bool)> {
        let FieldType::Array { element, len } = &field.ty else {
            return None;
        };
        let bytes = match len {
            0 => "self.tail".to_owned(),
            len => format!(
                "gadget_sdk::record::tail::<{}>(self.tail)",
                u64::from(*len) * u64::from(element.size)
            ),
        };
        self.array(element, &bytes, &format!("{view}_{}", field.name))
    }

    fn value(&mut self, field: &Field, at: u64, view: &str) -> Option<(String, String, bool)> {
        let size = field.size;
        let bytes = format!("gadget_sdk::record::field::<{at}, {size}, _>(self.fixed)");
        match &field.ty {
            FieldType::Bool => Some((
                "bool".into(),
                format!("*gadget_sdk::record::field::<{at}, {size}, _>(self.fixed) != [0; {size}]"),
                true,
            )),
            FieldType::Struct(nested) | FieldType::Union(nested) => {
                let name = self.nested(nested, &format!("{view}_{}", field.name));
                Some((
                    format!("{name}<'a>"),
                    format!("{name}::view({bytes})"),
                    true,
                ))
            }
            FieldType::Array { element, len } if *len > 0 => {
                self.array(element, &bytes, &format!("{view}_{}", field.name))
            }
            ty => {
                let rust = plain(ty, size)?;
                Some((
                    rust.into(),
                    format!("{rust}::from_le_bytes(*{bytes})"),
                    true,
                ))
            }
        }
    }

    fn array(
        &mut self,
        element: &Element,
        bytes: &str,
        wish: &str,
    ) -> Option<(String, String, bool)> {
        let size = element.size;
        let of = |item: &str, map: &str| {
            Some((
                format!("impl ExactSizeIterator<Item = {item}> + Clone + use<'a>"),
                format!("gadget_sdk::record::elements::<{size}>({bytes}).map(|bytes| {map})"),
                false,
            ))
        };
        match &element.ty {
            FieldType::Char => Some(("Chars<'a>".into(), format!("Chars::new({bytes})"), true)),
            FieldType::Int { signed: false } if size == 1 => {
                Some(("&'a [u8]".into(), bytes.to_owned(), true))
            }
            FieldType::Struct(nested) | FieldType::Union(nested) if size > 0 => {
                let name = self.nested(nested, wish);
                of(&format!("{name}<'a>"), &format!("{name}::view(bytes)"))
            }
            FieldType::Bool if size > 0 => of("bool", &format!("*bytes != [0; {size}]")),
            ty => match plain(ty, size) {
                Some(rust) => of(rust, &format!("{rust}::from_le_bytes(*bytes)")),
                // An array of arrays, or of something without a value: the bytes as they are.
                None => Some(("&'a [u8]".into(), bytes.to_owned(), true)),
            },
        }
    }
}

fn bitfield(field: &Field, bit: u64, bits: u32) -> Option<(String, String, bool)> {
    if bits == 0 || bits > 64 {
        return None;
    }
    let signed = matches!(
        field.ty,
        FieldType::Int { signed: true } | FieldType::Enum { signed: true, .. }
    );
    let function = if signed { "signed_bits" } else { "bits" };
    let value = format!("gadget_sdk::record::{function}::<{bit}, {bits}, _>(self.fixed)");
    if field.ty == FieldType::Bool {
        return Some(("bool".into(), format!("{value} != 0"), true));
    }
    let rust = number(field.size, signed)?;
    Some((rust.into(), format!("{value} as {rust}"), true))
}

impl Accessor {
    fn text(&self) -> String {
        let Self {
            name, answer, body, ..
        } = self;
        let identifier = identifier(name);
        let document = document(&format!("The field `{name}`."), "    ");
        format!(
            "\n{document}    #[must_use]\n    #[inline(always)]\n    pub fn {identifier}(self) -> {answer} {{\n        {body}\n    }}\n"
        )
    }
}

fn debug(view: &str, accessors: &[Accessor]) -> String {
    let mut fields = String::new();
    for accessor in accessors.iter().filter(|accessor| accessor.debug) {
        let _ = write!(
            fields,
            ".field({:?}, &self.{}())",
            accessor.name,
            identifier(&accessor.name)
        );
    }
    format!(
        "
impl fmt::Debug for {view}<'_> {{
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {{
        formatter.debug_struct({view:?}){fields}.finish_non_exhaustive()
    }}
}}
"
    )
}
