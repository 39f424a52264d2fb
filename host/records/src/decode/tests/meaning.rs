//! Names of enumerations, byte orders, addresses, members of unions.

use super::*;
use ig_object::btf::Variant;

fn typed(typedef: &str, field: Field) -> Field {
    Field {
        typedefs: vec![typedef.to_owned()],
        ..field
    }
}

fn variants(of: &[(&str, i64)]) -> Vec<Variant> {
    let variant = |(name, value): &(&str, i64)| Variant {
        name: (*name).to_owned(),
        value: *value,
    };
    of.iter().map(variant).collect()
}

/// `union gadget_ip_addr_t`
fn ip() -> Layout {
    let bytes = array("v6", 0, 1, FieldType::Int { signed: false }, 16);
    layout("gadget_ip_addr_t", 16, vec![bytes, int("v4", 0, 4, false)])
}

/// `struct gadget_l4endpoint_t`
fn endpoint() -> Layout {
    layout(
        "gadget_l4endpoint_t",
        24,
        vec![
            field("addr_raw", 0, 16, FieldType::Union(ip())),
            int("port", 16, 2, false),
            int("proto_raw", 18, 2, false),
            int("version", 20, 1, false),
        ],
    )
}

fn packet() -> Layout {
    let negative = variants(&[("NONE", 0), ("LOW", -1), ("ALIAS", 0), ("HIGH", 70_000)]);
    let wide = variants(&[("SMALL", 1), ("LARGE", i64::MIN), ("ALL", -1)]);
    layout(
        "packet",
        96,
        vec![
            field("dst", 0, 24, FieldType::Struct(endpoint())),
            typed("__be16", int("sport", 24, 2, false)),
            int("port_be", 26, 2, false),
            typed("__be32", int("saddr", 28, 4, false)),
            int("addr_le", 32, 4, false),
            field(
                "state",
                36,
                4,
                FieldType::Enum {
                    signed: true,
                    variants: negative,
                },
            ),
            field(
                "wide",
                40,
                8,
                FieldType::Enum {
                    signed: false,
                    variants: wide,
                },
            ),
            bits(
                "short",
                48 * 8 + 3,
                4,
                FieldType::Enum {
                    signed: true,
                    variants: variants(&[("A", 1), ("B", -2)]),
                },
            ),
            array("words", 52, 4, FieldType::Int { signed: false }, 4),
            array("mac", 68, 1, FieldType::Int { signed: false }, 6),
            typed("__be64", int("cookie", 76, 8, false)),
            array(
                "states",
                84,
                1,
                FieldType::Enum {
                    signed: false,
                    variants: variants(&[("ON", 1)]),
                },
                2,
            ),
        ],
    )
}

fn bytes() -> Vec<u8> {
    let mut bytes = vec![0; 96];
    bytes[..4].copy_from_slice(&[10, 0, 0, 1]);
    bytes[16..18].copy_from_slice(&443_u16.to_le_bytes());
    bytes[18] = 6;
    bytes[20] = 4;
    bytes[24..28].copy_from_slice(&[0, 80, 1, 187]);
    bytes[28..32].copy_from_slice(&[192, 168, 0, 1]);
    bytes[32..36].copy_from_slice(&u32::from_be_bytes([192, 168, 0, 2]).to_le_bytes());
    bytes[36..40].copy_from_slice(&(-1_i32).to_le_bytes());
    bytes[40..48].copy_from_slice(&u64::MAX.to_le_bytes());
    bytes[48] = 0b1110 << 3;
    bytes[52] = 0x20;
    bytes[67] = 1;
    bytes[68..74].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    bytes[83] = 7;
    bytes[84..86].copy_from_slice(&[1, 200]);
    bytes
}

fn column(path: &str, data_type: Option<&str>, kind: Kind, records: &[Vec<u8>]) -> ArrayRef {
    let field = FieldSpec {
        path: path.to_owned(),
        data_type: data_type.map(|text| text.parse().unwrap()),
        kind,
    };
    let decoder = Decoder::new(&packet(), &[field]).unwrap();
    let mut span = Vec::new();
    for record in records {
        span::push(&mut span, &[record]).unwrap();
    }
    let picked = Picked::all(&span).unwrap();
    let column = decoder.decode(0, &picked).unwrap();
    assert_eq!(column.data_type(), &decoder.data_type(0).unwrap().arrow());
    column
}

