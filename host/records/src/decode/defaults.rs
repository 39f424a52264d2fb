//! Columns of a struct whose gadget declares none.

use super::{FieldSpec, plan};
use ig_object::btf::{Field, FieldType, Layout};
use ig_table::kinds::of_typedef;
use ig_table::schema::RESERVED;
use ig_table::{DataType, Kind};
use std::collections::{HashMap, HashSet};

/// A column that a struct gets by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultColumn {
    /// Short and unique among the columns of the struct.
    pub name: String,
    /// From the struct to the field, as in C.
    pub path: String,
    /// The type of its values.
    pub data_type: DataType,
    /// What its values mean.
    pub kind: Kind,
    /// In terminal cells; without it kind and type decide.
    pub width: Option<u16>,
    /// Shown only when asked for.
    pub hidden: bool,
}

impl DefaultColumn {
    /// What the decoder has to be told.
    #[must_use]
    pub fn spec(&self) -> FieldSpec {
        FieldSpec {
            path: self.path.clone(),
            data_type: Some(self.data_type.clone()),
            kind: self.kind,
        }
    }
}

/// Most columns that a struct gets by itself.
pub const MAX_COLUMNS: usize = 1024;
/// Most fields that are looked at for it.
const MAX_TRIED: usize = 4 * MAX_COLUMNS;

/// The columns of a struct for which nobody declared any: one for each field that has a value, in the struct's order;
/// [`MAX_COLUMNS`] at most.
///
/// - **Which.** Structs and unions by value are taken apart, anonymous ones too; arrays are one column each, those of
///   structs among them. What is an address or an endpoint (see the module) is one column, by the name of its type
///   or because it has a `version` or `family`.
/// - **Names.** A field's own name; where several have it, the one nearest to the struct keeps it, and the others, and
///   of equally near ones all, get as many steps of their path in front as it takes: `comm` for `proc.comm`,
///   `parent_comm` for `proc.parent.comm`, `src_port` and `dst_port`. `_raw` at the end of a name is left out where the
///   kind makes the value more than a number.
/// - **Kinds.** By the name of a typedef that the field was declared with (the `gadget_` types of the headers, `uid_t`,
///   `umode_t` and the like), else by the field's own name where that leaves no doubt (`pid`, `errno`, `daddr`...).
///   An enumeration is text: the names of its values.
/// - **Hidden** are namespaces and cgroups, names that begin with `_`, and all members of a union but its first.
#[must_use]
pub fn default_columns(layout: &Layout) -> Vec<DefaultColumn> {
    let mut walk = Walk {
        root: layout,
        steps: Vec::new(),
        seen: HashSet::new(),
        tried: 0,
        leaves: Vec::new(),
    };
    walk.layout(layout, false, false);
    let leaves = walk.leaves;
    let names = names(&leaves);
    leaves
        .into_iter()
        .zip(names)
        .map(|(leaf, name)| DefaultColumn {
            name,
            ..leaf.column
        })
        .collect()
}

struct Leaf {
    steps: Vec<String>,
    /// Without its name.
    column: DefaultColumn,
}

struct Walk<'a> {
    root: &'a Layout,
    steps: Vec<String>,
    seen: HashSet<String>,
    tried: usize,
    leaves: Vec<Leaf>,
}

