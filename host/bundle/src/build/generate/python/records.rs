//! Views of records, generated from the structs of the eBPF object's BTF.
//!
//! A view knows the span and where in it the struct lies; each field is a property that reads it there.

use super::names::{builtins, class_name, document, identifier};
use crate::build::generate::naming::Taken;
use crate::build::generate::record::{Extent, extent};
use ig_object::btf::{Element, Field, FieldType, Layout};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What the SDK's classes call their own properties.
const OWN: &[&str] = &["record_origin", "record_tail", "view_of"];

/// The views of all structs that sources and map values name.
#[derive(Debug, Default)]
pub(super) struct Records {
    taken: Taken,
    text: String,
    /// Views of nested structs, by what they show.
    nested: Vec<(Layout, String)>,
    /// Views of whole records, by the struct's name.
    whole: BTreeMap<String, String>,
    /// Formats of the module `struct` that are unpacked.
    formats: BTreeSet<String>,
}

/// One property: its name, the type it gives without `builtins.`, an expression of the span and the offset.
struct Property {
    name: String,
    about: String,
    answer: Answer,
    body: String,
}

/// The type of a property.
enum Answer {
    /// A built-in type.
    Builtin(&'static str),
    /// A view.
    View(String),
    /// A tuple of a built-in type.
    Builtins(&'static str),
    /// A list of views.
    Views(String),
}

/// The format of something that is read as a number of its own size, in the module `struct`.
pub(super) fn code(ty: &FieldType, size: u32) -> Option<&'static str> {
    Some(match (ty, size) {
        (FieldType::Int { signed: false } | FieldType::Enum { signed: false, .. }, 1)
        | (FieldType::Char, 1) => "B",
        (FieldType::Int { signed: false } | FieldType::Enum { signed: false, .. }, 2) => "H",
        (FieldType::Int { signed: false } | FieldType::Enum { signed: false, .. }, 4) => "I",
        (FieldType::Int { signed: false } | FieldType::Enum { signed: false, .. }, 8)
        | (FieldType::Pointer, _) => "Q",
        (FieldType::Int { signed: true } | FieldType::Enum { signed: true, .. }, 1) => "b",
        (FieldType::Int { signed: true } | FieldType::Enum { signed: true, .. }, 2) => "h",
        (FieldType::Int { signed: true } | FieldType::Enum { signed: true, .. }, 4) => "i",
        (FieldType::Int { signed: true } | FieldType::Enum { signed: true, .. }, 8) => "q",
        (FieldType::Float, 4) => "f",
        (FieldType::Float, 8) => "d",
        _ => return None,
    })
}

/// The name of the function that unpacks this format.
fn unpacker(format: &str) -> String {
    format!("_{format}")
}

impl Records {
    /// The view of a whole record of struct `layout`; the same for each source that carries it.
    pub(super) fn whole(&mut self, layout: &Layout) -> String {
        if let Some(name) = self.whole.get(&layout.name) {
            return name.clone();
        }
        let name = self.taken.unique(&class_name(&layout.name));
        self.whole.insert(layout.name.clone(), name.clone());
        let Extent { fixed, tail } = extent(layout);
        let mut properties = Vec::new();
        let mut taken = Taken::with(OWN);
        self.properties(
            layout,
            0,
            &name,
            tail.as_deref(),
            &mut taken,
            &mut properties,
        );
        let shape = match (&tail, layout.size) {
            (Some(tail), _) => {
                format!("{fixed} bytes and then `{tail}`, which a record may cut short")
            }
            (None, size) => format!("{size} bytes"),
        };
        let about = document(
            &format!("A record of `struct {}`: {shape}.", layout.name),
            "    ",
        );
        let _ = write!(
            self.text,
            "\n\nclass {name}(_record.Record):\n{about}\n    __slots__ = ()\n    _FIXED = {fixed}\n{}",
            texts(&properties),
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
        let name = self.taken.unique(&class_name(wish));
        self.nested.push((layout.clone(), name.clone()));
        let mut properties = Vec::new();
        let mut taken = Taken::with(OWN);
        self.properties(layout, 0, &name, None, &mut taken, &mut properties);
        let what = match layout.name.as_str() {
            "" => "An anonymous struct or union".to_owned(),
            name => format!("`{name}`"),
        };
        let size = layout.size;
        let about = document(&format!("{what}: {size} bytes."), "    ");
        let _ = write!(
            self.text,
            "\n\nclass {name}(_record.View):\n{about}\n    __slots__ = ()\n    _SIZE = {size}\n{}",
            texts(&properties),
        );
        name
    }

    /// The module's text.
    pub(super) fn text(self) -> String {
        let builtins = if self.text.contains("builtins.") {
            "import builtins\n"
        } else {
            ""
        };
        let mut text = format!(
            "\"\"\"Records as the eBPF program writes them, read where they lie.\"\"\"\n\n\
            from __future__ import annotations\n\n{builtins}import struct\nfrom typing import Callable\n\n\
            from gadget_sdk import record as _record\n"
        );
        for format in &self.formats {
            let answer = number(format);
            let _ = write!(
                text,
                "\n{}: Callable[[bytes, int], tuple[{answer}]] = struct.Struct(\"<{format}\").unpack_from",
                unpacker(format)
            );
        }
        format!("{}\n{}", text.trim_end_matches('\n'), self.text)
    }

    fn properties(
        &mut self,
        layout: &Layout,
        base: u64,
        view: &str,
        tail: Option<&str>,
        taken: &mut Taken,
        properties: &mut Vec<Property>,
    ) {
        for field in &layout.fields {
            let bit = base + u64::from(field.bit_offset);
            if field.name.is_empty() {
                if let Some(anonymous) = field.nested() {
                    self.properties(anonymous, bit, view, None, taken, properties);
                }
                continue;
            }
            let at = bit / 8;
            let (from, to) = if tail == Some(field.name.as_str()) {
                let end = match &field.ty {
                    FieldType::Array { element, len } if *len > 0 => {
                        let most = at + u64::from(*len) * u64::from(element.size);
                        format!("min(self._end, self._at + {most})")
                    }
                    _ => "self._end".to_owned(),
                };
                (format!("self._at + {at}"), end)
            } else {
                let end = at + u64::from(field.size);
                (format!("self._at + {at}"), format!("self._at + {end}"))
            };
            let wish = format!("{view}_{}", field.name);
            let name = taken.unique(&identifier(&field.name));
            let about = format!("The field `{}`.", field.name);
            let value = match (&field.ty, field.bit_size) {
                (_, Some(bits)) => bitfield(field, bit, bits),
                (FieldType::Array { element, .. }, None) => {
                    let is_tail = tail == Some(field.name.as_str());
                    if matches!(element.ty, FieldType::Char) {
                        let body = format!("_record.text(self._span, {from}, {to})");
                        properties.push(Property {
                            name: name.clone(),
                            about: format!(
                                "The field `{}`: its text, up to the first NUL.",
                                field.name
                            ),
                            answer: Answer::Builtin("bytes"),
                            body,
                        });
                        properties.push(Property {
                            name: taken.unique(&format!("{name}_array")),
                            about: format!("The field `{}`: all of its bytes.", field.name),
                            answer: Answer::Builtin("bytes"),
                            body: format!("self._span[{from} : {to}]"),
                        });
                        continue;
                    }
                    self.array(element, &from, &to, is_tail, &wish)
                }
                (_, None) => self.value(field, at, &wish),
            };
            if let Some((answer, body)) = value {
                properties.push(Property {
                    name,
                    about,
                    answer,
                    body,
                });
            }
        }
    }

    fn value(&mut self, field: &Field, at: u64, wish: &str) -> Option<(Answer, String)> {
        let (size, end) = (field.size, at + u64::from(field.size));
        Some(match &field.ty {
            FieldType::Bool if size == 1 => (
                Answer::Builtin("bool"),
                format!("self._span[self._at + {at}] != 0"),
            ),
            FieldType::Bool => (
                Answer::Builtin("bool"),
                format!("any(self._span[self._at + {at} : self._at + {end}])"),
            ),
            FieldType::Struct(nested) | FieldType::Union(nested) => {
                let name = self.nested(nested, wish);
                let body = format!("{name}(self._span, self._at + {at})");
                (Answer::View(name), body)
            }
            FieldType::Int { signed } if size == 16 => {
                let sign = if *signed { ", signed=True" } else { "" };
                let bytes = format!("self._span[self._at + {at} : self._at + {end}]");
                (
                    Answer::Builtin("int"),
                    format!("int.from_bytes({bytes}, \"little\"{sign})"),
                )
            }
            ty => {
                let code = code(ty, size)?;
                if code == "B" {
                    return Some((
                        Answer::Builtin("int"),
                        format!("self._span[self._at + {at}]"),
                    ));
                }
                self.formats.insert(code.to_owned());
                let body = format!("{}(self._span, self._at + {at})[0]", unpacker(code));
                (Answer::Builtin(number(code)), body)
            }
        })
    }

    fn array(
        &mut self,
        element: &Element,
        from: &str,
        to: &str,
        tail: bool,
        wish: &str,
    ) -> Option<(Answer, String)> {
        let size = element.size;
        let bytes = format!("self._span[{from} : {to}]");
        Some(match &element.ty {
            FieldType::Int { signed: false } if size == 1 => (Answer::Builtin("bytes"), bytes),
            FieldType::Struct(nested) | FieldType::Union(nested) if size > 0 => {
                let name = self.nested(nested, wish);
                let body = format!(
                    "[{name}(self._span, at) for at in _record.elements({from}, {to}, {size})]"
                );
                (Answer::Views(name), body)
            }
            FieldType::Bool if size == 1 => (
                Answer::Builtins("bool"),
                format!("tuple(byte != 0 for byte in {bytes})"),
            ),
            _ if tail && size == 0 => return None,
            ty => match code(ty, size) {
                Some(code) => (
                    Answer::Builtins(number(code)),
                    format!("_record.numbers({bytes}, \"{code}\")"),
                ),
                // An array of arrays, or of something without a value: the bytes as they are.
                None => (Answer::Builtin("bytes"), bytes),
            },
        })
    }
}

fn number(code: &str) -> &'static str {
    if matches!(code, "f" | "d") {
        "float"
    } else {
        "int"
    }
}

fn bitfield(field: &Field, bit: u64, bits: u32) -> Option<(Answer, String)> {
    if bits == 0 || bits > 64 {
        return None;
    }
    let (at, shift) = (bit / 8, bit % 8);
    let size = (shift + u64::from(bits)).div_ceil(8);
    let signed = matches!(
        field.ty,
        FieldType::Int { signed: true } | FieldType::Enum { signed: true, .. }
    );
    let function = if signed { "signed_bits" } else { "bits" };
    let value = format!("_record.{function}(self._span, self._at + {at}, {size}, {shift}, {bits})");
    Some(if field.ty == FieldType::Bool {
        (Answer::Builtin("bool"), format!("{value} != 0"))
    } else {
        (Answer::Builtin("int"), value)
    })
}

fn texts(properties: &[Property]) -> String {
    let prefix = builtins(properties.iter().map(|property| property.name.as_str()));
    let mut text = String::new();
    for Property {
        name,
        about,
        answer,
        body,
    } in properties
    {
        let answer = match answer {
            Answer::Builtin(kind) => format!("{prefix}{kind}"),
            Answer::View(name) => name.clone(),
            Answer::Builtins(kind) => format!("{prefix}tuple[{prefix}{kind}, ...]"),
            Answer::Views(name) => format!("{prefix}list[{name}]"),
        };
        let about = document(about, "        ");
        let _ = write!(
            text,
            "\n    @{prefix}property\n    def {name}(self) -> {answer}:\n{about}        return {body}\n"
        );
    }
    text
}
