//! Which columns the host joins to a table, and by which of its own.

use crate::identity::RecordIdentity;
use ig_bundle::manifest::{ColumnSource, ResolvedSource, ResolvedTable};
use ig_containers::{Field, FieldType};
use ig_records::decode::default_columns;
use ig_table::{Column, DataType, Kind, Table};

/// What is joined to one table.
#[derive(Clone, Debug, Default)]
pub(crate) struct JoinColumns {
    /// Columns of the table's own; those behind them are joined.
    pub own: usize,
    /// By place behind the table's own.
    columns: Vec<(usize, Field)>,
    identities: Vec<Identity>,
    /// Behind those: of each endpoint its own column, and the one of its name.
    endpoints: Vec<(usize, usize)>,
}

/// By what an owner is found: columns of the table's own, or the record.
#[derive(Clone, Debug, Default)]
struct Identity {
    /// The first of its columns; none: the record's fields.
    column: Option<usize>,
    cgroup: Option<usize>,
    mount_ns: Option<usize>,
    /// The owner itself, by the host's number.
    owner: Option<usize>,
    /// It is decoded, so that rows with an origin have it from their record.
    decoded: bool,
    /// The source, and where its records say it: there it is read for rows that have an origin, without a column.
    record: Option<(usize, RecordIdentity)>,
}

/// Shown when nobody chooses columns. Those of one group come into sight together.
const SHOWN: [&[Field]; 2] = [
    &[Field::Namespace, Field::Pod],
    &[Field::Container, Field::Image],
];

/// Adds the columns that the host joins to a table, behind all of its own.
pub(crate) fn append(table: &mut ResolvedTable, sources: &[ResolvedSource]) -> JoinColumns {
    let own = table.table.columns.len();
    let identities = identities(table, sources);
    let mut columns = Vec::new();
    for (i, identity) in identities.iter().enumerate() {
        // The first one is the row's own.
        let of = identity.column.filter(|_| i > 0);
        let of = of.and_then(|column| Some(table.table.columns.get(column)?.name.clone()));
        for field in Field::ALL {
            if let Some(column) = column(&table.table, of.as_deref(), field) {
                table.table.columns.push(column);
                columns.push((i, field));
            }
        }
    }
    JoinColumns {
        own,
        columns,
        identities,
        endpoints: endpoints(&mut table.table, own),
    }
}

/// Adds a column for the name of each endpoint.
fn endpoints(table: &mut Table, own: usize) -> Vec<(usize, usize)> {
    let mut added = Vec::new();
    for endpoint in 0..own {
        let Some(column) = table.columns.get(endpoint) else {
            continue;
        };
        let name = format!("{}.name", column.name);
        let resolves = column.kind == Kind::Endpoint && column.data_type == Kind::endpoint_type();
        if !resolves || table.find(&name).is_some() {
            continue;
        }
        let description = format!(
            "Whose address {} is: p/NAMESPACE/POD:PORT, or c/CONTAINER:PORT",
            column.name
        );
        added.push((endpoint, table.columns.len()));
        table.columns.push(Column {
            name,
            description,
            data_type: DataType::Text,
            kind: Kind::None,
            width: Some(24),
            hidden: true,
            alias: None,
        });
    }
    added
}

/// A field as a column, with what the names begin with; none if all of its names are taken.
fn column(table: &Table, of: Option<&str>, field: Field) -> Option<Column> {
    let full = |name: &str| match of {
        Some(of) => format!("{of}.{name}"),
        None => name.to_owned(),
    };
    let free = |name: &String| table.find(name).is_none();
    let mut names = [Some(field.name()), field.alias()]
        .into_iter()
        .flatten()
        .map(full)
        .filter(free);
    let name = names.next()?;
    let shown = of.is_none() && name == field.name() && SHOWN.iter().any(|g| g.contains(&field));
    let description = match of {
        Some(of) => format!("{}, by {of}", field.description()),
        None => field.description().to_owned(),
    };
    Some(describe(field, name, names.next(), description, !shown))
}

/// A field of an owner as a column.
pub(crate) fn describe(
    field: Field,
    name: String,
    alias: Option<String>,
    description: String,
    hidden: bool,
) -> Column {
    let (data_type, kind) = match field.field_type() {
        FieldType::Text => (DataType::Text, Kind::None),
        FieldType::Pid => (DataType::U32, Kind::Pid),
        // It may be from before the machine started.
        FieldType::Wall => (DataType::I64, Kind::Timestamp),
        FieldType::Bool => (DataType::Bool, Kind::None),
    };
    let width = match field {
        Field::Namespace | Field::Scope => Some(12),
        Field::Container => Some(16),
        Field::Pod | Field::Image => Some(24),
        _ => None,
    };
    Column {
        name,
        description,
        data_type,
        kind,
        width,
        hidden,
        alias,
    }
}

