//! `storm N [PATH]`: N calls of getppid(2), or N tries to open PATH, as fast as one thread can.
//!
//! Prints how many calls it made: what the ledger of a run has to say as well.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(number) = arguments.next().and_then(|text| text.parse::<u64>().ok()) else {
        eprintln!("storm N [PATH]");
        return ExitCode::from(2);
    };
    let path = arguments.next();
    let mut made = 0_u64;
    for _ in 0..number {
        match &path {
            Some(path) => drop(std::fs::File::open(path)),
            None => {
                std::hint::black_box(std::os::unix::process::parent_id());
            }
        }
        made += 1;
    }
    println!("storm made {made} calls");
    ExitCode::SUCCESS
}
