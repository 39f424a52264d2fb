//! One running gadget: kernel to sandbox to table, and the ledgers.
