//! What every language's views of records have in common.

use ig_object::btf::{Element, Field, FieldType, Layout};

/// How much of a record is always there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// In bytes.
    pub(super) fixed: u32,
    /// The name of the array behind it, which a record may cut short.
    pub(super) tail: Option<String>,
}

/// An array that stands last may be written in part: what is before it is the fixed part.
pub(super) fn extent(layout: &Layout) -> Extent {
    let last = layout.fields.iter().max_by_key(|field| field.bit_offset);
    match last {
        Some(Field {
            name,
            bit_offset,
            ty: FieldType::Array { element, len },
            ..
        }) if !name.is_empty() && readable(element) && (*len == 0 || matches!(element.size, 1)) => {
            Extent {
                fixed: bit_offset / 8,
                tail: Some(name.clone()),
            }
        }
        _ => Extent {
            fixed: layout.size,
            tail: None,
        },
    }
}

fn readable(element: &Element) -> bool {
    element.size > 0 && !matches!(element.ty, FieldType::Unknown | FieldType::Array { .. })
}

/// Map types whose value is all CPUs' (`include/uapi/linux/bpf.h`): per-CPU hash, array, LRU hash, cgroup storage.
pub(super) const PER_CPU: &[u32] = &[5, 6, 10, 21];
