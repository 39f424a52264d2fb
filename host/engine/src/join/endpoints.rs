//! Names of endpoints: whose the address of a side of a connection is.

use crate::owners::Owners;
use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt16Type;
use arrow_array::{Array as _, ArrayRef, BinaryArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, OffsetBufferBuilder};
use ig_containers::Field;
use ig_table::kinds::address;
use std::io::Write as _;
use std::sync::Arc;

/// The name of each endpoint: `p/NAMESPACE/POD:PORT`, or `c/CONTAINER:PORT`; None if no address is anybody's.
pub(super) fn names(endpoints: &ArrayRef, owners: &mut dyn Owners) -> Option<ArrayRef> {
    let endpoints = endpoints.as_struct_opt()?;
    let [addresses, ports] = endpoints.columns() else {
        return None;
    };
    let addresses = addresses.as_binary_opt::<i32>()?;
    let ports = ports.as_primitive_opt::<UInt16Type>()?;
    let rows = endpoints.len();
    let mut values: Vec<u8> = Vec::new();
    let mut offsets = OffsetBufferBuilder::<i32>::new(rows);
    let mut valid = BooleanBufferBuilder::new(rows);
    for row in 0..rows {
        let start = values.len();
        let port = ports.is_valid(row).then(|| ports.value(row));
        if endpoints.is_valid(row)
            && addresses.is_valid(row)
            && let Some(address) = address::of_bytes(addresses.value(row))
        {
            let owner = owners.by_address(address);
            // Guests choose how many rows there are, not how long names may be.
            if owner != 0 && start < super::values::MOST_BYTES {
                push(owner, port, owners, &mut values);
            }
        }
        valid.append(values.len() > start);
        offsets.push_length(values.len() - start);
    }
    if values.is_empty() {
        return None;
    }
    let nulls = NullBuffer::new(valid.finish());
    let array = BinaryArray::try_new(offsets.finish(), Buffer::from_vec(values), Some(nulls));
    Some(Arc::new(array.ok()?))
}

fn push(owner: u32, port: Option<u16>, owners: &mut dyn Owners, out: &mut Vec<u8>) {
    let start = out.len();
    let mut add = |prefix: &[u8], field: Field| {
        let text = owners.field(owner, field);
        if let Some(text) = &text {
            out.extend_from_slice(prefix);
            out.extend_from_slice(text.as_bytes());
        }
        text.is_some()
    };
    let named = if add(b"p/", Field::Namespace) {
        add(b"/", Field::Pod)
    } else {
        add(b"c/", Field::Container)
    };
    if !named {
        out.truncate(start);
    } else if let Some(port) = port {
        // Writing to memory does not fail.
        let _ = write!(out, ":{port}");
    }
}