impl Walk<'_> {
    fn layout(&mut self, layout: &Layout, union: bool, hidden: bool) {
        for (i, field) in layout.fields.iter().enumerate() {
            self.field(field, hidden || (union && i > 0));
        }
    }

    fn field(&mut self, field: &Field, hidden: bool) {
        let named = !field.name.is_empty();
        if named {
            self.steps.push(field.name.clone());
        }
        let hidden = hidden || field.name.starts_with('_');
        match field.nested() {
            Some(nested) => self.nested(field, nested, hidden),
            None if named => {
                self.leaf(field, kind_of(field), hidden);
            }
            None => {} // padding
        }
        if named {
            self.steps.pop();
        }
    }

    fn nested(&mut self, field: &Field, nested: &Layout, hidden: bool) {
        let kind = if field.name.is_empty() {
            None // it has no path
        } else {
            endpoint_or_address(nested)
        };
        let union = matches!(field.ty, FieldType::Union(_));
        match kind {
            // All that a socket address says is in the endpoint.
            Some(kind) if nested.is_socket_address() && self.leaf(field, kind, hidden) => {}
            Some(kind) if self.leaf(field, kind, hidden) => {
                for (i, member) in nested.fields.iter().enumerate() {
                    let known = ["port", "version", "family"].contains(&member.name.as_str());
                    if !union && !known && !holds_address(member, nested) {
                        self.field(member, hidden || (union && i > 0));
                    }
                }
            }
            _ => self.layout(nested, union, hidden),
        }
    }

    /// Adds a column, unless there is no value or another field of that path comes first.
    fn leaf(&mut self, field: &Field, kind: Kind, hidden: bool) -> bool {
        self.tried += 1;
        if self.tried > MAX_TRIED || self.leaves.len() >= MAX_COLUMNS {
            return false;
        }
        let path = self.steps.join(".");
        let wanted = matches!(&field.ty, FieldType::Enum { .. }).then_some(DataType::Text);
        let spec = |kind| FieldSpec {
            path: path.clone(),
            data_type: wanted.clone(),
            kind,
        };
        let as_kind = plan::column(self.root, &spec(kind)).map(|column| (column, kind));
        let plain = || plan::column(self.root, &spec(Kind::None)).map(|c| (c, Kind::None));
        let Ok((column, kind)) = as_kind.or_else(|_| plain()) else {
            return false;
        };
        if !self.seen.insert(path.clone()) {
            return false;
        }
        let namespace = matches!(
            kind,
            Kind::MountNs | Kind::NetNs | Kind::PidNs | Kind::Cgroup
        );
        self.leaves.push(Leaf {
            steps: self.steps.clone(),
            column: DefaultColumn {
                name: String::new(),
                path,
                width: width(field, &column.data_type),
                data_type: column.data_type,
                kind,
                hidden: hidden || namespace,
            },
        });
        true
    }
}

/// Whether a member is where the address of its struct lies.
fn holds_address(member: &Field, layout: &Layout) -> bool {
    let place = layout.address().and_then(|place| place.v6.or(place.v4));
    let place = place.map(u64::from);
    let start = u64::from(member.bit_offset / 8);
    place.is_some_and(|place| (start..start + u64::from(member.size)).contains(&place))
}

fn endpoint_or_address(layout: &Layout) -> Option<Kind> {
    const NAMES: [&str; 5] = [
        "gadget_l3endpoint_t",
        "gadget_l4endpoint_t",
        "gadget_ip_addr_t",
        "in6_addr",
        "in_addr",
    ];
    let place = layout.address()?;
    if place.version.is_none() && !NAMES.contains(&layout.name.as_str()) {
        return None;
    }
    Some(match layout.endpoint() {
        Some(_) => Kind::Endpoint,
        None => Kind::Address,
    })
}

/// Kinds by the typedef of the kernel (`include/linux/types.h`) that a field was declared with, beside those of gadgets'
/// headers.
const TYPEDEFS: [(&str, Kind); 5] = [
    ("uid_t", Kind::Uid),
    ("gid_t", Kind::Gid),
    ("umode_t", Kind::FileMode),
    ("mode_t", Kind::FileMode),
    ("dev_t", Kind::Device),
];

/// Kinds by the name of a field.
const NAMES: [(&[&str], Kind); 21] = [
    (&["timestamp", "timestamp_raw"], Kind::Timestamp),
    (
        &[
            "duration",
            "duration_ns",
            "latency",
            "latency_ns",
            "delta_ns",
            "elapsed_ns",
        ],
        Kind::Duration,
    ),
    (&["pid", "ppid", "tgid"], Kind::Pid),
    (&["tid", "ptid"], Kind::Tid),
    (&["uid", "euid", "loginuid"], Kind::Uid),
    (&["gid", "egid"], Kind::Gid),
    (&["errno", "errno_raw"], Kind::Errno),
    (&["sig", "signal", "signo"], Kind::Signal),
    (&["syscall", "syscall_nr", "syscall_raw"], Kind::Syscall),
    (&["cap", "capability"], Kind::Capability),
    (&["caps", "capabilities"], Kind::Capabilities),
    (&["mntns", "mntns_id", "mount_ns"], Kind::MountNs),
    (&["netns", "netns_id", "net_ns"], Kind::NetNs),
    (&["pidns", "pidns_id", "pid_ns"], Kind::PidNs),
    (&["cgroup", "cgroup_id"], Kind::Cgroup),
    (&["bytes"], Kind::Bytes),
    (&["saddr", "daddr", "addr"], Kind::Address),
    (&["sport", "dport", "port"], Kind::Port),
    (&["mac", "smac", "dmac"], Kind::Mac),
    (&["kstack", "kernel_stack"], Kind::KernelStack),
    (&["ustack", "user_stack"], Kind::UserStack),
];

