use crate::btf::Kind;
use crate::{Hook, Object, ObjectError, RelocationKind, Tracer, fixture};

fn sample() -> Object<'static> {
    Object::parse(fixture::object("sample")).unwrap()
}

#[test]
fn programs_and_their_hooks() {
    let object = sample();
    let programs: Vec<_> = object
        .programs()
        .iter()
        .map(|p| (p.name.as_str(), p.section.as_str(), p.optional))
        .collect();
    assert_eq!(
        programs,
        [
            (
                "enter_execve",
                "tracepoint/syscalls/sys_enter_execve",
                false
            ),
            ("on_fork", "?tp_btf/sched_process_fork", true),
            ("on_malloc", "uretprobe/libc:malloc", false),
        ]
    );
    let fork = Hook::BtfTracepoint {
        name: "sched_process_fork".to_owned(),
    };
    assert_eq!(object.programs()[1].hook, fork);
    assert!(object.programs().iter().all(|p| p.instructions > 1));
    assert_eq!(object.licence(), "GPL");
}

#[test]
fn maps_as_they_were_declared() {
    let object = sample();
    let numbers: Vec<_> = object
        .maps()
        .iter()
        .map(|m| (m.name.as_str(), m.kind, m.key_size, m.value_size))
        .collect();
    // BPF_MAP_TYPE_RINGBUF, HASH and PERCPU_ARRAY.
    assert_eq!(
        numbers,
        [
            ("events", 27, 0, 0),
            ("by_pid", 1, 4, 8),
            ("counts", 6, 4, 24)
        ]
    );
    assert_eq!(object.map("events").unwrap().max_entries, 256 * 1024);
    let by_pid = object.map("by_pid").unwrap();
    assert_eq!((by_pid.max_entries, by_pid.flags), (1024, 1)); // BPF_F_NO_PREALLOC
    let value = object.btf().get(by_pid.value_type.unwrap()).unwrap();
    assert_eq!((value.kind(), value.name()), (Kind::Struct, "creds"));
    assert!(object.maps().iter().all(|map| !map.has_values));
    assert_eq!(object.map("event"), None);
    let awkward = Object::parse(fixture::object("awkward")).unwrap();
    assert!(awkward.map("calls").unwrap().has_values);
}

#[test]
fn variables_and_what_they_hold() {
    let object = sample();
    let variable = |name| object.variable(name).unwrap();
    let uid = variable("target_uid");
    assert_eq!((uid.section.as_str(), uid.size), (".rodata", 4));
    assert!(uid.is_const_volatile);
    assert_eq!(uid.initial, 4_000_000_000_u32.to_le_bytes());
    let wanted = variable("wanted");
    assert!(wanted.is_const_volatile);
    assert_eq!(wanted.initial, b"bash\0\0\0\0\0\0\0\0\0\0\0\0");
    let tuned = variable("tuned");
    assert!(!tuned.is_const_volatile);
    assert_eq!(
        (tuned.section.as_str(), tuned.initial),
        (".data", &[5, 0, 0, 0][..])
    );
    let seen = variable("seen");
    assert!(!seen.is_const_volatile);
    assert_eq!(
        (seen.section.as_str(), seen.size, seen.initial),
        (".bss", 8, &[][..])
    );
}

#[test]
fn declarations_of_the_gadget() {
    let object = sample();
    let tracer = Tracer {
        name: "exec".to_owned(),
        map: "events".to_owned(),
        struct_name: "event".to_owned(),
    };
    assert_eq!(object.tracers(), [tracer]);
    assert_eq!(object.params(), ["target_uid"]);
}

#[test]
fn what_is_asked_of_the_kernel() {
    let object = sample();
    // How often each is asked is up to the compiler.
    let asked: std::collections::HashSet<_> = object
        .core_relocations()
        .iter()
        .map(|r| (r.section, r.access, r.kind))
        .collect();
    let enter = "tracepoint/syscalls/sys_enter_execve";
    let expected = [
        (enter, "0:0", RelocationKind::Field),
        (enter, "0:1", RelocationKind::Field),
        ("?tp_btf/sched_process_fork", "0:0", RelocationKind::Field),
    ];
    assert_eq!(asked, expected.into());
    let kinds = Object::parse(fixture::object("kernel")).unwrap();
    let has = |kind| kinds.core_relocations().iter().any(|r| r.kind == kind);
    assert!(has(RelocationKind::Type) && has(RelocationKind::EnumValue));
    assert!(has(RelocationKind::TypeIdTarget) && has(RelocationKind::TypeIdLocal));
}

#[test]
fn other_files_are_refused() {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let machine = if cfg!(target_arch = "x86_64") {
        62
    } else {
        183
    };
    assert_eq!(
        Object::parse(&own).unwrap_err(),
        ObjectError::NotBpf { machine }
    );
    assert!(matches!(Object::parse(b""), Err(ObjectError::Elf(_))));
    let mut bytes = fixture::object("sample").to_vec();
    let name = bytes.windows(5).position(|w| w == b".BTF\0").unwrap();
    bytes[name + 1] = b'X';
    assert_eq!(Object::parse(&bytes).unwrap_err(), ObjectError::NoBtf);
}
