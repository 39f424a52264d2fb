//! Structs of records and of map values, generated from the eBPF object's BTF.
//!
//! They have the names that they have on the eBPF side, and its layout to the byte: `long` and pointers are smaller
//! where the guest runs, so sizes are spelled out, gaps too. Their fields may lie at any address.

use super::names::comment;
use crate::build::generate::naming::Taken;
use crate::build::generate::record::{Extent, extent};
use ig_object::btf::{Field, FieldType, Layout};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The structs that sources and maps name, with those inside them.
#[derive(Debug)]
pub(super) struct Records {
    /// Structs and functions alike, to keep all names apart.
    taken: Taken,
    text: String,
    /// Structs without a tail, by what they are.
    plain: Vec<(Layout, String)>,
    /// Records with a tail, by the struct's name.
    tailed: BTreeMap<String, String>,
}

/// The C type of a number, and whether it is one for any address.
fn number(size: u32, signed: bool, unaligned: bool) -> Option<&'static str> {
    Some(match (size, signed, unaligned) {
        (1, false, _) => "uint8_t",
        (1, true, _) => "int8_t",
        (2, false, false) => "uint16_t",
        (4, false, false) => "uint32_t",
        (8, false, false) => "uint64_t",
        (2, true, false) => "int16_t",
        (4, true, false) => "int32_t",
        (8, true, false) => "int64_t",
        (2, false, true) => "gadget_u16",
        (4, false, true) => "gadget_u32",
        (8, false, true) => "gadget_u64",
        (2, true, true) => "gadget_i16",
        (4, true, true) => "gadget_i32",
        (8, true, true) => "gadget_i64",
        _ => return None,
    })
}

/// The type of a number that stands by itself.
pub(super) fn scalar(size: u32, signed: bool) -> Option<&'static str> {
    number(size, signed, false)
}

impl Records {
    /// No structs; none will have a name that is in `taken`.
    pub(super) fn new(taken: Taken) -> Self {
        Self {
            taken,
            text: String::new(),
            plain: Vec::new(),
            tailed: BTreeMap::new(),
        }
    }

    /// A name that no struct and no function has.
    pub(super) fn unique(&mut self, name: &str) -> String {
        self.taken.unique(name)
    }

    /// The struct of a whole record: its name behind the word `struct`.
    pub(super) fn whole(&mut self, layout: &Layout) -> String {
        let Extent { fixed, tail } = extent(layout);
        let Some(tail) = tail else {
            return self.plain(layout, &layout.name);
        };
        if let Some(name) = self.tailed.get(&layout.name) {
            return name.clone();
        }
        let name = self.taken.unique(&layout.name);
        self.tailed.insert(layout.name.clone(), name.clone());
        let about = format!(
            "A record of `struct {}`: {fixed} bytes and then `{tail}`, which a record may cut short.",
            layout.name
        );
        self.define(&name, &about, layout, fixed, Some(&tail));
        let field = layout.fields.iter().find(|field| field.name == tail);
        if let Some(FieldType::Array { element, len }) = field.map(|field| &field.ty) {
            self.tail(&name, &tail, element.size, *len);
        }
        name
    }

    /// A struct or union inside another one, a map's key or value, or a record without a tail.
    pub(super) fn plain(&mut self, layout: &Layout, wish: &str) -> String {
        if let Some((_, name)) = self.plain.iter().find(|(known, _)| known == layout) {
            return name.clone();
        }
        let wish = match layout.name.as_str() {
            "" => wish,
            name => name,
        };
        let name = self.taken.unique(wish);
        self.plain.push((layout.clone(), name.clone()));
        let about = format!("{} bytes.", layout.size);
        self.define(&name, &about, layout, layout.size, None);
        name
    }

