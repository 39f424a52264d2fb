//! The gadgets of one `ig run`: found among the arguments, opened, and what each of them is told.

use crate::args::{self, SCOPED, param_id};
use crate::{Failure, exit};
use anyhow::{anyhow, bail};
use clap::{ArgMatches, Command};
use ig_engine::bundle::{Arch, Bundle};
use ig_engine::manifest::INTERVAL;
use ig_engine::output::Table;
use ig_engine::several::{Listed, SeveralGadgets};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A gadget of a run.
pub struct Gadget {
    /// What it is called in this run.
    pub name: String,
    /// The bundle's file.
    pub file: PathBuf,
    pub bundle: Bundle,
    /// Its tables with all of their columns.
    pub tables: Vec<Table>,
    /// What a file of gadgets says of it, if one lists it.
    pub listed: Option<Listed>,
    /// Its parameters in that file.
    pub params: Vec<(String, String)>,
}

impl Gadget {
    fn open(file: PathBuf) -> Result<Self, Failure> {
        let bundle =
            Bundle::open(&file, Arch::host()).map_err(|e| Failure::new(exit::REFUSED, e))?;
        let tables = ig_engine::columns::tables(&bundle).map_err(crate::run::refusal)?;
        Ok(Self {
            name: bundle.manifest.name.clone(),
            file,
            bundle,
            tables,
            listed: None,
            params: Vec::new(),
        })
    }

    /// The same with what a file of gadgets says of it.
    fn with(mut self, listed: Listed) -> Result<Self, Failure> {
        let manifest = &self.bundle.manifest;
        for (name, value) in &listed.params {
            let wrong = |what: String| {
                let place = listed.place(&format!("params.{name}"));
                Failure::new(exit::USAGE, anyhow!("{place}: {}: {what}", manifest.name))
            };
            let param = manifest.param(name).and_then(|i| manifest.params.get(i));
            let Some(param) = param else {
                let known: Vec<&str> = manifest.params.iter().map(|p| p.name.as_str()).collect();
                return Err(wrong(match known.as_slice() {
                    [] => format!("there is no parameter `{name}`; this gadget has none"),
                    known => format!(
                        "there is no parameter `{name}`; known are {}",
                        known.join(", ")
                    ),
                }));
            };
            param.canonical(value).map_err(|e| wrong(e.to_string()))?;
            self.params.push((param.name.clone(), value.clone()));
        }
        if let Some(name) = &listed.name {
            self.name.clone_from(name);
        }
        self.listed = Some(listed);
        Ok(self)
    }

    /// Where a file of gadgets names it, to begin an error with; nothing if none does.
    fn place(&self) -> String {
        let listed = self.listed.as_ref();
        listed.map_or(String::new(), |listed| {
            format!("{}: ", listed.place("name"))
        })
    }
}

fn build(dir: &Path) -> Result<PathBuf, Failure> {
    let out = dir.join(".ig").join("run.oci");
    crate::image::build_to(dir, Some(&out), None, None, false)?;
    Ok(out)
}

/// Opens every bundle among the arguments, which begin after the command's name, and those that a file lists which is
/// among them. The flags of a gadget that was found are known where the next one is looked for.
pub fn open(definition: &Command, after: &[OsString]) -> Result<Vec<Gadget>, Failure> {
    let mut found = Found::default();
    for taken in 0.. {
        let known = args::with_gadgets(definition.clone(), &found.gadgets);
        let paths = args::find_bundles(&known, after);
        let Some(path) = paths.get(taken).map(Path::new) else {
            break;
        };
        if SeveralGadgets::is_at(path) {
            let several = SeveralGadgets::open(path).map_err(|e| Failure::new(exit::USAGE, e))?;
            for listed in several.gadgets {
                found.listed(path, listed)?;
            }
        } else {
            let gadget = found.open(path)?;
            found.add(gadget)?;
        }
    }
    Ok(found.gadgets)
}