/// By what owners of a table's rows are found, the row's own first.
fn identities(table: &ResolvedTable, sources: &[ResolvedSource]) -> Vec<Identity> {
    let of_kind = |kind: Kind| {
        let columns = table.table.columns.iter().enumerate();
        columns.filter(move |(_, column)| {
            column.kind == kind && matches!(column.data_type, DataType::U32 | DataType::U64)
        })
    };
    // Of a field the struct that it is in; of the guest's columns there is none.
    let parent = |column: usize| match table.columns.get(column) {
        Some(ColumnSource::Field { path, .. }) => {
            Some(path.rsplit_once('.').map_or("", |(parent, _)| parent))
        }
        _ => None,
    };
    let decoded = |column: usize| parent(column).is_some();
    let mut alone: Vec<usize> = of_kind(Kind::MountNs).map(|(i, _)| i).collect();
    let mut found: Vec<Identity> = of_kind(Kind::Cgroup)
        .map(|(cgroup, _)| {
            let beside = alone.iter().position(|ns| parent(*ns) == parent(cgroup));
            Identity {
                column: Some(cgroup),
                cgroup: Some(cgroup),
                mount_ns: beside.map(|at| alone.remove(at)),
                decoded: decoded(cgroup),
                ..Identity::default()
            }
        })
        .collect();
    found.extend(alone.into_iter().map(|mount_ns| Identity {
        column: Some(mount_ns),
        mount_ns: Some(mount_ns),
        decoded: decoded(mount_ns),
        ..Identity::default()
    }));
    found.sort_by_key(|identity| identity.column);
    for identity in found.iter_mut().filter(|identity| identity.decoded) {
        identity.record = of_columns(table, sources, identity);
    }
    // The record says whose a row is before anything that the guest says.
    if found.first().is_none_or(|first| !first.decoded)
        && let Some(record) = record_fields(table, sources)
    {
        match found.first_mut() {
            Some(first) => first.record = Some(record),
            None => found.push(Identity {
                record: Some(record),
                ..Identity::default()
            }),
        }
    }
    if let Some((owner, _)) = of_kind(Kind::Owner).next() {
        match found.first_mut() {
            Some(first) => first.owner = Some(owner),
            None => found.push(Identity {
                column: Some(owner),
                owner: Some(owner),
                ..Identity::default()
            }),
        }
    }
    found
}

/// Where records have what these columns of an identity are decoded from.
fn of_columns(
    table: &ResolvedTable,
    sources: &[ResolvedSource],
    identity: &Identity,
) -> Option<(usize, RecordIdentity)> {
    let path = |column: Option<usize>| match table.columns.get(column?)? {
        ColumnSource::Field { path, .. } => Some(path.as_str()),
        ColumnSource::Guest => None,
    };
    let source = table.source?;
    let time = identity.mount_ns.and_then(|_| time(&table.table));
    let (cgroup, mount_ns) = (path(identity.cgroup), path(identity.mount_ns));
    // A time of the guest's is no field.
    if time.is_some() && path(time).is_none() {
        return None;
    }
    let layout = &sources.get(source)?.layout;
    let identity = RecordIdentity::of_fields(layout, cgroup, mount_ns, path(time))?;
    Some((source, identity))
}

/// Where records say whose they are, of a table that has no columns for it.
fn record_fields(
    table: &ResolvedTable,
    sources: &[ResolvedSource],
) -> Option<(usize, RecordIdentity)> {
    let source = table.origin?;
    let layout = &sources.get(source)?.layout;
    let fields = default_columns(layout);
    let of_kind = |kind: Kind, types: &[DataType]| {
        let mut fields = fields.iter();
        let field = fields.find(|f| f.kind == kind && types.contains(&f.data_type));
        field.map(|field| field.spec().path)
    };
    let ids = [DataType::U32, DataType::U64];
    let cgroup = of_kind(Kind::Cgroup, &ids);
    let mount_ns = of_kind(Kind::MountNs, &ids);
    if cgroup.is_none() && mount_ns.is_none() {
        return None;
    }
    let time = of_kind(Kind::Timestamp, &[DataType::U64]);
    let [cgroup, mount_ns, time] = [&cgroup, &mount_ns, &time].map(Option::as_deref);
    let identity = RecordIdentity::of_fields(layout, cgroup, mount_ns, time)?;
    Some((source, identity))
}

/// The first column that is a point in time.
fn time(table: &Table) -> Option<usize> {
    let mut columns = table.columns.iter();
    columns.position(|column| column.kind == Kind::Timestamp && column.data_type == DataType::U64)
}

/// What of it a run needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlannedJoin {
    pub identities: Vec<PlannedIdentity>,
    /// Endpoints whose names are wanted, and the column that these go to.
    pub endpoints: Vec<(usize, usize)>,
}

impl PlannedJoin {
    /// Nobody asks whose rows are.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.endpoints.is_empty()
    }
}