    /// All structs, each behind those that it needs.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn define(&mut self, name: &str, about: &str, layout: &Layout, size: u32, tail: Option<&str>) {
        // Structs inside come first.
        let members = if is_union(layout) {
            let members = self.members(layout, size, None, name, "\t\t", true);
            format!("\tunion __attribute__((packed, may_alias)) {{\n{members}\t}};\n")
        } else {
            self.members(layout, size, tail, name, "\t", false)
        };
        let mut checks = String::new();
        offsets(layout, 0, tail, name, &mut checks);
        let _ = write!(
            self.text,
            "\n{}struct __attribute__((packed, may_alias)) {name} {{\n{members}}};\n\
            _Static_assert(sizeof(struct {name}) == {size}, \"the size on the eBPF side\");\n{checks}",
            comment(about, "")
        );
    }

    fn tail(&mut self, name: &str, tail: &str, element: u32, len: u32) {
        let (what, answer, function, value) = match (element, len) {
            (1, 0) => (
                format!("What the record holds of `{tail}`."),
                "struct gadget_bytes",
                format!("{name}_{tail}"),
                "gadget_tail(record)".to_owned(),
            ),
            (1, len) => (
                format!("What the record holds of `{tail}`: at most {len} bytes."),
                "struct gadget_bytes",
                format!("{name}_{tail}"),
                format!("gadget_first(gadget_tail(record), {len})"),
            ),
            _ => (
                format!("How many elements of `{tail}` the record holds."),
                "size_t",
                format!("{name}_{tail}_count"),
                format!("gadget_tail(record).size / {element}"),
            ),
        };
        let function = self.taken.unique(&function);
        let _ = write!(
            self.text,
            "\n{}static inline {answer} {function}(const struct {name} *record)\n{{\n\treturn {value};\n}}\n",
            comment(&what, "")
        );
    }

    /// The members of a struct, with its gaps.
    fn members(
        &mut self,
        layout: &Layout,
        size: u32,
        tail: Option<&str>,
        wish: &str,
        indent: &str,
        union: bool,
    ) -> String {
        let mut text = String::new();
        // Bits that are behind us.
        let mut at = 0_u64;
        for field in &layout.fields {
            let begin = u64::from(field.bit_offset);
            if tail == Some(field.name.as_str()) {
                gap(&mut text, at, begin, indent);
                at = begin;
                let length = if begin == 0 { "[0]" } else { "[]" };
                text.push_str(&self.array_of_tail(field, length, wish, indent));
                continue;
            }
            let bits = field.bit_size.map_or(u64::from(field.size) * 8, u64::from);
            let member = match field.bit_size {
                Some(bits) => bitfield(field, bits).map(|member| format!("{indent}{member}")),
                None => self.member(&field.ty, field.size, &field.name, wish, indent),
            };
            // What has no value here is a gap.
            let Some(member) = member else { continue };
            if union {
                text.push_str(&member);
                at = at.max(bits);
            } else if begin >= at {
                gap(&mut text, at, begin, indent);
                text.push_str(&member);
                at = begin + bits;
            }
        }
        if union && at < u64::from(size) * 8 {
            let _ = writeln!(text, "{indent}uint8_t _gap[{size}];");
        } else if !union {
            gap(&mut text, at, u64::from(size) * 8, indent);
        }
        text
    }

    fn array_of_tail(&mut self, field: &Field, length: &str, wish: &str, indent: &str) -> String {
        let FieldType::Array { element, .. } = &field.ty else {
            return String::new();
        };
        let name = format!("{}{length}", field.name);
        self.member(&element.ty, element.size, &name, wish, indent)
            .unwrap_or_default()
    }

    /// One member; none when it has no bytes.
    fn member(
        &mut self,
        ty: &FieldType,
        size: u32,
        name: &str,
        wish: &str,
        indent: &str,
    ) -> Option<String> {
        let plain = |c: &str| Some(format!("{indent}{c} {name};\n"));
        match ty {
            FieldType::Struct(nested) | FieldType::Union(nested) if nested.name.is_empty() => {
                let union = matches!(ty, FieldType::Union(_));
                let word = if union { "union" } else { "struct" };
                let deeper = format!("{indent}\t");
                let members = self.members(nested, nested.size, None, wish, &deeper, union);
                let name = if name.is_empty() {
                    String::new()
                } else {
                    format!(" {name}")
                };
                Some(format!(
                    "{indent}{word} __attribute__((packed, may_alias)) {{\n{members}{indent}}}{name};\n"
                ))
            }
            FieldType::Struct(nested) => {
                let tag = self.plain(nested, wish);
                plain(&format!("struct {tag}"))
            }
            // With a name of its own, yet defined where it stands: no union is handed around.
            FieldType::Union(nested) => {
                let members = self.members(
                    nested,
                    nested.size,
                    None,
                    wish,
                    &format!("{indent}\t"),
                    true,
                );
                Some(format!(
                    "{indent}union __attribute__((packed, may_alias)) {{\n{members}{indent}}} {name};\n"
                ))
            }
            FieldType::Array { element, len } => {
                let name = format!("{name}[{len}]");
                self.member(&element.ty, element.size, &name, wish, indent)
            }
            FieldType::Int { signed } | FieldType::Enum { signed, .. } => {
                match number(size, *signed, true) {
                    Some(c) => plain(c),
                    None => bytes(size, name, indent),
                }
            }
            FieldType::Char if size == 1 => plain("char"),
            FieldType::Bool if size == 1 => Some(format!("{indent}uint8_t {name}; /* bool */\n")),
            FieldType::Pointer if size == 8 => {
                Some(format!("{indent}gadget_u64 {name}; /* an address */\n"))
            }
            FieldType::Float if size == 4 => plain("gadget_f32"),
            FieldType::Float if size == 8 => plain("gadget_f64"),
            _ => bytes(size, name, indent),
        }
    }
}