#[test]
fn enumerations_have_names() {
    let mut zero = bytes();
    zero[36..40].fill(0);
    zero[40..48].copy_from_slice(&i64::MIN.to_le_bytes());
    zero[48] = 1 << 3;
    let mut unknown = bytes();
    unknown[36..40].copy_from_slice(&(-7_i32).to_le_bytes());
    unknown[40..48].copy_from_slice(&(u64::MAX - 1).to_le_bytes());
    unknown[48] = 0b1000 << 3;
    let records = [bytes(), zero, unknown, bytes()[..37].to_vec()];
    let of = |path| {
        let column = column(path, Some("text"), Kind::None, &records);
        let texts = texts(&column).into_iter();
        texts
            .map(|text| text.map(|text| String::from_utf8(text.to_vec()).unwrap()))
            .collect::<Vec<_>>()
    };
    let want = |of: [&str; 3]| {
        of.map(|text| Some(text.to_owned()))
            .into_iter()
            .chain([None])
            .collect::<Vec<_>>()
    };
    assert_eq!(of("state"), want(["LOW", "NONE", "-7"]));
    assert_eq!(of("wide"), want(["ALL", "LARGE", "18446744073709551614"]));
    assert_eq!(of("short"), want(["B", "A", "-8"]));
    // Without a type they are numbers.
    let numbers = column("state", None, Kind::None, &records[..1]);
    assert_eq!(numbers.as_primitive::<Int32Type>().values(), &[-1]);
    let lists = column("states", Some("list<text>"), Kind::None, &records[..1]);
    let list = lists.as_list::<i32>().value(0);
    assert_eq!(texts(&list), [Some(b"ON".as_slice()), Some(b"200")]);
}

#[test]
fn both_byte_orders() {
    let number = |path, kind| {
        let column = column(path, Some("u64"), kind, &[bytes()]);
        column.as_primitive::<UInt64Type>().value(0)
    };
    assert_eq!(number("sport", Kind::None), 80, "by its type");
    assert_eq!(number("sport", Kind::Port), 80);
    assert_eq!(number("sport", Kind::PortBe), 80, "turned once");
    assert_eq!(number("port_be", Kind::PortBe), 443, "by its kind");
    assert_eq!(number("port_be", Kind::None), 0xbb01);
    assert_eq!(number("dst.port", Kind::Port), 443, "in the host's order");
    assert_eq!(number("cookie", Kind::None), 7);
    assert_eq!(
        number("saddr", Kind::None),
        0xc0a8_0001,
        "a number, not an address"
    );
    let address = |path, kind| {
        let column = column(path, None, kind, &[bytes()]);
        column.as_primitive::<UInt32Type>().value(0).to_le_bytes()
    };
    assert_eq!(address("saddr", Kind::Address), [192, 168, 0, 1]);
    assert_eq!(address("addr_le", Kind::AddressLe), [192, 168, 0, 2]);
    let swapped = column("port_be", None, Kind::PortBe, &[bytes()]);
    assert_eq!(swapped.as_primitive::<UInt16Type>().values(), &[443]);
}

