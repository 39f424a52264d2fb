//! The cache: used when it is ours and whole, and never otherwise.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::{CacheProblem, CacheUse};

struct Folder {
    _parent: tempfile::TempDir,
    path: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b/cache");
        Self {
            _parent: parent,
            path,
        }
    }

    fn load(&self, component: &[u8]) -> Program {
        self.load_within(component, 0)
    }

    fn load_within(&self, component: &[u8], cache_limit: u64) -> Program {
        let options = SandboxOptions {
            cache: Some(self.path.clone()),
            cache_limit,
            compiler: Compiler::InProcess,
        };
        Sandbox::new(options).unwrap().load(component).unwrap()
    }

    /// Names and sizes, sorted.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut files: Vec<_> = std::fs::read_dir(&self.path)
            .unwrap()
            .map(|e| e.unwrap())
            .map(|e| (e.path(), e.metadata().unwrap().len()))
            .collect();
        files.sort();
        files
    }

    fn mode(&self, mode: u32) {
        std::fs::set_permissions(&self.path, PermissionsExt::from_mode(mode)).unwrap();
    }
}

fn works(program: &Program) {
    let mut guest = program
        .instantiate(Recorder::default(), Limits::default(), Grants::ALL)
        .unwrap();
    guest.process(0, b"span").unwrap();
}

/// Guests that differ, so that their files do.
fn component(number: u32) -> Vec<u8> {
    let process = format!("(i32.store (i32.const 36) (i32.const {number})) (i32.const 32)");
    Wat {
        process: &process,
        ..Wat::default()
    }
    .component()
}

#[test]
fn the_second_load_is_a_hit_in_a_private_folder() {
    let folder = Folder::new();
    let one = component(1);
    let program = folder.load(&one);
    assert!(matches!(
        program.cache(),
        CacheUse::Stored { repaired: false }
    ));
    works(&program);
    let program = folder.load(&one);
    assert!(matches!(program.cache(), CacheUse::Hit));
    works(&program);
    assert!(matches!(
        folder.load(&component(2)).cache(),
        CacheUse::Stored { repaired: false }
    ));

    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path), 0o700);
    // two of code, no lock, nothing half written
    let files = folder.files();
    assert_eq!(files.len(), 2);
    for (file, _) in files {
        assert_eq!(file.extension().unwrap(), "code");
        assert_eq!(mode(&file), 0o600);
    }
}

#[test]
fn without_a_cache_nothing_is_written() {
    assert!(matches!(
        sandbox().load(&component(1)).unwrap().cache(),
        CacheUse::Off
    ));
}

#[test]
fn a_file_that_was_changed_anywhere_is_compiled_anew() {
    let folder = Folder::new();
    let one = component(1);
    folder.load(&one);
    let (file, size) = folder.files().remove(0);
    let whole = std::fs::read(&file).unwrap();
    assert_eq!(whole.len() as u64, size);
    let cuts = [0, 5, 39, 40, 41, whole.len() / 2, whole.len() - 1].map(|at| whole[..at].to_vec());
    let changes = [0, 8, 39, 40, whole.len() / 2, whole.len() - 1].map(|at| {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        changed
    });
    for bad in cuts.iter().chain(&changes) {
        std::fs::write(&file, bad).unwrap();
        let program = folder.load(&one);
        assert!(matches!(
            program.cache(),
            CacheUse::Stored { repaired: true }
        ));
        works(&program);
        assert_eq!(std::fs::read(&file).unwrap().len(), whole.len());
    }
    assert!(matches!(folder.load(&one).cache(), CacheUse::Hit));
}

#[test]
fn code_of_another_engine_is_not_taken() {
    // whole and with the right digest, but no machine code of this runtime
    let folder = Folder::new();
    let one = component(1);
    folder.load(&one);
    let (file, _) = folder.files().remove(0);
    let mut forged = b"igcode1\n".to_vec();
    let code = vec![0x7f; 100];
    forged.extend(<sha2::Sha256 as sha2::Digest>::digest(&code));
    forged.extend(code);
    std::fs::write(&file, forged).unwrap();
    assert!(matches!(
        folder.load(&one).cache(),
        CacheUse::Stored { repaired: true }
    ));
}

#[test]
fn a_folder_that_others_can_write_is_not_used() {
    let folder = Folder::new();
    let one = component(1);
    folder.load(&one);
    for (mode, trusted) in [
        (0o770, false),
        (0o707, false),
        (0o1777, false),
        (0o755, true),
    ] {
        folder.mode(mode);
        let program = folder.load(&one);
        works(&program);
        match program.cache() {
            CacheUse::Hit => assert!(trusted, "{mode:o}"),
            CacheUse::Unusable(CacheProblem::Writable { path, mode: seen }) => {
                assert_eq!((path, *seen, trusted), (&folder.path, mode, false));
            }
            other => panic!("{mode:o}: {other:?}"),
        }
    }
    folder.mode(0o700);
    let (file, _) = folder.files().remove(0);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o660)).unwrap();
    assert!(matches!(
        folder.load(&one).cache(),
        CacheUse::Unusable(CacheProblem::Writable { path, .. }) if *path == file
    ));
}

