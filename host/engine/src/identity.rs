//! What a record says of whose it is: the ids in its struct, by their typedefs.

use ig_object::btf::{Field, FieldType, Layout, is_big_endian};

/// The id of a hierarchy's root. Where controllers are in hierarchies of version 1, everything is in that of version 2's
/// root, containers too: it says nothing where a mount namespace does.
pub(crate) const ROOT: u64 = 1;

/// The typedef of a cgroup's id; `gadget/types.h` has these.
const CGROUP: &str = "gadget_cgroup_id";
/// The typedef of a mount namespace's inode number.
const MOUNT_NAMESPACE: &str = "gadget_mntns_id";
/// The typedef of a time of CLOCK_BOOTTIME in nanoseconds.
const TIMESTAMP: &str = "gadget_timestamp";

/// Where the records of a source say whose they are. Of several fields with a typedef it is the one that is nested
/// least, and the first of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordIdentity {
    cgroup: Option<Place>,
    mount_namespace: Option<Place>,
    timestamp: Option<Place>,
}

/// What one record says of whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The id of its cgroup; 0: it says none.
    pub cgroup: u64,
    /// The inode number of its mount namespace; 0: it says none.
    pub mount_namespace: u64,
    /// When it was made, in nanoseconds of CLOCK_BOOTTIME; None: it does not say.
    pub time: Option<u64>,
}

/// A number in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// In bytes, from the beginning of the payload.
    offset: usize,
    /// 4 bytes and not 8.
    short: bool,
}

impl RecordIdentity {
    /// None: records of this struct say nothing of whose they are.
    pub fn of(layout: &Layout) -> Option<Self> {
        let identity = Self {
            cgroup: find(layout, CGROUP),
            mount_namespace: find(layout, MOUNT_NAMESPACE),
            timestamp: find(layout, TIMESTAMP),
        };
        (identity.cgroup.is_some() || identity.mount_namespace.is_some()).then_some(identity)
    }

    /// The same of fields that are named by their paths. None: one of them is not there, or is no number that can be read as it
    /// lies there.
    pub fn of_fields(
        layout: &Layout,
        cgroup: Option<&str>,
        mount_namespace: Option<&str>,
        timestamp: Option<&str>,
    ) -> Option<Self> {
        // Outside: whether it can be read. Inside: whether there is one.
        let find = |path: Option<&str>| match path {
            None => Some(None),
            Some(path) => {
                let found = layout.field(path)?;
                number(found.field, found.bit_offset).map(Some)
            }
        };
        Some(Self {
            cgroup: find(cgroup)?,
            mount_namespace: find(mount_namespace)?,
            timestamp: find(timestamp)?,
        })
    }

    /// The id of the cgroup that the record with this payload names.
    #[inline]
    pub fn cgroup(&self, payload: &[u8]) -> Option<u64> {
        self.cgroup.and_then(|place| place.read(payload))
    }

    /// The inode number of the mount namespace that the record with this payload names.
    #[inline]
    pub fn mount_namespace(&self, payload: &[u8]) -> Option<u64> {
        self.mount_namespace.and_then(|place| place.read(payload))
    }

    /// When the record with this payload says that it was made.
    #[inline]
    pub fn time(&self, payload: &[u8]) -> Option<u64> {
        let time = self.timestamp.and_then(|place| place.read(payload));
        time.filter(|time| *time != 0)
    }

    /// What the record with this payload says. A field that the record is too short for says nothing.
    #[inline]
    pub fn read(&self, payload: &[u8]) -> Identity {
        Identity {
            cgroup: self.cgroup(payload).unwrap_or(0),
            mount_namespace: self.mount_namespace(payload).unwrap_or(0),
            time: self.time(payload),
        }
    }
}

impl Place {
    #[inline]
    fn read(self, payload: &[u8]) -> Option<u64> {
        let rest = payload.get(self.offset..)?;
        if self.short {
            let bytes = rest.first_chunk::<4>()?;
            Some(u64::from(u32::from_le_bytes(*bytes)))
        } else {
            let bytes = rest.first_chunk::<8>()?;
            Some(u64::from_le_bytes(*bytes))
        }
    }
}

/// The field with a typedef: level by level, so that the record's own comes before that of a process in it.
fn find(layout: &Layout, typedef: &str) -> Option<Place> {
    let mut level: Vec<(u64, &Layout)> = vec![(0, layout)];
    while !level.is_empty() {
        let mut next = Vec::new();
        for (base, layout) in level {
            for field in &layout.fields {
                let bits = base + u64::from(field.bit_offset);
                if let Some(place) = place(field, bits, typedef) {
                    return Some(place);
                }
                // What a union holds only the program knows.
                if let FieldType::Struct(inner) = &field.ty {
                    next.push((bits, inner));
                }
            }
        }
        level = next;
    }
    None
}

