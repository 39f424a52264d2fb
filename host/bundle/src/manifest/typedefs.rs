//! What the typedefs of `gadget/types.h` say about a field.

use ig_object::btf::{FieldType, Layout};
use ig_table::kinds::of_typedef;
use ig_table::{DataType, Kind};

/// The kind of the field at `path` (`a.b.c`), shown as `data_type`, when the manifest names none: that of the outermost
/// typedef that has one and goes with the type, of an array that of its elements.
pub(super) fn kind(layout: &Layout, path: &str, data_type: &DataType) -> Kind {
    let Some(found) = layout.field(path) else {
        return Kind::None;
    };
    let elements = match &found.field.ty {
        FieldType::Array { element, .. } => element.typedefs.as_slice(),
        _ => &[],
    };
    let typedefs = found.field.typedefs.iter().chain(elements);
    let mut kinds = typedefs.filter_map(|typedef| of_typedef(typedef));
    kinds
        .find(|kind| kind.accepts(data_type))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_header_names_the_kind_of_each_typedef() {
        let headers = crate::build::embedded::HEADERS;
        let types = headers.iter().find(|h| h.name == "gadget/types.h").unwrap();
        let mut documented: Vec<_> = types
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("typedef ")?.split_once("; /* ["))
            .map(|(typedef, kind)| {
                let (_, name) = typedef.rsplit_once(' ').unwrap();
                let (kind, _) = kind.split_once(']').unwrap();
                (name, kind)
            })
            .collect();
        documented.sort_unstable();
        let mut known: Vec<_> = ig_table::kinds::TYPEDEFS
            .iter()
            .map(|(n, kind)| (*n, kind.as_str()))
            .collect();
        known.sort_unstable();
        assert_eq!(documented, known);
    }
}
