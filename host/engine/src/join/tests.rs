use super::*;
use crate::join::columns::append;
use crate::owners::LiveOwners;
use arrow_array::{Int64Array, UInt32Array, UInt64Array};
use ig_bundle::manifest::{ColumnSource, Input, ResolvedSource, ResolvedTable};
use ig_containers::{Decision, Directory, Facts, Pod, Runtime};
use ig_object::btf::{Field as BtfField, FieldType as BtfType, Layout};
use ig_records::span;
use ig_table::frames::Mode;
use ig_table::{Column, DataType, Kind, Table};
use std::collections::BTreeMap;
use std::sync::Arc;

const NOW: Now = Now {
    boot: 1_000,
    wall_offset: 5_000,
};

fn column(name: &str, data_type: DataType, kind: Kind) -> Column {
    Column {
        name: name.to_owned(),
        description: String::new(),
        data_type,
        kind,
        width: None,
        hidden: false,
        alias: None,
    }
}

/// A struct of u64 fields, each with its typedef.
fn layout(fields: &[(&str, &str)]) -> Layout {
    let fields = fields
        .iter()
        .zip(0..)
        .map(|((name, typedef), at)| BtfField {
            name: (*name).to_owned(),
            bit_offset: at * 64,
            bit_size: None,
            size: 8,
            ty: BtfType::Int { signed: false },
            typedefs: vec![(*typedef).to_owned(), "__u64".to_owned()],
        });
    let fields: Vec<BtfField> = fields.collect();
    Layout {
        name: "event".to_owned(),
        size: u32::try_from(fields.len() * 8).unwrap(),
        fields,
    }
}

fn sources() -> Vec<ResolvedSource> {
    vec![ResolvedSource {
        name: "events".to_owned(),
        input: Input::Ring("events".to_owned()),
        layout: layout(&[
            ("when", "gadget_timestamp"),
            ("cgroup", "gadget_cgroup_id"),
            ("ns", "gadget_mntns_id"),
        ]),
    }]
}

/// Columns with a path are decoded.
fn table(columns: &[(&str, DataType, Kind, Option<&str>)]) -> ResolvedTable {
    let source = |path: &Option<&str>| match path {
        Some(path) => ColumnSource::Field {
            source: 0,
            path: (*path).to_owned(),
        },
        None => ColumnSource::Guest,
    };
    ResolvedTable {
        table: Table {
            name: "t".to_owned(),
            description: String::new(),
            columns: columns
                .iter()
                .map(|(name, ty, kind, _)| column(name, ty.clone(), *kind))
                .collect(),
        },
        mode: Mode::Stream,
        source: Some(0),
        origin: Some(0),
        columns: columns.iter().map(|(.., path)| source(path)).collect(),
        enables: vec![None; columns.len()],
    }
}

/// Names of the joined columns.
fn joined(table: &ResolvedTable, own: usize) -> Vec<&str> {
    let columns = table.table.columns.iter().skip(own);
    columns.map(|c| c.name.as_str()).collect()
}

/// A table of which these columns are wanted, by name.
fn planned(mut table: ResolvedTable, wanted: &[&str]) -> PlannedTable {
    let columns = append(&mut table, &sources());
    let wanted: Vec<usize> = wanted
        .iter()
        .map(|name| table.table.find(name).unwrap_or_else(|| panic!("{name}")))
        .collect();
    let join = columns.plan(&table.table, &wanted);
    PlannedTable {
        mode: Mode::Stream,
        shown: true,
        gathered: false,
        walked: None,
        selected: wanted,
        quiet: Vec::new(),
        names: Vec::new(),
        early: None,
        filter: None,
        sort: Vec::new(),
        max_rows: None,
        wanted: vec![true; table.table.columns.len()],
        guest: Vec::new(),
        source: Some(0),
        decoder: None,
        decoded: Vec::new(),
        join,
        table: Arc::new(table.table),
    }
}

fn facts(id: &str, name: &str) -> Facts {
    Facts {
        id: id.to_owned(),
        runtime: Some(Runtime::Docker),
        name: Some(name.to_owned()),
        image: Some("busybox".to_owned()),
        pid: Some(42),
        started: Some(7_000),
        host_network: Some(true),
        ..Facts::default()
    }
}