/// Gadgets so far.
#[derive(Default)]
struct Found {
    gadgets: Vec<Gadget>,
    /// The bundles of folders: one that is named twice is built once.
    built: BTreeMap<PathBuf, PathBuf>,
}

impl Found {
    /// The bundle, built first when the path is a gadget's folder.
    fn open(&mut self, path: &Path) -> Result<Gadget, Failure> {
        if !path.is_dir() {
            return Gadget::open(path.to_owned());
        }
        let file = match self.built.get(path) {
            Some(file) => file.clone(),
            None => build(path)?,
        };
        self.built.insert(path.to_owned(), file.clone());
        Gadget::open(file)
    }

    /// A gadget that the file at `several` lists.
    fn listed(&mut self, several: &Path, listed: Listed) -> Result<(), Failure> {
        let path = several
            .parent()
            .unwrap_or(Path::new(""))
            .join(&listed.bundle);
        let place = listed.place("bundle");
        if let Err(cause) = path.metadata() {
            let what = anyhow!(
                "{place}: {}: {cause}; a path is relative to the file that it stands in",
                path.display()
            );
            return Err(Failure::new(exit::REFUSED, what));
        }
        let gadget = self
            .open(&path)
            .map_err(|Failure { code, error }| Failure::new(code, error.context(place)))?;
        self.add(gadget.with(listed)?)
    }

    fn add(&mut self, gadget: Gadget) -> Result<(), Failure> {
        if let Some(first) = self.gadgets.iter().find(|other| other.name == gadget.name) {
            return Err(Failure::new(
                exit::USAGE,
                anyhow!(
                    "{}{} and {} are both {}, and nobody could tell whose rows are whose; give one of them another \
                     `name` in a file of gadgets",
                    gadget.place(),
                    first.file.display(),
                    gadget.file.display(),
                    gadget.name
                ),
            ));
        }
        self.gadgets.push(gadget);
        Ok(())
    }
}

/// What is said of one gadget: by a flag with its name, before one that is for all, before the file that lists it.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub matches: &'a ArgMatches,
    /// The gadget's name; None: it is the only one.
    pub gadget: Option<&'a str>,
    /// What the file says.
    pub listed: Option<&'a Listed>,
}

impl Scope<'_> {
    /// The value of a flag that not every command has. `listed`: where it stands in a file.
    pub fn get<T: Clone + Send + Sync + 'static>(
        &self,
        flag: &str,
        listed: fn(&Listed) -> Option<T>,
    ) -> Option<T> {
        let own = self.own(flag);
        let own = own.and_then(|id| self.matches.try_get_one(&id).ok().flatten().cloned());
        own.or_else(|| self.matches.try_get_one(flag).ok().flatten().cloned())
            .or_else(|| self.listed.and_then(listed))
    }

    /// What is redacted for all gadgets, for this one, and by the file: no one takes back what another hides.
    pub fn redact(&self) -> Vec<String> {
        let ids = [Some("redact".to_owned()), self.own("redact")];
        let values = ids.into_iter().flatten().filter_map(|id| {
            let values = self.matches.try_get_many::<String>(&id).ok().flatten();
            values.map(|values| values.cloned().collect::<Vec<_>>())
        });
        let listed = self.listed.map(|listed| listed.redact.clone());
        values.chain(listed).flatten().collect()
    }

    /// Where the file says what this flag would, unless the arguments say it.
    pub fn place(&self, flag: &str) -> Option<String> {
        let listed = self.listed?;
        let said = match flag {
            "redact" => !listed.redact.is_empty(),
            "fields" => listed.fields.is_some(),
            "table" => listed.table.is_some(),
            "filter" => listed.filter.is_some(),
            "sort" => listed.sort.is_some(),
            "max-rows" => listed.max_rows.is_some(),
            "interval" => listed.interval.is_some(),
            _ => false,
        };
        let mut ids = [Some(flag.to_owned()), self.own(flag)]
            .into_iter()
            .flatten();
        let by_flag = ids.any(|id| self.matches.try_get_raw(&id).is_ok_and(|of| of.is_some()));
        (said && !by_flag).then(|| listed.place(flag))
    }

    fn own(&self, flag: &str) -> Option<String> {
        let gadget = self.gadget?;
        SCOPED
            .contains(&flag)
            .then(|| args::of_gadget_id(gadget, flag))
    }
}

