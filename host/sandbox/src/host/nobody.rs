//! The host of no guest: its type lets a component's imports be checked before there is a host.

use super::{ColumnView, EmitError, Host, Level, MapError};

/// There is none, so nothing here is ever called.
pub(crate) enum Nobody {}

impl Host for Nobody {
    fn emit(&mut self, _: u16, _: u32, _: &[u8], _: &[ColumnView<'_>]) -> Result<(), EmitError> {
        match *self {}
    }
    fn end_frame(&mut self, _: u16) -> Result<(), EmitError> {
        match *self {}
    }
    fn wanted(&mut self, _: u16) -> Result<Vec<u16>, EmitError> {
        match *self {}
    }
    fn log(&mut self, _: Level, _: &str) {
        match *self {}
    }
    fn param(&mut self, _: u16) -> Result<String, EmitError> {
        match *self {}
    }
    fn boot(&mut self) -> u64 {
        match *self {}
    }
    fn wall(&mut self) -> u64 {
        match *self {}
    }
    fn map_lookup(&mut self, _: u16, _: &[u8]) -> Result<Option<Vec<u8>>, MapError> {
        match *self {}
    }
    fn map_update(&mut self, _: u16, _: &[u8], _: &[u8]) -> Result<(), MapError> {
        match *self {}
    }
    fn map_delete(&mut self, _: u16, _: &[u8]) -> Result<bool, MapError> {
        match *self {}
    }
    fn map_read_all(&mut self, _: u16) -> Result<Vec<u8>, MapError> {
        match *self {}
    }
    fn timer_every(&mut self, _: u64) -> Result<u32, String> {
        match *self {}
    }
    fn timer_once(&mut self, _: u64) -> Result<u32, String> {
        match *self {}
    }
    fn timer_cancel(&mut self, _: u32) {
        match *self {}
    }
    fn owners_of_records(&mut self, _: &[u32]) -> Result<Vec<u32>, EmitError> {
        match *self {}
    }
    fn owners_by_cgroup(&mut self, _: &[u64]) -> Vec<u32> {
        match *self {}
    }
    fn owner_by_mount_namespace(&mut self, _: u64, _: u64) -> u32 {
        match *self {}
    }
    fn owner_by_id(&mut self, _: &str) -> u32 {
        match *self {}
    }
    fn owner_fields(&mut self, _: &[u32], _: &str) -> Result<Vec<Option<String>>, String> {
        match *self {}
    }
}