/// Cgroup 100 is the container web, 200 one of a pod, 300 a unit; 400 waits.
fn directory() -> Arc<Directory> {
    let directory = Arc::new(Directory::default());
    let container = |facts: Facts| Decision::Container {
        facts: Box::new(facts),
        unit: None,
    };
    let mut of_pod = facts("b", "k8s_app");
    of_pod.pod = Some(Pod {
        name: "p".to_owned(),
        namespace: "default".to_owned(),
        ..Pod::default()
    });
    for (cgroup, decision) in [
        (1, Decision::Host),
        (100, container(facts("a", "web"))),
        (200, container(of_pod)),
        (300, Decision::Unit("nginx.service".to_owned())),
    ] {
        directory.made(cgroup, None);
        directory.decide(cgroup, "/x", decision);
    }
    directory.made(400, None);
    // One number, one container after the other.
    directory.mount_namespace(77, 100, 0);
    directory.emptied(100, 500);
    directory.mount_namespace(77, 200, 600);
    directory
}

fn join(directory: &Arc<Directory>) -> Join {
    let owners = LiveOwners::new(directory.reader(), true, false);
    Join::new(Some(SharedOwners::new(Box::new(owners))))
}

fn ids(values: &[Option<u64>]) -> Option<ArrayRef> {
    Some(Arc::new(UInt64Array::from(values.to_vec())))
}

fn texts(array: Option<&ArrayRef>) -> Vec<Option<String>> {
    let array = array.expect("values").as_binary::<i32>();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    array.iter().map(|value| value.map(text)).collect()
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    let value = |v: &&str| (!v.is_empty()).then(|| (*v).to_owned());
    values.iter().map(value).collect()
}

/// What is in a column of a table whose own columns are given.
fn added(
    join: &mut Join,
    plan: &PlannedTable,
    own: Vec<Option<ArrayRef>>,
    rows: usize,
) -> impl Fn(&str) -> Option<ArrayRef> + use<> {
    let mut columns = own;
    let full = join.add(plan, &mut columns, None, rows, NOW);
    assert!(!full);
    let table = plan.table.clone();
    // Every array is what its table says.
    ig_table::Rows::new(table.clone(), columns.clone(), rows, 0).unwrap();
    move |name| columns[table.find(name).unwrap()].clone()
}

#[test]
fn an_identity_has_a_set_of_columns_and_the_first_one_plain_names() {
    let u64 = DataType::U64;
    let mut signal = table(&[
        ("cgroup", u64.clone(), Kind::Cgroup, Some("sender.cgroup")),
        ("mntns", u64.clone(), Kind::MountNs, Some("sender.ns")),
        ("to", u64.clone(), Kind::Cgroup, Some("receiver.cgroup")),
        ("to_ns", u64.clone(), Kind::MountNs, Some("receiver.ns")),
        ("other", DataType::U32, Kind::MountNs, None),
        ("net", u64, Kind::NetNs, None),
    ]);
    let columns = append(&mut signal, &sources());
    let names = joined(&signal, columns.own);
    assert_eq!(names.len(), 3 * Field::ALL.len());
    assert_eq!(names[..3], ["scope", "runtime", "namespace"]);
    assert_eq!(names[20..22], ["to.scope", "to.runtime"]);
    assert_eq!(names[40], "other.scope");
    let find = |name: &str| signal.table.find(name).map(|i| i - columns.own);
    assert_eq!(find("runtime.containerName"), Some(4));
    assert_eq!(find("to.k8s.podName"), Some(23));
    let shown = ig_table::select::default(&signal.table);
    let shown: Vec<&str> = shown
        .iter()
        .skip(columns.own)
        .map(|i| signal.table.columns[*i].name.as_str())
        .collect();
    assert_eq!(shown, ["namespace", "pod", "container", "image"]);
    // Nothing by which anybody could be found: nothing.
    let mut plain = table(&[("n", DataType::U64, Kind::None, None)]);
    plain.origin = None;
    assert_eq!(append(&mut plain, &sources()).own, 1);
    assert_eq!(plain.table.columns.len(), 1);
}