/// What the user set of each gadget's parameters, by name: what a file says first, then flags, then `--param`; what is for
/// all before what is for one.
pub fn params(
    gadgets: &[Gadget],
    matches: &ArgMatches,
) -> anyhow::Result<Vec<Vec<(String, String)>>> {
    if let [only] = gadgets {
        let mut params = only.params.clone();
        params.extend(args::params(&only.bundle.manifest, matches));
        return Ok(vec![params]);
    }
    let pairs: Vec<&(String, String)> = matches
        .get_many::<(String, String)>("param")
        .into_iter()
        .flatten()
        .collect();
    for (name, _) in &pairs {
        known(gadgets, name)?;
    }
    let mut set = Vec::with_capacity(gadgets.len());
    for gadget in gadgets {
        let own = gadget.bundle.manifest.params.iter();
        let own = own.filter(|p| p.name != INTERVAL);
        let mut params = gadget.params.clone();
        for id in [None, Some(&gadget.name)] {
            for param in own.clone() {
                let (flag, id) = match id {
                    None => (param.name.clone(), param_id(&param.name)),
                    Some(gadget) => {
                        let flag = format!("{gadget}.{}", param.name);
                        let id = param_id(&flag);
                        (flag, id)
                    }
                };
                if let Some(value) = matches.get_one::<String>(&id) {
                    alike(gadgets, &flag)?;
                    params.push((param.name.clone(), value.clone()));
                }
            }
        }
        for (name, value) in &pairs {
            let own = match name.split_once('.') {
                Some((of, param)) => (of == gadget.name).then_some(param),
                None => gadget
                    .bundle
                    .manifest
                    .params
                    .iter()
                    .any(|p| p.name == *name)
                    .then_some(name.as_str()),
            };
            if let Some(param) = own {
                alike(gadgets, name)?;
                params.push((param.to_owned(), value.clone()));
            }
        }
        set.push(params);
    }
    Ok(set)
}

/// Some gadget has this parameter.
fn known(gadgets: &[Gadget], name: &str) -> anyhow::Result<()> {
    let has = |gadget: &Gadget| {
        let param = match name.split_once('.') {
            Some((of, param)) if of == gadget.name => param,
            Some(_) => return false,
            None => name,
        };
        gadget
            .bundle
            .manifest
            .params
            .iter()
            .any(|p| p.name == param)
    };
    if gadgets.iter().any(has) {
        return Ok(());
    }
    let each = gadgets.iter().map(|gadget| {
        let params = &gadget.bundle.manifest.params;
        let names: Vec<&str> = params.iter().map(|p| p.name.as_str()).collect();
        match names.as_slice() {
            [] => format!("{} has none", gadget.name),
            _ => format!("{} has {}", gadget.name, names.join(", ")),
        }
    });
    let each: Vec<String> = each.collect();
    bail!(
        "--param {name}: no gadget has this parameter; {}",
        each.join("; ")
    );
}

/// A value that is for several gadgets means the same to each.
fn alike(gadgets: &[Gadget], name: &str) -> anyhow::Result<()> {
    let mut first = None;
    for gadget in gadgets {
        let mut params = gadget.bundle.manifest.params.iter();
        let Some(param) = params.find(|p| p.name == name) else {
            continue;
        };
        match first {
            None => first = Some((gadget, param.value_type)),
            Some((_, value_type)) if value_type == param.value_type => {}
            Some((other, _)) => bail!(
                "--{name} is of one type for {0} and of another for {1}; say for which: --{0}.{name} or --{1}.{name}",
                other.name,
                gadget.name
            ),
        }
    }
    Ok(())
}
