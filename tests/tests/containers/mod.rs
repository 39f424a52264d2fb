//! Containers of real runtimes, beside `ig` as users run it.

mod churn;
mod containerd;
mod crowd;
mod docker;
mod many;
mod podman;
mod pods;
mod traced;