#[test]
fn a_gadget_s_own_column_keeps_its_name() {
    let mut own = table(&[
        ("container", DataType::Text, Kind::None, None),
        ("unit", DataType::Text, Kind::None, None),
        ("cgroup", DataType::U64, Kind::Cgroup, None),
    ]);
    let columns = append(&mut own, &sources());
    let names = joined(&own, columns.own);
    assert_eq!(own.table.find("container"), Some(0));
    assert!(names.contains(&"runtime.containerName") && !names.contains(&"container"));
    // It has no other name.
    assert!(!names.contains(&"unit"));
    let shown = ig_table::select::default(&own.table);
    assert_eq!(shown.len(), 3 + 3);
}

#[test]
fn only_what_is_wanted_is_planned_and_what_it_is_found_by_is_needed() {
    let mut both = table(&[
        ("time", DataType::U64, Kind::Timestamp, Some("when")),
        ("cgroup", DataType::U64, Kind::Cgroup, Some("a.cgroup")),
        // Beside a cgroup is the namespace of the same struct, not the next one.
        ("to_ns", DataType::U64, Kind::MountNs, Some("b.ns")),
        ("ns", DataType::U64, Kind::MountNs, Some("a.ns")),
        ("to", DataType::U64, Kind::Cgroup, Some("b.cgroup")),
    ]);
    let columns = append(&mut both, &sources());
    let find = |name| both.table.find(name).unwrap();
    let needed = |wanted: &[usize]| columns.needed(&both.table, wanted);
    assert_eq!(needed(&[0, 1, 2, 3, 4]), Vec::<usize>::new());
    assert_eq!(needed(&[find("image")]), [1, 3, 0]);
    assert_eq!(needed(&[find("to.image")]), [4, 2, 0]);
    let plan = |wanted: &[usize]| columns.plan(&both.table, wanted);
    assert!(plan(&[0, 1, 2, 3, 4]).is_empty());
    assert_eq!(plan(&[find("to.image")]).identities.len(), 1);
    let selected = ig_table::select::default(&both.table);
    let image = find("image");
    let quiet = columns.quiet(&selected, |column| column == image);
    assert_eq!(
        quiet,
        [
            vec![find("namespace"), find("pod")],
            vec![find("container")]
        ]
    );
}

#[test]
fn rows_have_what_is_known_of_their_cgroup() {
    let directory = directory();
    let mut join = join(&directory);
    let wanted = [
        "scope",
        "container",
        "pod",
        "unit",
        "container_pid",
        "container_started",
        "host_network",
    ];
    let plan = planned(
        table(&[("cgroup", DataType::U64, Kind::Cgroup, None)]),
        &wanted,
    );
    let rows = [
        Some(100),
        Some(100),
        Some(200),
        Some(300),
        Some(1),
        Some(400),
        Some(9),
        None,
    ];
    let get = added(&mut join, &plan, vec![ids(&rows)], rows.len());
    let scope = "container container container unit host undecided undecided ";
    let scope: Vec<&str> = scope.split(' ').collect();
    assert_eq!(texts(get("scope").as_ref()), some(&scope));
    let names = ["web", "web", "k8s_app", "", "", "", "", ""];
    assert_eq!(texts(get("container").as_ref()), some(&names));
    assert_eq!(
        texts(get("pod").as_ref()),
        some(&["", "", "p", "", "", "", "", ""])
    );
    let unit = ["", "", "", "nginx.service", "", "", "", ""];
    assert_eq!(texts(get("unit").as_ref()), some(&unit));
    let pids = get("container_pid").unwrap();
    let pids: Vec<_> = pids.as_primitive::<UInt32Type>().iter().collect();
    assert_eq!(pids[..4], [Some(42), Some(42), Some(42), None]);
    // A point in time of the wall clock, as one since boot: what is shown adds the offset again.
    let started = get("container_started").unwrap();
    let started: &Int64Array = started.as_primitive();
    assert_eq!((started.value(0), started.null_count()), (2_000, 5));
    let network = get("host_network").unwrap();
    assert_eq!(
        (network.as_boolean().true_count(), network.null_count()),
        (3, 5)
    );
    // What nobody wants is not there.
    assert!(get("image").is_none());
    // A batch without any value costs no array.
    let get = added(&mut join, &plan, vec![ids(&[Some(1), Some(300)])], 2);
    assert!(get("container").is_none() && get("scope").is_some());
}

