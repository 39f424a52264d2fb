//! What the typedefs of `gadget/types.h` say about a field.

use ig_object::btf::{FieldType, Layout};
use ig_table::{DataType, Kind};

/// The typedefs that have a kind. Those of `gadget/types.h` that are not here are shown by their type.
const KINDS: &[(&str, Kind)] = &[
    ("gadget_bytes", Kind::Bytes),
    ("gadget_cgroup_id", Kind::Cgroup),
    ("gadget_duration", Kind::Duration),
    ("gadget_errno", Kind::Errno),
    ("gadget_file_flags", Kind::OpenFlags),
    ("gadget_file_mode", Kind::FileMode),
    ("gadget_gid", Kind::Gid),
    ("gadget_mntns_id", Kind::MountNs),
    ("gadget_netns_id", Kind::NetNs),
    ("gadget_pid", Kind::Pid),
    ("gadget_ppid", Kind::Pid),
    ("gadget_signal", Kind::Signal),
    ("gadget_syscall", Kind::Syscall),
    ("gadget_tid", Kind::Tid),
    ("gadget_timestamp", Kind::Timestamp),
    ("gadget_uid", Kind::Uid),
];

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
    let of = |typedef: &String| {
        KINDS
            .iter()
            .find_map(|(name, kind)| (name == typedef).then_some(*kind))
    };
    let mut kinds = found.field.typedefs.iter().chain(elements).filter_map(of);
    kinds
        .find(|kind| kind.accepts(data_type))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut known: Vec<_> = KINDS.iter().map(|(n, kind)| (*n, kind.as_str())).collect();
        known.sort_unstable();
        assert_eq!(documented, known);
    }
}
