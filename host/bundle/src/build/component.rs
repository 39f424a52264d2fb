//! From a core module to a component of the gadget's world.

use super::BuildError;
use super::generate::Generated;
use crate::component::Component;
use crate::manifest::Manifest;
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

/// Checks a component that was not encoded here: it asks for no more than its world holds, and gives what it must.
///
/// # Errors
///
/// It is no component, or another one.
pub(super) fn check(bytes: &[u8], manifest: &Manifest) -> Result<(), BuildError> {
    let checked = Component::parse(bytes).and_then(|component| component.check(manifest));
    checked.map_err(|error| BuildError::Component {
        cause: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::generate;
    use wit_parser::abi::{AbiVariant, WasmType};
    use wit_parser::{SizeAlign, Type, TypeDefKind};

    /// The world of a gadget to which everything is granted.
    fn widest() -> (Resolve, WorldId) {
        let text = "name: all\nversion: 1.0.0\ntables:\n  - name: t\n    columns: [{name: a, type: u32}]\n\
            params: [{name: p, type: bool}]\nmaps: [{map: m, access: [lookup]}]\nguest: {clock: true, timers: true, watch: true}\n";
        let manifest = crate::Manifest::parse("gadget.yaml", text).unwrap();
        resolve(&generate::wit(&manifest)).unwrap()
    }

    fn letters(types: &[WasmType]) -> String {
        let letter = |ty: &WasmType| match ty {
            WasmType::I32 => 'i',
            WasmType::I64 => 'I',
            WasmType::Pointer => 'p',
            WasmType::Length => 'l',
            _ => '?',
        };
        types.iter().map(letter).collect()
    }

    /// The SDK's bindings are written by hand (`guest-sdk/rust/src/host.rs`): whoever changes a signature in the
    /// contract is sent there from here.
    #[test]
    fn signatures_are_those_of_the_sdks_bindings() {
        let (resolve, world) = widest();
        let world = &resolve.worlds[world];
        let mut found = Vec::new();
        let sides = [
            (&world.imports, AbiVariant::GuestImport),
            (&world.exports, AbiVariant::GuestExport),
        ];
        for (items, variant) in sides {
            for item in items.values() {
                let wit_parser::WorldItem::Interface { id, .. } = item else {
                    panic!("{item:?}")
                };
                let interface = &resolve.interfaces[*id];
                for function in interface.functions.values() {
                    let signature = resolve.wasm_signature(variant, function);
                    let name = interface.name.as_deref().unwrap_or_default();
                    let (takes, gives) = (letters(&signature.params), letters(&signature.results));
                    found.push(format!("{name}.{}({takes}){gives}", function.name));
                }
            }
        }
        found.sort();
        let expected = [
            "clock.boot()I",
            "clock.wall()I",
            "container-watcher.added(pl)",
            "container-watcher.removed(pl)",
            "containers.by-cgroup(plp)",
            "containers.by-id(pl)i",
            "containers.by-mount-namespace(II)i",
            "containers.field(plplp)",
            "containers.of-records(plp)",
            "handler.init()p",
            "handler.process(ipl)p",
            "handler.stop()",
            "log.write(ipl)",
            "maps.delete(iplp)",
            "maps.lookup(iplp)",
            "maps.read-all(ip)",
            "maps.update(iplplp)",
            "params.get(ip)",
            "tables.emit(iiplplp)",
            "tables.end-frame(i)",
            "tables.wanted(ip)",
            "ticker.tick(ii)",
            "timers.cancel(i)",
            "timers.every(Ip)",
            "timers.once(Ip)",
        ];
        assert_eq!(found, expected);
    }

    /// Sizes and offsets that the SDK's `#[repr(C)]` structs have on wasm32.
    #[test]
    fn layouts_are_those_of_the_sdks_structs() {
        let (resolve, _) = widest();
        let mut sizes = SizeAlign::default();
        sizes.fill(&resolve);
        let named = |name: &str| {
            resolve
                .types
                .iter()
                .find(|(_, ty)| ty.name.as_deref() == Some(name))
                .unwrap()
        };
        let offsets = |name: &str| {
            let (id, ty) = named(name);
            let TypeDefKind::Record(record) = &ty.kind else {
                panic!("{name} is a record")
            };
            let offsets = sizes.field_offsets(record.fields.iter().map(|field| &field.ty));
            let offsets: Vec<usize> = offsets
                .into_iter()
                .map(|(offset, _)| offset.size_wasm32())
                .collect();
            (sizes.size(&Type::Id(id)).size_wasm32(), offsets)
        };
        assert_eq!(offsets("verdict"), (12, vec![0, 4, 8]));
        assert_eq!(offsets("column"), (12, vec![0, 4]));
        let results = resolve.types.iter().filter_map(|(id, ty)| match &ty.kind {
            TypeDefKind::Result(result) => Some((sizes.size(&Type::Id(id)).size_wasm32(), result)),
            _ => None,
        });
        for (size, result) in results {
            let payload = sizes.payload_offset(
                wit_parser::Int::U8,
                [result.ok.as_ref(), result.err.as_ref()],
            );
            assert_eq!(payload.size_wasm32(), 4, "{result:?}");
            let option = result.ok.is_some_and(|ty| match ty {
                Type::Id(id) => matches!(resolve.types[id].kind, TypeDefKind::Option(_)),
                _ => false,
            });
            assert_eq!(size, if option { 16 } else { 12 }, "{result:?}");
        }
    }
}