#[test]
fn a_folder_or_file_of_somebody_else_is_not_used() {
    assert!(
        rustix::process::geteuid().is_root(),
        "only root can give files away: run this test by `cargo xtask test`"
    );
    let folder = Folder::new();
    let one = component(1);
    folder.load(&one);
    let (file, _) = folder.files().remove(0);
    std::os::unix::fs::chown(&file, Some(4242), None).unwrap();
    assert!(matches!(
        folder.load(&one).cache(),
        CacheUse::Unusable(CacheProblem::NotOurs { path, owner: 4242 }) if *path == file
    ));
    std::os::unix::fs::chown(&file, Some(0), None).unwrap();
    std::os::unix::fs::chown(&folder.path, Some(4242), None).unwrap();
    assert!(matches!(
        folder.load(&one).cache(),
        CacheUse::Unusable(CacheProblem::NotOurs { path, owner: 4242 }) if *path == folder.path
    ));
    std::os::unix::fs::chown(&folder.path, Some(0), None).unwrap();
    assert!(matches!(folder.load(&one).cache(), CacheUse::Hit));
}

#[test]
fn links_are_not_followed() {
    let folder = Folder::new();
    let one = component(1);
    folder.load(&one);
    let (file, _) = folder.files().remove(0);
    let aside = folder.path.with_file_name("aside");
    std::fs::rename(&file, &aside).unwrap();
    symlink(&aside, &file).unwrap();
    assert!(matches!(
        folder.load(&one).cache(),
        CacheUse::Unusable(CacheProblem::Io { .. })
    ));

    let other = Folder::new();
    std::fs::create_dir_all(other.path.parent().unwrap()).unwrap();
    symlink(&folder.path, &other.path).unwrap();
    assert!(matches!(
        other.load(&one).cache(),
        CacheUse::Unusable(CacheProblem::Io { .. })
    ));
}

#[test]
fn a_place_where_nothing_can_be_made_only_costs_the_cache() {
    let options = SandboxOptions {
        cache: Some("/proc/self/no/such".into()),
        compiler: Compiler::InProcess,
        ..SandboxOptions::default()
    };
    let program = Sandbox::new(options).unwrap().load(&component(1)).unwrap();
    assert!(matches!(
        program.cache(),
        CacheUse::Unusable(CacheProblem::Io { what: "make", .. })
    ));
    works(&program);
}

#[test]
fn the_least_recently_used_go_first() {
    let folder = Folder::new();
    let components: Vec<Vec<u8>> = (0..4).map(component).collect();
    folder.load(&components[0]);
    let size = folder.files()[0].1;
    for component in &components[1..3] {
        folder.load(component);
    }
    // 0 and 1 have not been used for long; a hit makes 0 the newest
    let old = std::time::SystemTime::UNIX_EPOCH;
    for (file, _) in folder.files() {
        std::fs::File::open(file)
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
    for n in [2, 0] {
        assert!(matches!(folder.load(&components[n]).cache(), CacheUse::Hit));
    }
    // room for three, a fourth comes
    let limit = 3 * size + size / 2;
    assert!(matches!(
        folder.load_within(&components[3], limit).cache(),
        CacheUse::Stored { .. }
    ));
    let files = folder.files();
    assert_eq!(files.len(), 3);
    assert!(files.iter().map(|(_, size)| size).sum::<u64>() <= limit);
    for n in [0, 2, 3] {
        assert!(
            matches!(folder.load(&components[n]).cache(), CacheUse::Hit),
            "{n}"
        );
    }
    assert!(matches!(
        folder.load(&components[1]).cache(),
        CacheUse::Stored { .. }
    ));
}

#[test]
fn code_larger_than_the_cache_is_not_stored() {
    let folder = Folder::new();
    let program = folder.load_within(&component(1), 100);
    assert!(matches!(
        program.cache(),
        CacheUse::Unusable(CacheProblem::TooLarge { limit: 100, .. })
    ));
    works(&program);
    assert!(folder.files().is_empty());
}

#[test]
fn of_many_that_start_at_once_one_compiles() {
    let folder = Folder::new();
    let one = component(1);
    let barrier = std::sync::Barrier::new(8);
    let stored: u32 = std::thread::scope(|scope| {
        let starters: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let program = folder.load(&one);
                    works(&program);
                    match program.cache() {
                        CacheUse::Stored { repaired: false } => 1,
                        CacheUse::Hit => 0,
                        other => panic!("{other:?}"),
                    }
                })
            })
            .collect();
        starters
            .into_iter()
            .map(|starter| starter.join().unwrap())
            .sum()
    });
    assert_eq!(stored, 1);
    assert_eq!(folder.files().len(), 1);
}

#[test]
fn what_a_killed_starter_left_is_in_nobodys_way() {
    let folder = Folder::new();
    let one = component(1);
    folder.load(&one);
    let (file, size) = folder.files().remove(0);
    let name = file.file_name().unwrap().to_str().unwrap();
    std::fs::remove_file(&file).unwrap();
    for left in [format!("{name}.lock"), format!("{name}.new")] {
        std::fs::write(folder.path.join(left), vec![7; 1 << 20]).unwrap();
    }
    for file in folder.files() {
        std::fs::set_permissions(file.0, PermissionsExt::from_mode(0o600)).unwrap();
    }
    assert!(matches!(
        folder.load(&one).cache(),
        CacheUse::Stored { repaired: false }
    ));
    assert_eq!(folder.files(), [(file, size)]);
}