#[test]
fn what_becomes_known_is_seen_with_the_next_call() {
    let directory = directory();
    let mut join = join(&directory);
    let plan = planned(
        table(&[("cgroup", DataType::U64, Kind::Cgroup, None)]),
        &["container", "image"],
    );
    let rows = || vec![ids(&[Some(400), Some(100)])];
    let get = added(&mut join, &plan, rows(), 2);
    assert_eq!(texts(get("container").as_ref()), some(&["", "web"]));
    let decision = Decision::Container {
        facts: Box::new(facts("d", "late")),
        unit: None,
    };
    directory.decide(400, "/x", decision);
    directory.learn(Facts {
        id: "a".to_owned(),
        image: Some("nginx".to_owned()),
        ..Facts::default()
    });
    // Within a call nothing changes.
    let get = added(&mut join, &plan, rows(), 2);
    assert_eq!(texts(get("container").as_ref()), some(&["", "web"]));
    join.refresh();
    let get = added(&mut join, &plan, rows(), 2);
    assert_eq!(texts(get("container").as_ref()), some(&["late", "web"]));
    assert_eq!(texts(get("image").as_ref()), some(&["busybox", "nginx"]));
}

#[test]
fn a_mount_namespace_is_whose_it_was_at_the_time_of_the_row() {
    let mut join = join(&directory());
    let plan = planned(
        table(&[
            ("time", DataType::U64, Kind::Timestamp, None),
            ("cgroup", DataType::U64, Kind::Cgroup, None),
            ("ns", DataType::U64, Kind::MountNs, None),
        ]),
        &["scope", "container"],
    );
    let own = vec![
        ids(&[
            Some(400),
            Some(550),
            Some(700),
            None,
            Some(700),
            Some(700),
            Some(400),
        ]),
        // The root of a hierarchy that is not used says nothing, an own cgroup all.
        ids(&[Some(1), None, Some(1), None, Some(100), Some(1), Some(400)]),
        ids(&[
            Some(77),
            Some(77),
            Some(77),
            Some(77),
            Some(77),
            Some(5),
            Some(77),
        ]),
    ];
    let get = added(&mut join, &plan, own, 7);
    // The last has a cgroup that nobody knows: the number of its namespace may just have been another's.
    let names = ["web", "", "k8s_app", "k8s_app", "web", "", ""];
    assert_eq!(texts(get("container").as_ref()), some(&names));
    let scope = texts(get("scope").as_ref());
    assert_eq!(scope[1].as_deref(), Some("undecided"));
    assert_eq!(scope[5].as_deref(), Some("host"));
    assert_eq!(scope[6].as_deref(), Some("undecided"));
}

#[test]
fn late_rows_are_joined_by_the_owner_s_number() {
    let directory = directory();
    let web = directory.by_id("a").unwrap().get();
    let mut join = join(&directory);
    let plan = planned(
        table(&[
            ("owner", DataType::U32, Kind::Owner, None),
            ("cgroup", DataType::U64, Kind::Cgroup, None),
        ]),
        &["container", "scope"],
    );
    let owner: ArrayRef = Arc::new(UInt32Array::from(vec![
        Some(web),
        Some(0),
        None,
        // One that the guest made up, or that is long forgotten.
        Some(u32::MAX - 1),
        Some(0),
    ]));
    let own = vec![
        Some(owner),
        ids(&[None, Some(200), Some(200), Some(200), None]),
    ];
    let get = added(&mut join, &plan, own, 5);
    let names = ["web", "k8s_app", "k8s_app", "", ""];
    assert_eq!(texts(get("container").as_ref()), some(&names));
    let scope = ["container", "container", "container", "", "undecided"];
    assert_eq!(texts(get("scope").as_ref()), some(&scope));
}

