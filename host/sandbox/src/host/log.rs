//! `log`: messages, limited in bytes per call of the guest.

use wasmtime::StoreContextMut;
use wasmtime::component::{LinkerInstance, WasmStr};

use super::{Host, Level, State, with_views};

pub(super) fn link<H: Host>(instance: &mut LinkerInstance<'_, State<H>>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "write",
        |mut store: StoreContextMut<'_, State<H>>, (level, text): (Level, WasmStr)| {
            store.data_mut().spend()?;
            let left = store.data().call.log_left;
            let (given, taken) = with_views(&mut store, |host, store| -> wasmtime::Result<_> {
                let text = text.to_str(store)?;
                let taken = cut(&text, left);
                if !taken.is_empty() || text.is_empty() {
                    host.log(level, taken);
                }
                Ok((text.len(), taken.len()))
            })??;
            let call = &mut store.data_mut().call;
            call.log_left -= taken;
            call.log_cut += (given - taken) as u64;
            Ok(())
        },
    )
}

/// The longest beginning of `text` that fits and ends between characters.
fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("größe", 100), "größe");
        assert_eq!(cut("größe", 4), "grö");
        assert_eq!(cut("größe", 3), "gr");
        assert_eq!(cut("größe", 0), "");
    }
}
