use super::*;
use crate::options::{Fields, Place, SinkOptions};
use crate::selection::Selector;
use ig_containers::{Decision, Facts, Runtime};
use ig_table::columns::TerminalOptions;
use ig_table::output::Format;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn decision(id: &str, name: &str, sandbox: bool) -> Decision {
    Decision::Container {
        facts: Box::new(Facts {
            id: id.to_owned(),
            runtime: Some(Runtime::Docker),
            name: Some(name.to_owned()),
            sandbox,
            ..Facts::default()
        }),
        unit: None,
    }
}

/// Two containers, a pod's sandbox and a unit.
fn directory() -> Arc<Directory> {
    let directory = Arc::new(Directory::default());
    for (cgroup, decision) in [
        (10, decision("bbb", "web", false)),
        (11, decision("aaa", "d\x1b[2Jb\n", false)),
        (12, decision("ccc", "pause", true)),
        (13, Decision::Unit("nginx.service".to_owned())),
    ] {
        directory.made(cgroup, None);
        directory.decide(cgroup, "/x", decision);
    }
    directory
}

fn selected(selector: Selector, value: &str) -> Selectors {
    Selectors::parse([(selector, value)]).unwrap()
}

fn options(screen: &Screen, format: Format, directory: &Arc<Directory>) -> ListOptions {
    ListOptions {
        containers: ContainerOptions {
            directory: Some(directory.clone()),
            ..ContainerOptions::default()
        },
        watch: false,
        selectors: Selectors::default(),
        output: OutputOptions {
            main: SinkOptions {
                name: format.as_str().to_owned(),
                format,
                place: Place::Writer(Box::new(screen.clone()), TerminalOptions::default()),
            },
            others: Vec::new(),
            table: None,
            fields: Fields::Shown,
            filter: None,
            sort: None,
            max_rows: None,
            interval: None,
            redact: Vec::new(),
        },
        stop: Arc::new(Stop::new().unwrap()),
        say: Arc::new(|_| {}),
    }
}

#[test]
fn containers_are_rows_that_can_be_chosen_sorted_and_cut() {
    let directory = directory();
    let shown = |change: &dyn Fn(&mut ListOptions)| {
        let screen = Screen::default();
        let mut options = options(&screen, Format::Json, &directory);
        options.output.fields = Fields::Named("container,container_id".to_owned());
        change(&mut options);
        list(options).map(|()| screen.text())
    };
    let (web, db) = (
        "{\"container\":\"web\",\"container_id\":\"bbb\"}\n",
        "{\"container\":\"d\\u001b[2Jb\\n\",\"container_id\":\"aaa\"}\n",
    );
    assert_eq!(shown(&|_| {}).unwrap(), format!("{web}{db}"));
    let sorted = shown(&|o| o.output.sort = Some("runtime.containerId".to_owned()));
    assert_eq!(sorted.unwrap(), format!("{db}{web}"));
    let first = shown(&|o| {
        o.output.sort = Some("container_id".to_owned());
        o.output.max_rows = Some(1);
    });
    assert_eq!(first.unwrap(), db);
    let filtered = shown(&|o| o.output.filter = Some("container == web".to_owned()));
    assert_eq!(filtered.unwrap(), web);
    let only = shown(&|o| o.selectors = selected(Selector::ContainerId, "aa?"));
    assert_eq!(only.unwrap(), db);
    let wrong = shown(&|o| o.output.fields = Fields::Named("contaner".to_owned()));
    let wrong = wrong.unwrap_err().to_string();
    assert!(wrong.contains("did you mean \"container\"?"), "{wrong}");
}

#[test]
fn a_name_moves_no_cursor_and_pods_take_no_room() {
    let screen = Screen::default();
    list(options(&screen, Format::Columns, &directory())).unwrap();
    assert_eq!(
        screen.text(),
        "\
RUNTIME    CONTAINER        IMAGE                    CONTAINER_ID CONTAINER_STARTED
docker     web              -                        bbb          -
docker     d\\x1b[2Jb\\n      -                        aaa          -
"
    );
}

#[test]
fn what_comes_changes_and_goes_is_told_once() {
    let directory = directory();
    let mut list = List::new(&directory, Selectors::default());
    let mut look = |first| -> Vec<(&str, String)> {
        let events = list.look(first);
        let mut named = Vec::new();
        for (event, number) in events {
            let name = list.owners.field(number, Field::Container);
            named.push((event.as_str(), name.unwrap().into_owned()));
        }
        named
    };
    let told = |events: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        events.iter().map(|(e, n)| (*e, (*n).to_owned())).collect()
    };
    let existing = [("existing", "web"), ("existing", "d\x1b[2Jb\n")];
    assert_eq!(look(true), told(&existing));
    assert_eq!(look(false), told(&[]));
    directory.made(20, None);
    directory.decide(20, "/x", decision("ddd", "new", false));
    assert_eq!(look(false), told(&[("added", "new")]));
    let learned = |name: &str| Facts {
        id: "ddd".to_owned(),
        name: Some(name.to_owned()),
        ..Facts::default()
    };
    directory.learn(learned("newer"));
    assert_eq!(look(false), told(&[("changed", "newer")]));
    // It is known already.
    directory.learn(learned("newer"));
    directory.gone(10, 5);
    assert_eq!(look(false), told(&[("removed", "web")]));
    assert_eq!(look(false), told(&[]));
}