#[test]
fn rows_with_an_origin_belong_to_whom_their_record_does() {
    let mut join = join(&directory());
    let record = |cgroup: u64, ns: u64| {
        [10_u64, cgroup, ns]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let mut bytes = Vec::new();
    for record in [record(100, 0), record(300, 0), record(1, 77)] {
        span::push(&mut bytes, &[&record]).unwrap();
    }
    let picked = Picked::all(&bytes).unwrap();
    let origin = |source| {
        Some(Origin {
            source,
            picked: &picked,
        })
    };
    // No column of its own says it; or one of the guest's, which says something else.
    let none = table(&[("n", DataType::U64, Kind::None, None)]);
    let other = table(&[("n", DataType::U64, Kind::Cgroup, None)]);
    for table in [none, other] {
        let plan = planned(table, &["container"]);
        let of = |origin: Option<Origin<'_>>, join: &mut Join| {
            let mut columns = vec![ids(&[Some(200), Some(200), Some(200)])];
            join.add(&plan, &mut columns, origin, 3, NOW);
            columns[plan.table.find("container").unwrap()].clone()
        };
        let names = of(origin(0), &mut join);
        assert_eq!(texts(names.as_ref()), some(&["web", "", "web"]));
        // Another source's records have other fields.
        let late = of(origin(1), &mut join);
        let own = of(None, &mut join);
        assert_eq!(late.is_some(), own.is_some());
        if own.is_some() {
            assert_eq!(texts(own.as_ref()), some(&["k8s_app"; 3]));
        }
    }
}

#[test]
fn columns_that_are_fields_are_not_made_to_find_owners() {
    let directory = directory();
    let long = "l".repeat(100);
    directory.made(500, None);
    let decision = Decision::Container {
        facts: Box::new(facts("c", &long)),
        unit: None,
    };
    directory.decide(500, "/x", decision);
    let mut join = join(&directory);
    let number = |name, kind, path| (name, DataType::U64, kind, Some(path));
    let columns = [
        number("time", Kind::Timestamp, "when"),
        number("of", Kind::Cgroup, "cgroup"),
        number("ns", Kind::MountNs, "ns"),
    ];
    let mut both = table(&columns);
    let joined = append(&mut both, &sources());
    let wanted = [both.table.find("container").unwrap()];
    assert_eq!(joined.needed(&both.table, &wanted), [1, 2, 0]);
    assert_eq!(joined.read(&both.table, &wanted), Vec::<usize>::new());
    let mut bytes = Vec::new();
    for record in [
        [10_u64, 500, 77],
        [10, 500, 0],
        [10, 1, 77],
        [700, 1, 77],
        [0, 1, 77],
        [10, 9, 77],
        [10, 300, 77],
        [10, 100, 0],
    ] {
        let record: Vec<u8> = record.iter().flat_map(|n| n.to_le_bytes()).collect();
        span::push(&mut bytes, &[&record]).unwrap();
    }
    // One that ends before its cgroup.
    span::push(&mut bytes, &[&10_u64.to_le_bytes()]).unwrap();
    let picked = Picked::all(&bytes).unwrap();
    let plan = planned(table(&columns), &["container", "scope"]);
    let mut columns = Vec::new();
    let origin = Origin {
        source: 0,
        picked: &picked,
    };
    join.add(&plan, &mut columns, Some(origin), 9, NOW);
    let get = |name: &str| columns[plan.table.find(name).unwrap()].clone();
    assert!(get("of").is_none());
    let names = [&long, &long, "web", "k8s_app", "k8s_app", "", "", "web", ""];
    assert_eq!(texts(get("container").as_ref()), some(&names));
    let scope = texts(get("scope").as_ref());
    assert_eq!(scope[5].as_deref(), Some("undecided"));
    assert_eq!((scope[6].as_deref(), &scope[8]), (Some("unit"), &None));
    // A time that the guest gives is in no record: then the columns are made.
    let mut guests = table(&[
        ("time", DataType::U64, Kind::Timestamp, None),
        ("of", DataType::U64, Kind::Cgroup, Some("cgroup")),
        ("ns", DataType::U64, Kind::MountNs, Some("ns")),
    ]);
    let joined = append(&mut guests, &sources());
    let wanted = [guests.table.find("container").unwrap()];
    assert_eq!(joined.read(&guests.table, &wanted), [1, 2, 0]);
}

