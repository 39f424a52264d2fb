//! Guests and components that try to hurt, one after the other, each beside a guest that does its work.
//!
//! docs/THREAT_MODEL.md has the table; each case is here by the same name. The test has a main of its own because it is
//! also the child that compiles, as the program is.

#![allow(
    clippy::unwrap_used,
    reason = "a test of its own main: a panic is how it fails"
)]

mod beside;
mod bombs;
mod cases;
#[path = "../../src/tests/guests.rs"]
mod guests;

use std::process::ExitCode;

use beside::{Bystander, Footprint, Taker};
use ig_sandbox::{
    CacheUse, CompileLimits, Compiler, Grants, LoadError, Sandbox, SandboxOptions, StartError, Trap,
};

use crate::bombs::Bomb;
use crate::cases::{Case, During, limits};

/// What may stay behind: an allocator keeps some of what it got.
const KEPT: u64 = 24 << 20;
/// Address space that may stay behind: less than the smallest linear memory takes.
const KEPT_ADDRESSES: u64 = 512 << 20;

fn main() -> ExitCode {
    if let Some(code) = ig_sandbox::compile_child() {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        let guests = cases::all().into_iter().map(|case| case.name);
        for name in guests.chain(bombs::all().into_iter().map(|bomb| bomb.name)) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let wanted = |name: &str| {
        let mut words = args.iter().filter(|arg| !arg.starts_with('-')).peekable();
        words.peek().is_none() || words.any(|word| name.contains(word.as_str()))
    };
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(SandboxOptions {
        cache: Some(folder.path().join("cache")),
        compiler: Compiler::Child(CompileLimits::default()),
        ..SandboxOptions::default()
    })
    .unwrap();
    let bystander = Bystander::start(&sandbox);
    let mut count = 0;
    // Twice: what is kept once and for all is there when the second begins.
    for round in ["warm-up", "hostile"] {
        for case in cases::all() {
            if wanted(case.name) && (round == "hostile" || case.during == During::Process) {
                let before = Footprint::now();
                every_hostile_guest_is_cut_off(&sandbox, &case, &bystander);
                if round == "hostile" {
                    println!("test guest {} ... ok", case.name);
                    memory_comes_back(case.name, &before);
                    count += 1;
                }
            }
        }
    }
    for bomb in bombs::all() {
        if wanted(bomb.name) {
            let before = Footprint::now();
            every_component_bomb_is_bounded(&bomb, &bystander);
            memory_comes_back(bomb.name, &before);
            println!("test component {} ... ok", bomb.name);
            count += 1;
        }
    }
    if wanted("page") {
        every_case_is_on_the_page();
        println!("test page ... ok");
        count += 1;
    }
    if wanted("compiling") {
        a_component_is_compiled_in_a_child_once(&bystander);
        println!("test compiling ... ok");
        count += 1;
    }
    bystander.finish();
    println!("\ntest result: ok. {count} passed");
    ExitCode::SUCCESS
}

fn every_case_is_on_the_page() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/THREAT_MODEL.md");
    let page = std::fs::read_to_string(page).unwrap();
    let cases = cases::all().into_iter().map(|case| case.name);
    for name in cases.chain(bombs::all().into_iter().map(|bomb| bomb.name)) {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

/// The trap that ends the case's guest.
fn attack(sandbox: &Sandbox, case: &Case) -> Vec<Trap> {
    let program = sandbox.load(&case.component).unwrap();
    let host = Taker {
        param: "p".repeat(100),
        ..Taker::default()
    };
    let mut guest = match program.instantiate(host, limits(), Grants::ALL) {
        Ok(guest) => guest,
        Err(StartError::Trap(trap)) if case.during == During::Instantiate => return vec![trap],
        Err(e) => panic!("{}: {e}", case.name),
    };
    let mut traps = Vec::new();
    // A new instance of a guest that trapped traps again.
    for _ in 0..2 {
        guest.host_mut().records = u32::from(case.during == During::Process);
        let trap = match case.during {
            During::Instantiate => panic!("{}: it was made", case.name),
            During::Init => guest.init().unwrap_err(),
            During::Process => guest.process(0, b"12345678").unwrap_err(),
            During::Tick => guest.tick(1, 1).unwrap_err(),
            During::Added => guest.added(&[1, u32::MAX]).unwrap_err(),
            During::Removed => guest.removed(&[1, 0]).unwrap_err(),
            During::Stop => guest.stop().unwrap_err(),
        };
        traps.push(trap);
        guest.restart().unwrap();
    }
    traps
}

fn every_hostile_guest_is_cut_off(sandbox: &Sandbox, case: &Case, bystander: &Bystander) {
    let traps = attack(sandbox, case);
    for trap in &traps {
        assert_eq!(trap.kind, case.kind, "{}: {trap}", case.name);
        one_clear_line(case.name, &trap.to_string(), case.says);
    }
    bystander.goes_on(case.name);
}

fn one_clear_line(name: &str, line: &str, says: &str) {
    assert!(line.contains(says), "{name}: no `{says}` in: {line}");
    assert!(!line.contains(char::is_control), "{name}: {line:?}");
    assert!(line.chars().count() < 500, "{name}: {line}");
}

fn memory_comes_back(name: &str, before: &Footprint) {
    let after = Footprint::now();
    assert!(
        after.resident < before.resident + KEPT,
        "{name}: {before:?}, then {after:?}"
    );
    assert!(
        after.addresses < before.addresses + KEPT_ADDRESSES,
        "{name}: {before:?}, then {after:?}"
    );
    assert_eq!(
        (after.files, after.threads, after.children),
        (before.files, before.threads, 0),
        "{name}"
    );
}

/// A tenth of what the program allows, so that the suite takes seconds.
const SHORT: CompileLimits = CompileLimits {
    cpu: std::time::Duration::from_secs(1),
    memory: 128 << 20,
    code: 8 << 20,
};

fn every_component_bomb_is_bounded(bomb: &Bomb, bystander: &Bystander) {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let sandbox = Sandbox::new(SandboxOptions {
        cache: Some(cache.clone()),
        compiler: Compiler::Child(SHORT),
        ..SandboxOptions::default()
    })
    .unwrap();
    let error = match sandbox.load(&(bomb.component)()) {
        Ok(_) => panic!("{}: it is a guest", bomb.name),
        Err(error) => error,
    };
    let line = error.to_string();
    let says = bomb.says.iter().find(|says| line.contains(*says));
    one_clear_line(bomb.name, &line, says.unwrap_or(&bomb.says[0]));
    // What was compiled is no guest, but whole; what was not leaves nothing.
    let kept = std::fs::read_dir(&cache).map_or(0, Iterator::count);
    let compiled = matches!(error, LoadError::MissingExport { .. });
    assert!(
        kept == usize::from(compiled) || !cache.exists(),
        "{}: {error}",
        bomb.name
    );
    // The cache serves the next.
    let good = beside::component();
    for hit in [false, true] {
        let program = sandbox.load(&good).unwrap();
        assert_eq!(
            matches!(program.cache(), CacheUse::Hit),
            hit,
            "{}",
            bomb.name
        );
    }
    bystander.goes_on(bomb.name);
}

/// The same code as this process would make, and only when there is none yet.
fn a_component_is_compiled_in_a_child_once(bystander: &Bystander) {
    let folder = tempfile::tempdir().unwrap();
    let with = |compiler, name: &str| {
        let sandbox = Sandbox::new(SandboxOptions {
            cache: Some(folder.path().join(name)),
            compiler,
            ..SandboxOptions::default()
        })
        .unwrap();
        sandbox.load(&beside::component())
    };
    let code = |name: &str| {
        let mut files = std::fs::read_dir(folder.path().join(name)).unwrap();
        std::fs::read(files.next().unwrap().unwrap().path()).unwrap()
    };
    let child = Compiler::Child(CompileLimits::default());
    assert!(matches!(
        with(child, "child").unwrap().cache(),
        CacheUse::Stored { .. }
    ));
    with(Compiler::InProcess, "here").unwrap();
    assert_eq!(code("child"), code("here"));
    // A hit starts no child: none could do anything with these limits.
    let none = Compiler::Child(CompileLimits {
        memory: 0,
        ..CompileLimits::default()
    });
    assert!(matches!(
        with(none, "child").unwrap().cache(),
        CacheUse::Hit
    ));
    let Err(error) = with(none, "none") else {
        panic!("compiled without memory");
    };
    one_clear_line("compiling", &error.to_string(), "compile");
    bystander.goes_on("compiling");
}
