//! Structs as clang describes them: the example gadgets', one of everything, and broken ones.

use super::*;
use ig_object::Object;
use ig_object::btf::Btf;
use std::path::Path;
use std::process::Command;

/// A source below the workspace, compiled.
fn compile(source: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let clang = [
        "clang-19", "clang-22", "clang-21", "clang-20", "clang-18", "clang-17", "clang-16", "clang",
    ]
    .into_iter()
    .find(|clang| Command::new(clang).arg("--version").output().is_ok())
    .expect("clang 16 or newer");
    let (target, include) = if cfg!(target_arch = "x86_64") {
        ("-D__TARGET_ARCH_x86", "/usr/include/x86_64-linux-gnu")
    } else {
        ("-D__TARGET_ARCH_arm64", "/usr/include/aarch64-linux-gnu")
    };
    let result = Command::new(clang)
        .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall"])
        .args([target, "-I", include, "-I"])
        .arg(root.join("ebpf/include"))
        .args(["-c", "-o", "-"])
        .arg(root.join(source))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{errors}");
    result.stdout
}

fn layout_in(object: &[u8], name: &str) -> Layout {
    let object = Object::parse(object).unwrap();
    object.btf().layout(name).unwrap()
}

fn defaults(layout: &Layout) -> Vec<String> {
    let line = |column: DefaultColumn| {
        let DefaultColumn {
            name,
            path,
            data_type,
            kind,
            width,
            hidden,
        } = column;
        let width = width.map_or_else(String::new, |width| format!(" {width}"));
        let hidden = if hidden { " hidden" } else { "" };
        format!("{name} = {path}: {data_type} {kind}{width}{hidden}")
    };
    default_columns(layout).into_iter().map(line).collect()
}

#[test]
fn columns_of_the_example_gadgets() {
    let open = layout_in(
        &compile("example-gadgets/trace_open/program.bpf.c"),
        "event",
    );
    assert_eq!(
        defaults(&open),
        [
            "timestamp = timestamp_raw: u64 timestamp",
            "comm = proc.comm: text none 15",
            "pid = proc.pid: u32 pid",
            "tid = proc.tid: u32 tid",
            "mntns_id = proc.mntns_id: u64 mount-ns hidden",
            "cgroup_id = proc.cgroup_id: u64 cgroup hidden",
            "uid = proc.creds.uid: u32 uid",
            "gid = proc.creds.gid: u32 gid",
            "parent_comm = proc.parent.comm: text none 15",
            "parent_pid = proc.parent.pid: u32 pid",
            "__pad = proc.__pad: u32 none hidden",
            "error = error: u32 errno",
            "fd = fd: i32 none",
            "flags = flags: u32 open-flags",
            "mode = mode: u32 file-mode",
            "fname = fname: text none 40",
        ]
    );
    let exec = layout_in(
        &compile("example-gadgets/trace_exec/program.bpf.c"),
        "event",
    );
    let columns = defaults(&exec);
    assert!(
        columns.contains(&"timestamp = timestamp_raw: u64 timestamp".to_owned()),
        "{columns:#?}"
    );
    assert_eq!(columns.len(), exec.paths().len());
}

#[test]
fn columns_of_everything() {
    let everything = layout_in(&compile("host/records/tests/c/everything.bpf.c"), "event");
    assert_eq!(
        defaults(&everything),
        [
            "src = src: struct<address: bytes, port: u16> endpoint",
            "src_proto_raw = src.proto_raw: u16 none",
            "dst = dst: struct<address: bytes, port: u16> endpoint",
            "dst_proto_raw = dst.proto_raw: u16 none",
            "nameserver = nameserver: bytes address",
            "saddr = saddr: u32 address",
            "sport = sport: u16 port",
            "id = id: u16 none",
            "error = error_raw: u32 errno",
            "sig = sig: u32 signal",
            "syscall = syscall_raw: u64 syscall",
            "took = took: u64 duration",
            "size = size: u64 bytes",
            "mode = mode: u16 file-mode",
            "dev = dev: u32 device",
            "owner = owner: u32 uid",
            "mac = mac: bytes mac",
            "state = state: text none 15",
            "huge = huge: text none 5",
            "low = low: u32 none",
            "ok = ok: bool none",
            "number = number: i32 none",
            "real = real: f32 none hidden",
            "inner_number = either.inner.number: u64 none",
            "other = either.other: u64 none hidden",
            "pairs = pairs: list<struct<a: u16, b: u16>> none",
            "address = address: u64 hex",
            "tail = tail: list<u32> none",
        ]
    );
}

