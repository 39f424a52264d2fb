//! Containers of real runtimes, beside `ig` as users run it.

mod churn;
mod crowd;
mod many;
