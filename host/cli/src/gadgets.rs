//! The gadgets of one `ig run`: found among the arguments, opened, and what each of them is told.

use crate::args::{self, SCOPED, param_id};
use crate::{Failure, exit};
use anyhow::{anyhow, bail};
use clap::{ArgMatches, Command};
use ig_engine::bundle::{Arch, Bundle};
use ig_engine::manifest::INTERVAL;
use ig_engine::output::Table;
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
}

impl Gadget {
    /// The bundle, built first when the path is a gadget's folder.
    fn open(path: &Path) -> Result<Self, Failure> {
        let file = if path.is_dir() {
            build(path)?
        } else {
            path.to_owned()
        };
        let bundle =
            Bundle::open(&file, Arch::host()).map_err(|e| Failure::new(exit::REFUSED, e))?;
        let tables = ig_engine::columns::tables(&bundle).map_err(crate::run::refusal)?;
        Ok(Self {
            name: bundle.manifest.name.clone(),
            file,
            bundle,
            tables,
        })
    }
}

fn build(dir: &Path) -> Result<PathBuf, Failure> {
    let out = dir.join(".ig").join("run.oci");
    crate::image::build_to(dir, Some(&out), None, None, false)?;
    Ok(out)
}

/// Opens every bundle among the arguments, which begin after the command's name. The flags of a gadget that was found
/// are known where the next one is looked for.
pub fn open(definition: &Command, after: &[OsString]) -> Result<Vec<Gadget>, Failure> {
    let mut gadgets: Vec<Gadget> = Vec::new();
    loop {
        let known = args::with_gadgets(definition.clone(), &gadgets);
        let paths = args::find_bundles(&known, after);
        let Some(path) = paths.get(gadgets.len()) else {
            break;
        };
        let gadget = Gadget::open(Path::new(path))?;
        if let Some(first) = gadgets.iter().find(|other| other.name == gadget.name) {
            return Err(Failure::new(
                exit::USAGE,
                anyhow!(
                    "{} and {} are both {}, and nobody could tell whose rows are whose; run one `ig` for each",
                    first.file.display(),
                    gadget.file.display(),
                    gadget.name
                ),
            ));
        }
        gadgets.push(gadget);
    }
    Ok(gadgets)
}

/// What the arguments say for one gadget of several: a flag with its name before one that is for all.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub matches: &'a ArgMatches,
    /// The gadget's name; None: it is the only one.
    pub gadget: Option<&'a str>,
}

impl Scope<'_> {
    /// The value of a flag that not every command has.
    pub fn get<T: Clone + Send + Sync + 'static>(&self, flag: &str) -> Option<T> {
        let own = self.own(flag);
        let own = own.and_then(|id| self.matches.try_get_one(&id).ok().flatten().cloned());
        own.or_else(|| self.matches.try_get_one(flag).ok().flatten().cloned())
    }

    /// All values of a flag that can be repeated, those for all gadgets too.
    pub fn all(&self, flag: &str) -> Vec<String> {
        let ids = [Some(flag.to_owned()), self.own(flag)];
        let values = ids.into_iter().flatten().filter_map(|id| {
            let values = self.matches.try_get_many::<String>(&id).ok().flatten();
            values.map(|values| values.cloned().collect::<Vec<_>>())
        });
        values.flatten().collect()
    }

    fn own(&self, flag: &str) -> Option<String> {
        let gadget = self.gadget?;
        SCOPED
            .contains(&flag)
            .then(|| args::of_gadget_id(gadget, flag))
    }
}

/// What the user set of each gadget's parameters, by name: flags first, then `--param`; what is for all before what is
/// for one.
pub fn params(
    gadgets: &[Gadget],
    matches: &ArgMatches,
) -> anyhow::Result<Vec<Vec<(String, String)>>> {
    if let [only] = gadgets {
        return Ok(vec![args::params(&only.bundle.manifest, matches)]);
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
        let mut params = Vec::new();
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
