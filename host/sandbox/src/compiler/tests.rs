//! What is left to the child.

use std::process::Command;

use super::*;

#[test]
fn limits_grow_with_the_component() {
    let limits = CompileLimits::default();
    let small = limits.of(26 << 10);
    assert_eq!(small.cpu, Duration::from_secs(20));
    assert_eq!(small.memory, 576 << 20);
    assert_eq!(small.code, (16 << 20) + 6 * (26 << 10));
    // Python
    let large = limits.of(18 << 20);
    assert_eq!(large.cpu, Duration::from_secs(190));
    assert_eq!(large.memory, (512 + 18 * 64) << 20);
    assert_eq!(large.code, 124 << 20);
}

/// Confines itself for good, so it is a process of its own: this test's program again, for the one test below.
#[test]
fn the_child_can_do_nothing_but_compile() {
    let name = "compiler::tests::inside";
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            name,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("inside: confined"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "confines the process for good; the test above starts it"]
fn inside() {
    use rustix::fs::{Mode, OFlags};
    let ours = std::process::Command::new("true");
    confine::limit(60, 1 << 30, 1 << 20).unwrap();
    confine::close().unwrap();

    let refused = |what: &str, result: std::io::Result<()>| {
        let error = result.expect_err(what);
        // no system call, or no descriptor
        let code = error.raw_os_error();
        assert!(
            matches!(code, Some(libc::ENOSYS | libc::EMFILE)),
            "{what}: {error}"
        );
    };
    let open = |path: &str| {
        rustix::fs::open(path, OFlags::RDONLY, Mode::empty())
            .map(drop)
            .map_err(Into::into)
    };
    refused("a file", open("/etc/passwd"));
    refused("itself", open("/proc/self/mem"));
    refused("a folder", open("/"));
    let mut ours = ours;
    refused("a program", ours.status().map(drop));
    refused(
        "a socket",
        std::net::UdpSocket::bind("127.0.0.1:0").map(drop),
    );
    refused("a name", std::fs::remove_file("/tmp/none").map(drop));
    refused("a listing", std::fs::metadata("/etc/passwd").map(drop));
    let none = rustix::process::Pid::INIT;
    let signal = rustix::process::kill_process(none, rustix::process::Signal::CONT);
    refused("a signal", signal.map_err(Into::into));
    // SAFETY: memory of the kernel's own choice that nothing else refers to; it is not used.
    let code = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_eq!(code, libc::MAP_FAILED, "memory that becomes code");
    // SAFETY: no pointers; these calls change nothing.
    let (user, tracing) = unsafe {
        let user = libc::syscall(libc::SYS_geteuid);
        (user, libc::syscall(libc::SYS_ptrace, 16, 1, 0, 0))
    };
    assert_eq!((user, tracing), (-1, -1));

    // What it needs is there: memory, a thread, an answer.
    let sum = std::thread::spawn(|| {
        vec![1_u8; 8 << 20]
            .iter()
            .map(|n| u32::from(*n))
            .sum::<u32>()
    });
    assert_eq!(sum.join().unwrap(), 8 << 20);
    println!("inside: confined");
}