/// A map may hold a union, whose layout does not say that it is one.
fn is_union(layout: &Layout) -> bool {
    let sized = layout.fields.iter().filter(|field| field.size > 0);
    sized.clone().count() > 1 && sized.clone().all(|field| field.bit_offset == 0)
}

/// Something that C has no number for.
fn bytes(size: u32, name: &str, indent: &str) -> Option<String> {
    // A name may end in the dimensions of an array, which come before this one.
    (size > 0 && !name.is_empty()).then(|| format!("{indent}uint8_t {name}[{size}];\n"))
}

fn bitfield(field: &Field, bits: u32) -> Option<String> {
    let signed = matches!(
        field.ty,
        FieldType::Int { signed: true } | FieldType::Enum { signed: true, .. }
    );
    let c = number(field.size, signed, false)?;
    let note = match field.ty {
        FieldType::Bool => " /* bool */",
        _ => "",
    };
    (bits > 0 && !field.name.is_empty()).then(|| format!("{c} {} : {bits};{note}\n", field.name))
}

/// Fills the bits from `from` to `to`: whole bytes with a member, which an initializer sets to 0.
fn gap(text: &mut String, from: u64, to: u64, indent: &str) {
    let first = from.next_multiple_of(8).min(to);
    if from < first {
        let _ = writeln!(text, "{indent}uint8_t : {};", first - from);
    }
    let bytes = (to - first) / 8;
    if bytes > 0 {
        let _ = writeln!(text, "{indent}uint8_t _gap{}[{bytes}];", first / 8);
    }
    if first < to && !to.is_multiple_of(8) {
        let _ = writeln!(text, "{indent}uint8_t : {};", to % 8);
    }
}

