//! Socket filters in network namespaces.

use std::net::UdpSocket;

use ig_kernel::network::{NetworkNamespaces, OpenNamespace, Visitor};
use ig_kernel::{LoadOptions, Loaded, OpenFilter};

use crate::iterators::{Apart, find, machine};
use crate::objects::{load, long, object};

const PORT: u16 = 9099;

fn filters() -> Loaded {
    let mut options = LoadOptions::default();
    let port = u32::from(PORT).to_ne_bytes().to_vec();
    options.variables.insert("port".into(), port);
    load(&object("filters", &[]), options).unwrap()
}

fn enter(machine: &NetworkNamespaces, apart: &Apart) -> OpenNamespace {
    let all = machine.list(None).unwrap();
    machine
        .open(find(&all, apart.inode()).unwrap())
        .unwrap()
        .unwrap()
}

/// Sends so many packets over the loopback of a namespace, each of which is seen twice: there and back again.
fn send(visitor: &Visitor, namespace: &OpenNamespace, packets: u32) {
    let sent = visitor.inside(namespace, move || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        (0..packets).try_for_each(|_| socket.send_to(b"test", ("127.0.0.1", PORT)).map(|_| ()))
    });
    sent.unwrap();
}

/// By namespace: how many packets were seen.
fn counts(loaded: &Loaded, aparts: &[Apart; 3]) -> [u64; 3] {
    let map = loaded.map("counts").unwrap();
    aparts.each_ref().map(|apart| {
        let number = u32::try_from(apart.inode()).unwrap().to_ne_bytes();
        map.lookup(&number)
            .unwrap()
            .map_or(0, |value| long(&value, 0))
    })
}

#[test]
fn a_filter_sees_each_packet_of_the_namespaces_in_which_it_is_open_and_knows_which() {
    let mut loaded = filters();
    assert_eq!(loaded.socket_filters().unwrap().len(), 0, "not attached");
    loaded.attach().unwrap();
    let [filter] = &loaded.socket_filters().unwrap()[..] else {
        panic!("one filter");
    };
    let (machine, visitor) = (machine(), Visitor::start().unwrap());
    let aparts = [
        Apart::with_loopback(),
        Apart::with_loopback(),
        Apart::with_loopback(),
    ];
    let open = aparts.each_ref().map(|apart| enter(&machine, apart));
    let mut sockets: Vec<OpenFilter> = open[..2]
        .iter()
        .map(|namespace| filter.open_in(namespace, &visitor).unwrap())
        .collect();
    for (namespace, packets) in open.iter().zip([3, 5, 7]) {
        send(&visitor, namespace, packets);
    }
    assert_eq!(counts(&loaded, &aparts), [6, 10, 0]);

    // One is closed, and the other one goes on.
    drop(sockets.remove(0));
    send(&visitor, &open[0], 1);
    send(&visitor, &open[1], 1);
    assert_eq!(counts(&loaded, &aparts), [6, 12, 0]);

    // Off its hook it sees nothing, although the socket is still there.
    loaded.detach();
    assert_eq!(loaded.socket_filters().unwrap().len(), 0);
    send(&visitor, &open[1], 1);
    assert_eq!(counts(&loaded, &aparts), [6, 12, 0]);
    drop(sockets);
}