#[test]
fn sandboxes_are_listed_where_the_scope_has_them() {
    let directory = directory();
    let shown = |scope: Option<&str>, change: &dyn Fn(&mut ListOptions)| {
        let screen = Screen::default();
        let mut options = options(&screen, Format::Csv, &directory);
        options.output.fields = Fields::Named("scope,container_id".to_owned());
        options.selectors =
            scope.map_or_else(Selectors::default, |scope| selected(Selector::Scope, scope));
        change(&mut options);
        list(options).map(|()| screen.text())
    };
    let containers = "scope,container_id\ncontainer,bbb\ncontainer,aaa\n";
    assert_eq!(shown(None, &|_| {}).unwrap(), containers);
    for scope in ["containers", "all"] {
        let with_sandbox = format!("{containers}sandbox,ccc\n");
        assert_eq!(
            shown(Some(scope), &|_| {}).unwrap(),
            with_sandbox,
            "{scope}"
        );
    }
    let both = |o: &mut ListOptions| {
        let given = [
            (Selector::Scope, "containers"),
            (Selector::ContainerId, "!aaa"),
        ];
        o.selectors = Selectors::parse(given).unwrap();
    };
    let picked = "scope,container_id\ncontainer,bbb\nsandbox,ccc\n";
    assert_eq!(shown(None, &both).unwrap(), picked);
    let by_default = |o: &mut ListOptions| o.output.fields = Fields::Shown;
    for (scope, begin) in [(None, "runtime,"), (Some("all"), "scope,runtime,")] {
        let text = shown(scope, &by_default).unwrap();
        assert!(text.starts_with(begin), "{text}");
    }
    let host = shown(Some("host"), &|_| {}).unwrap_err();
    assert!(
        matches!(&host, RunError::Usage(what) if what.contains("--scope containers")),
        "{host}"
    );
}

#[test]
fn what_turns_out_to_be_a_sandbox_is_removed_unless_the_scope_has_it() {
    for (selectors, then) in [
        (Selectors::default(), Event::Removed),
        (selected(Selector::Unit, "!x"), Event::Removed),
        (selected(Selector::Scope, "containers"), Event::Changed),
        (selected(Selector::Scope, "all"), Event::Changed),
    ] {
        let directory = directory();
        let mut list = List::new(&directory, selectors);
        list.look(true);
        directory.learn(Facts {
            id: "bbb".to_owned(),
            sandbox: true,
            ..Facts::default()
        });
        let events: Vec<Event> = list
            .look(false)
            .into_iter()
            .map(|(event, _)| event)
            .collect();
        assert_eq!(events, [then]);
        directory.gone(10, 5);
        let gone = list.look(false).len();
        assert_eq!(gone, usize::from(then == Event::Changed));
    }
}

#[test]
fn a_watch_goes_on_until_it_is_ended() {
    let directory = directory();
    let screen = Screen::default();
    let mut options = options(&screen, Format::Csv, &directory);
    options.watch = true;
    options.output.fields = Fields::Named("event,container".to_owned());
    options.selectors = selected(Selector::Runtime, "docker");
    let stop = options.stop.clone();
    let listing = std::thread::spawn(move || list(options).map_err(|e| e.to_string()));
    let seen = |what: &str| {
        while !screen.text().contains(what) {
            assert!(!listing.is_finished());
            std::thread::yield_now();
        }
    };
    seen("existing,web\n");
    directory.gone(10, 5);
    seen("removed,web\n");
    stop.request(crate::stop::Reason::Signal);
    listing.join().unwrap().unwrap();
    assert!(screen.text().starts_with("event,container\n"));
}