fn kind_of(field: &Field) -> Kind {
    let typedefs = field.typedefs.iter();
    let by_typedef = typedefs.filter_map(|name| {
        let known = || TYPEDEFS.iter().find(|(typedef, _)| typedef == name);
        of_typedef(name).or_else(|| known().map(|(_, kind)| *kind))
    });
    let by_name = || {
        let known = NAMES
            .iter()
            .find(|(names, _)| names.contains(&field.name.as_str()));
        known.map_or(Kind::None, |(_, kind)| *kind)
    };
    let kind = by_typedef.into_iter().next().unwrap_or_else(by_name);
    // An address of numbers has 4 or 16 bytes; of an `addr` that has 8 the bits matter.
    match (kind, &field.ty) {
        (Kind::Address, FieldType::Pointer) => Kind::Hex,
        (Kind::Address, FieldType::Int { .. }) if !matches!(field.size, 4 | 16) => Kind::Hex,
        (Kind::Address | Kind::Mac, FieldType::Array { .. })
            if !matches!(field.size, 4 | 6 | 16) =>
        {
            Kind::None
        }
        (Kind::None, FieldType::Pointer) => Kind::Hex,
        (kind, _) => kind,
    }
}

/// Text is as wide as its array, within reason.
fn width(field: &Field, data_type: &DataType) -> Option<u16> {
    const MOST: usize = 40;
    let wide = match (&field.ty, data_type) {
        (FieldType::Enum { variants, .. }, DataType::Text) => {
            let names = variants.iter().map(|variant| variant.name.len());
            names.max().unwrap_or(0)
        }
        (FieldType::Array { len: 0, .. }, DataType::Text) => MOST,
        // The last byte is mostly a NUL.
        (FieldType::Array { len, .. }, DataType::Text) => (*len as usize).saturating_sub(1),
        _ => return None,
    };
    u16::try_from(wide.clamp(4, MOST)).ok()
}

/// The last `count` steps of a path as a name.
fn suffix(leaf: &Leaf, count: usize) -> String {
    let first = leaf.steps.len().saturating_sub(count);
    let name = leaf.steps.get(first..).unwrap_or_default().join("_");
    match name.strip_suffix("_raw") {
        Some(short) if !short.is_empty() && leaf.column.kind.is_shown_otherwise() => {
            short.to_owned()
        }
        _ => name,
    }
}

fn names(leaves: &[Leaf]) -> Vec<String> {
    let mut of_depth: HashMap<(usize, String), usize> = HashMap::new();
    for leaf in leaves {
        for count in 1..=leaf.steps.len() {
            let key = (leaf.steps.len(), suffix(leaf, count));
            *of_depth.entry(key).or_default() += 1;
        }
    }
    let mut nearest: Vec<(usize, &Leaf)> = leaves.iter().enumerate().collect();
    nearest.sort_by_key(|(_, leaf)| leaf.steps.len());
    let mut taken: HashSet<String> = RESERVED.map(str::to_owned).into();
    let mut names = vec![String::new(); leaves.len()];
    for (index, leaf) in nearest {
        let depth = leaf.steps.len();
        let alone = |name: &String| of_depth.get(&(depth, name.clone())) == Some(&1);
        let name = (1..=depth)
            .map(|count| suffix(leaf, count))
            .find(|name| !taken.contains(name) && alone(name))
            .or_else(|| {
                // Only fields such as `a.b` beside `a_b` come here.
                let whole = suffix(leaf, depth);
                let numbered = (2..).map(|n| format!("{whole}_{n}"));
                std::iter::once(whole.clone())
                    .chain(numbered)
                    .find(|name| !taken.contains(name))
            })
            .unwrap_or_default();
        taken.insert(name.clone());
        if let Some(place) = names.get_mut(index) {
            *place = name;
        }
    }
    names
}
