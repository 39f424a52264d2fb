//! Containers of real runtimes, beside `ig` as users run it.

mod churn;
mod containerd;
mod crowd;
mod docker;
mod many;
mod guest;
mod listing;
mod podman;
mod pods;
mod recorded;
mod traced;
mod unasked;
mod unruly;