#[test]
fn a_struct_without_end_gets_columns_up_to_a_limit() {
    let fields = (0..65_000).map(|i| int(&format!("f{i}"), i * 4, 4, false));
    let columns = default_columns(&layout("huge", 260_000, fields.collect()));
    assert_eq!(columns.len(), MAX_COLUMNS);
    let nothing = (0..65_000).map(|i| field("f", i, 0, FieldType::Unknown));
    assert_eq!(default_columns(&layout("huge", 0, nothing.collect())), []);
}

#[test]
fn everything_is_decoded() {
    let everything = layout_in(&compile("host/records/tests/c/everything.bpf.c"), "event");
    let columns = default_columns(&everything);
    let specs: Vec<_> = columns.iter().map(DefaultColumn::spec).collect();
    let decoder = Decoder::new(&everything, &specs).unwrap();
    let place = |path: &str| (everything.field(path).unwrap().bit_offset / 8) as usize;
    let mut record = vec![0; everything.size as usize];
    let mut put = |path: &str, bytes: &[u8]| {
        record[place(path)..][..bytes.len()].copy_from_slice(bytes);
    };
    put("dst.addr_raw.v6", &[0xfe, 0x80]);
    put("dst.port", &443_u16.to_le_bytes());
    put("dst.version", &[6]);
    put("sport", &[0, 80]);
    put("id", &[0x12, 0x34]);
    put("state", &10_u32.to_le_bytes());
    put("huge", &(1_u64 << 40).to_le_bytes());
    put("low", &[0b1011_0101, 0]);
    put("pairs", &[1, 0, 2, 0, 3, 0, 4, 0]);
    record.extend([1, 0, 0, 0, 2, 0, 0, 0]);
    let mut span = Vec::new();
    span::push(&mut span, &[&record]).unwrap();
    let picked = Picked::all(&span).unwrap();
    let column = |name: &str| {
        let at = columns.iter().position(|column| column.name == name);
        decoder.decode(at.unwrap(), &picked).unwrap()
    };
    let dst = column("dst");
    assert_eq!(
        texts(dst.as_struct().column(0))[0].unwrap()[..3],
        [0xfe, 0x80, 0]
    );
    assert!(column("src").as_struct().column(0).is_null(0), "no version");
    assert_eq!(column("sport").as_primitive::<UInt16Type>().values(), &[80]);
    assert_eq!(
        column("id").as_primitive::<UInt16Type>().values(),
        &[0x1234]
    );
    assert_eq!(texts(&column("state")), [Some(b"TCP_LISTEN_".as_slice())]);
    assert_eq!(texts(&column("huge")), [Some(b"LARGE".as_slice())]);
    assert_eq!(column("low").as_primitive::<UInt32Type>().values(), &[5]);
    let pairs = column("pairs").as_list::<i32>().value(0);
    let b = pairs
        .as_struct()
        .column(1)
        .as_primitive::<UInt16Type>()
        .values()
        .to_vec();
    assert_eq!(b, [2, 4]);
    let tail = column("tail").as_list::<i32>().value(0);
    assert_eq!(tail.as_primitive::<UInt32Type>().values(), &[1, 2]);
}

/// The bytes of the section `.BTF`, found by its magic number.
fn btf_in(object: &[u8]) -> Vec<u8> {
    let at = object.windows(4).position(|w| w == [0x9f, 0xeb, 1, 0]);
    object[at.unwrap()..].to_vec()
}

proptest! {
    #[test]
    fn any_btf_gives_columns_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        static BTF: std::sync::LazyLock<Vec<u8>> =
            std::sync::LazyLock::new(|| btf_in(&compile("host/records/tests/c/everything.bpf.c")));
        let mut bytes = BTF.clone();
        for (index, byte) in &changes {
            // Types lie in front, names behind them.
            let at = index.index(bytes.len().min(3_000));
            bytes[at] = *byte;
        }
        let Ok(btf) = Btf::parse(&bytes) else { return Ok(()) };
        let mut span = Vec::new();
        span::push(&mut span, &[&payload]).unwrap();
        let picked = Picked::all(&span).unwrap();
        for (id, _) in btf.types() {
            let Ok(layout) = btf.layout_of(id) else { continue };
            let specs: Vec<_> = default_columns(&layout).iter().map(DefaultColumn::spec).collect();
            let decoder = Decoder::new(&layout, &specs).unwrap();
            for column in 0..decoder.len() {
                if let Ok(array) = decoder.decode(column, &picked) {
                    prop_assert_eq!(array.len(), 1);
                    prop_assert!(array.to_data().validate_full().is_ok());
                }
            }
        }
    }
}