#[test]
fn labels_of_megabytes_stay_bounded() {
    let directory = directory();
    let mut many = facts("m", "many");
    many.labels = Some(BTreeMap::from([("x".to_owned(), "y".repeat(60 << 10))]));
    directory.made(500, None);
    let decision = Decision::Container {
        facts: Box::new(many),
        unit: None,
    };
    directory.decide(500, "/x", decision);
    let mut join = join(&directory);
    let plan = planned(
        table(&[("cgroup", DataType::U64, Kind::Cgroup, None)]),
        &["labels", "container"],
    );
    // In turns with another, so that there are runs to count.
    let rows: Vec<Option<u64>> = (0..3_000)
        .map(|i| Some(if i % 2 == 0 { 500 } else { 100 }))
        .collect();
    let mut columns = vec![ids(&rows)];
    assert!(join.add(&plan, &mut columns, None, 3_000, NOW));
    let column = |name: &str| columns[plan.table.find(name).unwrap()].clone().unwrap();
    let labels = column("labels");
    let labels = labels.as_binary::<i32>();
    assert!(labels.value_data().len() <= values::MOST_BYTES);
    assert_eq!(
        labels.iter().flatten().count(),
        values::MOST_BYTES / (2 + (60 << 10))
    );
    assert_eq!(column("container").null_count(), 0);
}

#[test]
fn nobody_who_knows_is_no_error() {
    let mut join = Join::new(None);
    let plan = planned(
        table(&[("cgroup", DataType::U64, Kind::Cgroup, None)]),
        &["scope"],
    );
    let get = added(&mut join, &plan, vec![ids(&[Some(1)])], 1);
    assert!(get("scope").is_none());
}

#[test]
fn endpoints_have_the_names_of_pods_and_containers() {
    use arrow_array::{BinaryArray, StructArray, UInt16Array};
    let directory = directory();
    for (id, address) in [("a", [10, 0, 0, 1]), ("b", [10, 0, 0, 2])] {
        directory.learn(Facts {
            id: id.to_owned(),
            addresses: Some(vec![address.into()]),
            ..Facts::default()
        });
    }
    let mut join = join(&directory);
    let mut table = table(&[("dst", Kind::endpoint_type(), Kind::Endpoint, None)]);
    table.origin = None;
    let plan = planned(table, &["dst.name"]);
    assert_eq!(plan.table.columns.len(), 2);
    assert!(!plan.join.is_empty());
    let addresses = [
        &[10, 0, 0, 1][..],
        &[10, 0, 0, 2],
        &[10, 0, 0, 3],
        &[1, 2],
        &[10, 0, 0, 1],
    ];
    let ports: UInt16Array = [Some(80), Some(443), Some(1), None, None]
        .into_iter()
        .collect();
    // An empty array of the type knows the names of the fields.
    let empty = arrow_array::new_empty_array(&Kind::endpoint_type().arrow());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BinaryArray::from_iter_values(addresses)),
        Arc::new(ports),
    ];
    let fields = empty.as_struct().fields().clone();
    let dst: ArrayRef = Arc::new(StructArray::try_new(fields, columns, None).unwrap());
    let get = added(&mut join, &plan, vec![Some(dst.clone())], 5);
    let names = ["c/web:80", "p/default/p:443", "", "", "c/web"];
    assert_eq!(texts(get("dst.name").as_ref()), some(&names));
    let get = added(&mut join, &plan, vec![Some(dst.slice(2, 2))], 2);
    assert!(get("dst.name").is_none());
}

#[test]
fn columns_show_an_endpoint_by_its_name_unless_the_name_has_a_column() {
    let mut table = table(&[
        ("src", Kind::endpoint_type(), Kind::Endpoint, None),
        ("dst", Kind::endpoint_type(), Kind::Endpoint, None),
    ]);
    let columns = append(&mut table, &sources());
    let [src, dst] = ["src.name", "dst.name"].map(|name| table.table.find(name).unwrap());
    assert_eq!(columns.names_of(&[0, 1]), [(0, src), (1, dst)]);
    assert_eq!(columns.names_of(&[1, src]), [(1, dst)]);
    assert_eq!(columns.names_of(&[0, 1, dst]), [(0, src)]);
}