#[test]
fn addresses_and_endpoints() {
    let mut six = bytes();
    six[..16].copy_from_slice(&[0xfd; 16]);
    six[20] = 6;
    let mut unknown = bytes();
    unknown[20] = 5;
    let records = [
        bytes(),
        six,
        unknown,
        bytes()[..20].to_vec(),
        bytes()[..8].to_vec(),
    ];
    let addresses = |column: &ArrayRef| {
        let found = texts(column).into_iter();
        found.map(|a| a.map(<[u8]>::to_vec)).collect::<Vec<_>>()
    };
    let want = vec![
        Some(vec![10, 0, 0, 1]),
        Some(vec![0xfd; 16]),
        None,
        None,
        None,
    ];
    assert_eq!(
        addresses(&column("dst", None, Kind::Address, &records)),
        want
    );
    let endpoints = column("dst", None, Kind::Endpoint, &records);
    let endpoints = endpoints.as_struct();
    assert_eq!(addresses(endpoints.column(0)), want);
    let ports = endpoints.column(1).as_primitive::<UInt16Type>();
    assert_eq!(ports.value(1), 443);
    // Of a version that is none there is no endpoint.
    assert!(endpoints.is_valid(1) && endpoints.is_null(2) && endpoints.is_null(3));
    // Without a version all 16 bytes are the address, in words or in bytes.
    let mut v6 = vec![0; 16];
    v6[..4].copy_from_slice(&[10, 0, 0, 1]);
    let union = column("dst.addr_raw", None, Kind::Address, &records[..1]);
    assert_eq!(addresses(&union), [Some(v6)]);
    let mut words = vec![0; 16];
    (words[0], words[15]) = (0x20, 1);
    let found = column("words", None, Kind::Address, &records[..1]);
    assert_eq!(addresses(&found), [Some(words)]);
    let list = column("words", Some("list<u32>"), Kind::Address, &records[..1]);
    assert_eq!(list.as_list::<i32>().value_length(0), 4);
    let mac = column("mac", None, Kind::Mac, &records[..1]);
    assert_eq!(addresses(&mac), [Some(vec![2, 0, 0, 0, 0, 9])]);
}

#[test]
fn a_union_is_read_by_its_members() {
    let v4 = column("dst.addr_raw.v4", None, Kind::Address, &[bytes()]);
    assert_eq!(v4.as_primitive::<UInt32Type>().values(), &[0x0100_000a]);
    let v6 = column("dst.addr_raw.v6", None, Kind::None, &[bytes()]);
    assert_eq!(texts(&v6)[0].unwrap().len(), 16);
}

#[test]
fn a_kind_of_numbers_makes_a_list_of_bytes() {
    let hex = column("mac", None, Kind::Hex, &[bytes()]);
    let hex = hex.as_list::<i32>().value(0);
    assert_eq!(
        hex.as_primitive::<UInt8Type>().values(),
        &[2, 0, 0, 0, 0, 9]
    );
    let inferred = |path, kind| inferred_as(&packet(), path, kind).map(|ty| ty.to_string());
    assert_eq!(inferred("mac", Kind::Hex).as_deref(), Ok("list<u8>"));
    assert_eq!(inferred("mac", Kind::Mac).as_deref(), Ok("bytes"));
    assert_eq!(inferred("dst", Kind::Address).as_deref(), Ok("bytes"));
    assert_eq!(
        inferred("dst", Kind::Endpoint).as_deref(),
        Ok("struct<address: bytes, port: u16>")
    );
    assert_eq!(
        inferred("state", Kind::Endpoint).unwrap_err().to_string(),
        "field `state` of struct `packet` is of type i32, which cannot be of kind endpoint"
    );
}

#[test]
fn defaults_know_addresses() {
    let columns = default_columns(&packet());
    let found: Vec<_> = columns
        .iter()
        .map(|c| format!("{} {} {}", c.name, c.data_type, c.kind))
        .collect();
    assert_eq!(
        found,
        [
            "dst struct<address: bytes, port: u16> endpoint",
            "proto_raw u16 none",
            "sport u16 port",
            "port_be u16 none",
            "saddr u32 address",
            "addr_le u32 none",
            "state text none",
            "wide text none",
            "short text none",
            "words list<u32> none",
            "mac bytes mac",
            "cookie u64 none",
            "states list<u8> none",
        ]
    );
}

/// A record of what the kernel's socket addresses look like, in the room of the largest.
fn socket(family: u16, port: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes[..2].copy_from_slice(&family.to_le_bytes());
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    bytes[4..4 + rest.len()].copy_from_slice(rest);
    bytes
}

