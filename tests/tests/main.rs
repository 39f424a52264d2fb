//! End to end: the program as users run it, on the running kernel.
//!
//! One binary, because each costs a link: `cargo xtask test -- --package ig-tests trace_open` runs
//! the tests of one module. What needs root says so by failing.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod containers;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod filter;
#[cfg(test)]
mod first_gadget;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod gadget_tests;
#[cfg(test)]
mod guests;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod house;
#[cfg(test)]
mod image;
#[cfg(test)]
mod iterators;
#[cfg(test)]
mod ledgers;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod new;
#[cfg(test)]
mod output;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod recording;
#[cfg(test)]
mod several;
#[cfg(test)]
mod shell;
#[cfg(test)]
mod snapshot_socket;
#[cfg(test)]
mod socket_filters;
#[cfg(test)]
mod specification;
#[cfg(test)]
mod stacks;
#[cfg(test)]
mod trace_exec;
#[cfg(test)]
mod trace_exec_py;
#[cfg(test)]
mod trace_open;
#[cfg(test)]
mod trace_signal;
#[cfg(test)]
mod trace_tcp;
#[cfg(test)]
mod unread;
