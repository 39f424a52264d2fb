//! Many short containers, a few at a time.

use ig_tests::runtimes::{Place, Runc};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a container does: 50 ms of life, and a program at each end that says in its last argument whose it is.
pub const LIFE: &str = "sleep 0.05; exec /bin/echo $0";

/// Containers of one runtime, with names of their own.
pub struct Crowd {
    runc: Runc,
    template: Value,
    words: [&'static str; 3],
}

impl Crowd {
    /// Containers that do [`LIFE`].
    pub fn new() -> Self {
        Self::doing(LIFE)
    }

    /// Containers that do something else; `$0` is the container's name.
    pub fn doing(script: &'static str) -> Self {
        Self::of(Runc::new(), script)
    }

    /// Containers of crun that do [`LIFE`]: their first program runs before anybody can know whose it is.
    pub fn of_crun() -> Self {
        Self::of(Runc::crun(), LIFE)
    }

    fn of(runc: Runc, script: &'static str) -> Self {
        let words = ["sh", "-c", script];
        let bundle = runc.bundle("template", &words);
        let text = std::fs::read(bundle.join("config.json")).expect("a bundle");
        let template = serde_json::from_slice(&text).expect("JSON");
        Self {
            runc,
            template,
            words,
        }
    }

    /// The same, run by another user than root.
    pub fn of_user(mut self, uid: u32) -> Self {
        self.template["process"]["user"] = json!({"uid": uid, "gid": uid});
        self
    }

    /// What the last arguments of programs in them, and of no others, begin with.
    pub fn prefix(&self) -> String {
        format!("in:{}-", self.place().name())
    }

    /// The name of one; behind `in:` the last argument of its programs.
    pub fn name(&self, number: u32) -> String {
        format!("{}-{number}", self.place().name())
    }

    /// Where they are.
    pub fn place(&self) -> &Place {
        self.runc.place()
    }

    /// `runc run` of one that waits for its end.
    pub fn run(&self, number: u32) {
        let name = self.name(number);
        let bundle = self.bundle(&name);
        let status = self
            .command(&name, &bundle)
            .status()
            .expect("the runtime starts");
        assert!(status.success(), "{name}: {status}");
        // As after a manager: of every other one nothing is left.
        if number.is_multiple_of(2) {
            std::fs::remove_dir_all(bundle).expect("the bundle's folder");
        }
    }

    /// Starts all of these, `at_once` of them at a time, and waits for the last one's end.
    pub fn run_all(&self, numbers: std::ops::Range<u32>, at_once: usize) {
        let next = AtomicU32::new(numbers.start);
        std::thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if !numbers.contains(&number) {
                            return;
                        }
                        self.run(number);
                    }
                });
            }
        });
    }

    fn bundle(&self, name: &str) -> PathBuf {
        let folder = self.place().at(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut config = self.template.clone();
        let mut words = self.words.to_vec();
        let told = format!("in:{name}");
        words.push(&told);
        config["process"]["args"] = json!(words);
        config["linux"]["cgroupsPath"] = json!(format!("/{}/{name}", self.place().name()));
        std::fs::write(folder.join("config.json"), config.to_string()).expect("a file");
        folder
    }

    fn command(&self, name: &str, bundle: &std::path::Path) -> Command {
        let mut command = self.runc.command();
        command.args(["run", "--bundle"]).arg(bundle).arg(name);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}