/// Assertions that the fields lie where they lie on the eBPF side.
fn offsets(layout: &Layout, base: u64, tail: Option<&str>, name: &str, text: &mut String) {
    for field in &layout.fields {
        let bit = base + u64::from(field.bit_offset);
        match (field.name.as_str(), field.nested()) {
            ("", Some(nested)) => offsets(nested, bit, None, name, text),
            ("", None) => {}
            (_, _) if field.bit_size.is_some() => {}
            (_, _) if field.size == 0 && tail != Some(field.name.as_str()) => {}
            (field, _) => {
                let _ = writeln!(
                    text,
                    "_Static_assert(offsetof(struct {name}, {field}) == {}, \"the place on the eBPF side\");",
                    bit / 8
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::embedded;
    use ig_object::btf::Element;
    use std::process::Command;

    fn field(name: &str, bit_offset: u32, size: u32, ty: FieldType) -> Field {
        Field {
            name: name.to_owned(),
            bit_offset,
            bit_size: None,
            size,
            ty,
            typedefs: Vec::new(),
        }
    }

    fn layout(name: &str, size: u32, fields: Vec<Field>) -> Layout {
        Layout {
            name: name.to_owned(),
            size,
            fields,
        }
    }

    fn array(ty: FieldType, size: u32, len: u32) -> FieldType {
        FieldType::Array {
            element: Box::new(Element {
                size,
                ty,
                typedefs: Vec::new(),
            }),
            len,
        }
    }

    /// The assertions in the text hold: clang lays the structs out as the eBPF side does.
    #[test]
    fn odd_layouts_are_what_they_are_on_the_ebpf_side() {
        let int = || FieldType::Int { signed: false };
        let mut bits = field("bits", 67, 4, int());
        bits.bit_size = Some(11);
        let mut flag = field("flag", 83, 1, FieldType::Bool);
        flag.bit_size = Some(1);
        let inner = layout("point", 12, vec![field("x", 32, 2, int())]);
        let either = layout(
            "either",
            8,
            vec![field("one", 0, 1, int()), field("other", 0, 4, int())],
        );
        let odd = layout(
            "odd",
            112,
            vec![
                field("first", 0, 1, int()),
                field("second", 32, 4, int()),
                bits,
                flag,
                field("wide", 128, 16, int()),
                field("grid", 256, 12, array(array(int(), 2, 3), 6, 2)),
                field(
                    "points",
                    352,
                    24,
                    array(FieldType::Struct(inner.clone()), 12, 2),
                ),
                field("either", 544, 8, FieldType::Union(either.clone())),
                field(
                    "",
                    608,
                    8,
                    FieldType::Union(layout("", 8, either.fields.clone())),
                ),
                field("void", 672, 0, FieldType::Unknown),
                field("none", 672, 0, array(int(), 4, 0)),
                field("point", 704, 12, FieldType::Struct(inner)),
            ],
        );
        let text = layout(
            "text",
            16,
            vec![field("all", 0, 16, array(FieldType::Char, 1, 16))],
        );
        let stack = layout(
            "stack",
            4,
            vec![
                field("size", 0, 4, int()),
                field("frames", 32, 0, array(int(), 8, 0)),
            ],
        );
        let mut taken = Taken::default();
        taken.take("odd");
        let mut records = Records::new(taken);
        let names = [&odd, &text, &stack, &odd].map(|layout| records.whole(layout));
        assert_eq!(names, ["odd2", "text", "stack", "odd2"]);
        assert_eq!(records.plain(&either, "either"), "either");
        assert_eq!(records.plain(&stack, "stack"), "stack2");
        let folder = tempfile::tempdir().unwrap();
        for file in embedded::C_SDK {
            let path = folder.path().join(file.name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file.text).unwrap();
        }
        let header = folder.path().join("records.h");
        let text = format!("#include \"sdk/record.h\"\n{}", records.text());
        std::fs::write(&header, &text).unwrap();
        let source = folder.path().join("source.c");
        std::fs::write(&source, "#include \"records.h\"\n").unwrap();
        let output = Command::new(crate::build::toolchain::clang().unwrap())
            .args([
                "--target=wasm32-unknown-unknown",
                "-std=c11",
                "-ffreestanding",
                "-Wall",
                "-Wextra",
            ])
            .args(["-Werror", "-fsyntax-only"])
            .arg(&source)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}{text}");
        for line in [
            "\tuint8_t _gap1[3];\n\tgadget_u32 second",
            "\tuint8_t : 3;\n\tuint32_t bits : 11;\n",
            "static inline size_t stack_frames_count(const struct stack *record)",
            "static inline struct gadget_bytes text_all(const struct text *record)",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
