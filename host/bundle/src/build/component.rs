//! From a core module to a component of the gadget's world.

use super::BuildError;
use super::generate::Generated;
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::{Resolve, SourceMap, WorldId};

/// The world `gadget` of these files, with the contract that it stands on.
///
/// # Errors
///
/// The files are not WIT; only a broken build of this program can have such.
pub(super) fn resolve(wit: &[Generated]) -> Result<(Resolve, WorldId), BuildError> {
    let mut contract = SourceMap::default();
    let mut world = SourceMap::default();
    for file in wit {
        let map = if file.path.starts_with("wit/deps/") {
            &mut contract
        } else {
            &mut world
        };
        map.push_str(&file.path, file.text.as_str());
    }
    let failed = |cause: String| BuildError::World { cause };
    let parse = |map: SourceMap| map.parse().map_err(|(_, error)| failed(error.to_string()));
    let mut resolve = Resolve::default();
    resolve
        .push_group(parse(contract)?)
        .map_err(|error| failed(error.to_string()))?;
    let package = resolve
        .push_group(parse(world)?)
        .map_err(|error| failed(error.to_string()))?;
    let world = resolve
        .select_world(&[package], Some("gadget"))
        .map_err(|error| failed(format!("{error:#}")))?;
    Ok((resolve, world))
}

/// Makes a component of a core module.
///
/// # Errors
///
/// The module does not fit the world: it imports what was not granted, lacks an export, or has another signature.
pub(super) fn encode(module: &[u8], wit: &[Generated]) -> Result<Vec<u8>, BuildError> {
    let (resolve, world) = resolve(wit)?;
    let mut module = module.to_vec();
    let failed = |cause: String| BuildError::Component { cause };
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(|error| failed(format!("{error:#}")))?;
    let encoder = ComponentEncoder::default().validate(true);
    let mut encoder = encoder
        .module(&module)
        .map_err(|error| failed(format!("{error:#}")))?;
    encoder
        .encode()
        .map_err(|error| failed(format!("{error:#}")))
}

/// Imports and exports of a component, as the component model names them.
#[cfg(test)]
pub(super) fn surface(component: &[u8]) -> (Vec<String>, Vec<String>) {
    let decoded = wit_component::decode(component).unwrap();
    let wit_component::DecodedWasm::Component(resolve, world) = decoded else {
        panic!("not a component")
    };
    let names = |items: &wit_parser::IndexMap<wit_parser::WorldKey, wit_parser::WorldItem>| {
        items
            .keys()
            .map(|key| resolve.name_world_key(key))
            .collect()
    };
    let world = &resolve.worlds[world];
    (names(&world.imports), names(&world.exports))
}