/// An identity for which somebody asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlannedIdentity {
    pub cgroup: Option<usize>,
    pub mount_ns: Option<usize>,
    pub owner: Option<usize>,
    /// The point in time of a row.
    pub time: Option<usize>,
    /// See [`Identity::decoded`].
    pub decoded: bool,
    /// See [`Identity::record`].
    pub record: Option<(usize, RecordIdentity)>,
    /// The columns that are wanted, and what is in them.
    pub fields: Vec<(usize, Field)>,
}

impl JoinColumns {
    /// Nothing, for a table of so many columns.
    pub fn none(own: usize) -> Self {
        Self {
            own,
            ..Self::default()
        }
    }

    /// Groups of columns, by index in the table, that `columns` shows only from when one has a value: those of the
    /// `selected` that nobody named.
    pub fn quiet(&self, selected: &[usize], named: impl Fn(usize) -> bool) -> Vec<Vec<usize>> {
        let columns = self.columns.iter().enumerate();
        let group = |fields: &[Field]| -> Vec<usize> {
            let of_group = columns
                .clone()
                .filter(|(_, (identity, field))| *identity == 0 && fields.contains(field));
            let indexes = of_group.map(|(i, _)| self.own + i);
            indexes
                .filter(|i| selected.contains(i) && !named(*i))
                .collect()
        };
        let groups = SHOWN.map(group).into_iter();
        groups.filter(|group| !group.is_empty()).collect()
    }

    /// The table's own columns by which the joined ones among the wanted are found: what fills them has to be switched on.
    pub fn needed(&self, table: &Table, wanted: &[usize]) -> Vec<usize> {
        self.found_by(table, wanted, |_| true)
    }

    /// Those of them that have to be made: of the others the records are read.
    pub fn read(&self, table: &Table, wanted: &[usize]) -> Vec<usize> {
        let from_records = |identity: &Identity| identity.decoded && identity.record.is_some();
        self.found_by(table, wanted, |identity| !from_records(identity))
    }

    fn found_by(
        &self,
        table: &Table,
        wanted: &[usize],
        with_ids: impl Fn(&Identity) -> bool,
    ) -> Vec<usize> {
        let identities = self.identities.iter().enumerate();
        let asked = identities.filter(|(i, _)| self.fields(*i, wanted).next().is_some());
        let mut needed: Vec<usize> = self.names(wanted).map(|(endpoint, _)| endpoint).collect();
        for (_, identity) in asked {
            needed.extend(identity.owner);
            if with_ids(identity) {
                needed.extend([identity.cgroup, identity.mount_ns].into_iter().flatten());
                if identity.mount_ns.is_some() {
                    needed.extend(self.time(table));
                }
            }
        }
        needed
    }

    /// The endpoints among the selected columns whose names are not selected themselves, and these.
    pub fn names_of(&self, selected: &[usize]) -> Vec<(usize, usize)> {
        let endpoints = self.endpoints.iter().copied();
        endpoints
            .filter(|(endpoint, name)| selected.contains(endpoint) && !selected.contains(name))
            .collect()
    }

    /// The endpoints whose names are wanted.
    fn names(&self, wanted: &[usize]) -> impl Iterator<Item = (usize, usize)> {
        let endpoints = self.endpoints.iter().copied();
        endpoints.filter(|(_, name)| wanted.contains(name))
    }

    /// The columns of an identity that are wanted.
    fn fields(&self, identity: usize, wanted: &[usize]) -> impl Iterator<Item = (usize, Field)> {
        let columns = self.columns.iter().enumerate();
        let own = self.own;
        columns.filter_map(move |(i, (of, field))| {
            let wanted = *of == identity && wanted.contains(&(own + i));
            wanted.then_some((own + i, *field))
        })
    }

    /// The first of the table's own columns that is a point in time.
    fn time(&self, table: &Table) -> Option<usize> {
        time(table).filter(|time| *time < self.own)
    }

    /// What is done for the columns that are wanted.
    pub fn plan(&self, table: &Table, wanted: &[usize]) -> PlannedJoin {
        let identities = self.identities.iter().enumerate();
        let planned = identities.filter_map(|(i, identity)| {
            let fields: Vec<(usize, Field)> = self.fields(i, wanted).collect();
            if fields.is_empty() {
                return None;
            }
            let Identity {
                column: _,
                cgroup,
                mount_ns,
                owner,
                decoded,
                record,
            } = identity;
            Some(PlannedIdentity {
                cgroup: *cgroup,
                mount_ns: *mount_ns,
                owner: *owner,
                time: mount_ns.and_then(|_| self.time(table)),
                decoded: *decoded,
                record: *record,
                fields,
            })
        });
        PlannedJoin {
            identities: planned.collect(),
            endpoints: self.names(wanted).collect(),
        }
    }
}
