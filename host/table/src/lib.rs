//! Tables of typed columns: schema, kinds, formatting, sinks.

pub mod schema;