fn place(field: &Field, bits: u64, typedef: &str) -> Option<Place> {
    let named = field.typedefs.iter().any(|name| name == typedef);
    number(field, bits).filter(|_| named)
}

fn number(field: &Field, bits: u64) -> Option<Place> {
    let is_number = matches!(field.ty, FieldType::Int { .. })
        && field.bit_size.is_none()
        && matches!(field.size, 4 | 8)
        && bits.is_multiple_of(8)
        && !is_big_endian(&field.typedefs);
    if !is_number {
        return None;
    }
    Some(Place {
        offset: usize::try_from(bits / 8).ok()?,
        short: field.size == 4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, offset: u32, size: u32, typedef: &str) -> Field {
        Field {
            name: name.to_owned(),
            bit_offset: offset * 8,
            bit_size: None,
            size,
            ty: FieldType::Int { signed: false },
            typedefs: vec!["outer".to_owned(), typedef.to_owned()],
        }
    }

    fn layout(fields: Vec<Field>) -> Layout {
        Layout {
            name: "event".to_owned(),
            size: 64,
            fields,
        }
    }

    fn nested(offset: u32, union: bool, fields: Vec<Field>) -> Field {
        let inner = layout(fields);
        Field {
            ty: if union {
                FieldType::Union(inner)
            } else {
                FieldType::Struct(inner)
            },
            typedefs: Vec::new(),
            ..field("inner", offset, 24, "")
        }
    }

    #[test]
    fn ids_are_found_by_their_typedefs_and_the_least_nested_counts() {
        let process = vec![
            field("mntns_id", 0, 8, "gadget_mntns_id"),
            field("cgroup_id", 8, 8, "gadget_cgroup_id"),
        ];
        let layout = layout(vec![
            nested(40, true, vec![field("c", 0, 8, "gadget_cgroup_id")]),
            nested(16, false, process),
            field("stamp", 0, 8, "gadget_timestamp"),
            field("own", 8, 4, "gadget_mntns_id"),
        ]);
        let identity = RecordIdentity::of(&layout).unwrap();
        let mut payload: Vec<u8> = (0..40).collect();
        assert_eq!(
            identity.read(&payload),
            Identity {
                cgroup: u64::from_le_bytes([24, 25, 26, 27, 28, 29, 30, 31]),
                mount_namespace: u64::from(u32::from_le_bytes([8, 9, 10, 11])),
                time: Some(u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7])),
            }
        );
        // A record that is cut off, and a time that nobody set.
        payload[..8].fill(0);
        assert_eq!(
            identity.read(&payload[..31]),
            Identity {
                cgroup: 0,
                mount_namespace: u64::from(u32::from_le_bytes([8, 9, 10, 11])),
                time: None,
            }
        );
        assert_eq!(identity.read(&[]), Identity::default());
    }

    #[test]
    fn fields_are_found_by_path_if_they_can_be_read_as_they_lie_there() {
        let mut swapped = field("swapped", 16, 8, "__be64");
        swapped.typedefs = vec!["__be64".to_owned()];
        let layout = layout(vec![
            field("when", 0, 8, "u64"),
            nested(8, false, vec![field("c", 0, 4, "u32")]),
            swapped,
        ]);
        let of = |cgroup, time| RecordIdentity::of_fields(&layout, cgroup, None, time);
        let identity = of(Some("inner.c"), Some("when")).unwrap();
        let payload: Vec<u8> = (0..16).collect();
        let (cgroup, time) = (
            u64::from(u32::from_le_bytes([8, 9, 10, 11])),
            u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7]),
        );
        assert_eq!(identity.cgroup(&payload), Some(cgroup));
        assert_eq!(identity.mount_namespace(&payload), None);
        assert_eq!(identity.time(&payload), Some(time));
        assert_eq!(identity.cgroup(&payload[..11]), None);
        assert_eq!(of(Some("swapped"), None), None);
        assert_eq!(of(Some("inner.c"), Some("none")), None);
    }

    #[test]
    fn what_is_no_number_of_a_record_says_nothing() {
        let mut bitfield = field("a", 0, 8, "gadget_cgroup_id");
        bitfield.bit_size = Some(40);
        let mut odd = field("b", 8, 8, "gadget_mntns_id");
        odd.bit_offset += 1;
        let mut pointer = field("c", 16, 8, "gadget_mntns_id");
        pointer.ty = FieldType::Pointer;
        let small = field("d", 24, 2, "gadget_mntns_id");
        let stamp = field("e", 32, 8, "gadget_timestamp");
        let layout = layout(vec![bitfield, odd, pointer, small, stamp]);
        assert_eq!(RecordIdentity::of(&layout), None);
    }
}
