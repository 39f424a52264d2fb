//! Guests in other languages than Rust: the same logic gives the same rows, and their pages do what they say.

use ig_tests::{Ig, pages, sources};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What a gadget says of a script, without what is another in each run.
fn said(gadget: &Path, script: &str) -> Vec<Value> {
    let fields = "comm,pcomm,uid,user,ret,error,file,cwd,args,args_count,args_truncated";
    let finished = Ig::run(gadget)
        .args(&["--fields", fields])
        .json()
        .sh(script)
        .finish();
    finished.expect_code(0);
    finished.rows()
}

#[test]
fn trace_exec_in_c_says_what_it_says_in_rust() {
    let script = "cd /usr/bin; /bin/true 'a b' '' 'ü' \"$(printf 'x\\377y')\"; /bin/true ''; \
        /no/such/command with words; \
        /bin/true a b c d e f g h i j k l m n o p q r s t u v w x y z; /bin/true \"$(printf '%02000d' 1)\"; :";
    let rust = said(&ig_tests::bundle("trace_exec"), script);
    let c = said(&ig_tests::bundle("trace_exec_c"), script);
    assert_eq!(rust.len(), 6, "{rust:#?}");
    assert_eq!(c, rust);
}

#[test]
fn the_page_for_c_is_a_gadget_that_runs_as_shown() {
    let page =
        std::fs::read_to_string(sources::root().join("docs/guest-c.md")).expect("docs/guest-c.md");
    let files = pages::files(&page, "trace_exit");
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["program.bpf.c", "gadget.yaml", "guest.c"]);
    let folder = tempfile::tempdir().expect("a folder");
    let gadget = folder.path().join("trace_exit");
    std::fs::create_dir(&gadget).expect("a folder");
    for (name, text) in files {
        std::fs::write(gadget.join(name), text).expect("a file");
    }
    let (script, expected) = pages::shown(&page, "./trace_exit");
    let finished = Ig::run("./trace_exit")
        .current_dir(folder.path())
        .sh(script)
        .finish();
    finished.expect_code(0);
    // Two processes on two CPUs may end in either order; times and process ids are others each time.
    let names = |lines: Vec<&str>| {
        let mut names: Vec<Vec<String>> = lines
            .into_iter()
            .map(|line| line.split_whitespace().skip(2).map(str::to_owned).collect())
            .collect();
        names.sort();
        names
    };
    let seen = names(finished.stdout.lines().collect());
    assert_eq!(seen.len(), 5, "{}", finished.stdout);
    assert_eq!(seen, names(expected));
}

/// A bundle that may be compressed, as `folder/NAME.oci`.
fn unpacked(bundle: &Path, folder: &Path) -> PathBuf {
    if bundle.extension().is_none_or(|ending| ending != "zst") {
        return bundle.to_owned();
    }
    let out = folder.join(bundle.file_stem().expect("a name"));
    let packed = File::open(bundle).expect("the bundle");
    let mut whole = ruzstd::decoding::StreamingDecoder::new(packed).expect("zstd");
    let mut file = File::create(&out).expect("a file");
    std::io::copy(&mut whole, &mut file).expect("a whole bundle");
    out
}

/// What was built for a released contract links and gives the same rows for ever.
#[test]
fn bundles_of_every_release_run() {
    let mut run = Vec::new();
    for release in std::fs::read_dir(sources::root().join("tests/bundles")).expect("the folder") {
        let release = release.expect("an entry").path();
        if !release.is_dir() {
            continue;
        }
        let expected = std::fs::read_to_string(release.join("trace_exec.expected.jsonl"));
        let expected = expected.expect("the rows");
        for bundle in sources::files(&release, &["oci", "oci.zst"]) {
            let folder = tempfile::tempdir().expect("a folder");
            let bundle = unpacked(&bundle, folder.path());
            let finished = Ig::run(&bundle)
                .arg("--replay")
                .arg(release.join("trace_exec.igrec"))
                .arg("--strict")
                // What later hosts join is not the bundle's.
                .args(&["--fields", "-namespace,-pod,-container,-image"])
                .json()
                .finish();
            finished.expect_code(0);
            assert_eq!(finished.stdout, expected, "{}", bundle.display());
            run.push(bundle.file_name().expect("a name").to_owned());
        }
    }
    run.sort();
    assert_eq!(
        run,
        [
            "trace_exec-c.oci",
            "trace_exec-python.oci",
            "trace_exec-rust.oci"
        ]
    );
}
