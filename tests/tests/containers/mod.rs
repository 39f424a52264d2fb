//! Containers of real runtimes, beside `ig` as users run it.

mod alone;
mod churn;
mod containerd;
mod crowd;
mod docker;
mod endpoints;
mod forged;
mod guest;
mod held;
mod inside;
mod kills;
mod listing;
mod many;
mod marked;
mod packets;
mod podman;
mod pods;
mod recorded;
mod selected;
mod sockets;
mod traced;
mod unasked;
mod undecided;
mod units;
mod unruly;