#[test]
fn socket_addresses_are_what_their_family_says() {
    let mut six = [0; 24];
    six[19] = 1;
    let records = [
        socket(2, 80, &[1, 2, 3, 4]),
        socket(10, 443, &six),
        socket(1, 0x2f74, b"mp/socket"),
        socket(2, 22, &[5, 6, 7, 8])[..7].to_vec(),
    ];
    let decoded = |name: &str, size: u32, kind: Kind| {
        let inner = Layout {
            name: name.to_owned(),
            size,
            fields: vec![int("family", 0, 2, false)],
        };
        let outer = layout(
            "event",
            size,
            vec![field("peer", 0, size, FieldType::Struct(inner))],
        );
        let spec = FieldSpec {
            path: "peer".to_owned(),
            data_type: None,
            kind,
        };
        let decoder = Decoder::new(&outer, &[spec]).unwrap();
        let mut span = Vec::new();
        for record in &records {
            span::push(&mut span, &[record]).unwrap();
        }
        (
            decoder.decode(0, &Picked::all(&span).unwrap()).unwrap(),
            outer,
        )
    };
    let endpoints = |name, size| {
        let (column, _) = decoded(name, size, Kind::Endpoint);
        let sides = column.as_struct();
        let ports = sides.column(1).as_primitive::<UInt16Type>();
        let addresses = texts(sides.column(0))
            .into_iter()
            .map(|a| a.map(<[u8]>::to_vec));
        let rows = addresses.enumerate().map(|(row, address)| {
            sides
                .is_valid(row)
                .then(|| (address.unwrap(), ports.value(row)))
        });
        rows.collect::<Vec<_>>()
    };
    let mut loopback = vec![0; 16];
    loopback[15] = 1;
    let four = Some((vec![1, 2, 3, 4], 80));
    let long = Some((loopback.clone(), 443));
    assert_eq!(
        endpoints("sockaddr_storage", 128),
        [four.clone(), long.clone(), None, None]
    );
    assert_eq!(
        endpoints("sockaddr_in", 16),
        [four.clone(), None, None, None]
    );
    assert_eq!(endpoints("sockaddr", 16), [four, None, None, None]);
    assert_eq!(endpoints("sockaddr_in6", 28), [None, long, None, None]);
    let (addresses, outer) = decoded("sockaddr_in6", 28, Kind::Address);
    assert_eq!(
        texts(&addresses),
        [None, Some(loopback.as_slice()), None, None]
    );
    // Without a declaration it is one column.
    let columns = default_columns(&outer);
    let found: Vec<_> = columns.iter().map(|c| (c.name.as_str(), c.kind)).collect();
    assert_eq!(found, [("peer", Kind::Endpoint)]);
}

#[test]
fn a_stack_ends_at_its_zeros_or_at_the_end_of_the_record() {
    let word = |ty, len| {
        let mut field = array("kstack", 8, 8, ty, len);
        field.typedefs.clear();
        layout("event", 8 + 8 * len, vec![int("pid", 0, 4, false), field])
    };
    let record = |addresses: &[u64]| {
        let words = addresses.iter().flat_map(|address| address.to_le_bytes());
        [7; 8].into_iter().chain(words).collect::<Vec<u8>>()
    };
    let records = [
        record(&[3, 2, 1, 0]),
        record(&[3, 0, 1, 4]),
        record(&[0; 4]),
        // The program kept what it did not need, and that in the midst of an address.
        record(&[3, 2])[..21].to_vec(),
        record(&[])[..8].to_vec(),
        record(&[])[..4].to_vec(),
    ];
    let mut span = Vec::new();
    for record in &records {
        span::push(&mut span, &[record]).unwrap();
    }
    let want = [
        Some(vec![3, 2, 1]),
        Some(vec![3, 0, 1, 4]),
        Some(vec![]),
        Some(vec![3]),
        Some(vec![]),
        None,
    ];
    for layout in [
        word(FieldType::Int { signed: false }, 4),
        word(FieldType::Pointer, 4),
        word(FieldType::Int { signed: false }, 0),
    ] {
        for kind in [Kind::KernelStack, Kind::UserStack] {
            let spec = FieldSpec {
                path: "kstack".to_owned(),
                data_type: None,
                kind,
            };
            let decoder = Decoder::new(&layout, &[spec]).unwrap();
            let column = decoder.decode(0, &Picked::all(&span).unwrap()).unwrap();
            let lists = column.as_list::<i32>().iter();
            let lists =
                lists.map(|list| Some(list?.as_primitive::<UInt64Type>().values().to_vec()));
            assert_eq!(lists.collect::<Vec<_>>(), want);
        }
        let [_, stack] = default_columns(&layout).try_into().unwrap();
        assert_eq!(
            (stack.name.as_str(), stack.kind),
            ("kstack", Kind::KernelStack)
        );
    }
}
