//! What is said to people when a runtime is lost and when it is back.

use crate::owner::Runtime;
use crate::runtimes::Said;
use std::collections::BTreeMap;

/// Which runtimes answered once, and whether they do.
#[derive(Debug, Default)]
pub(crate) struct Outages(BTreeMap<Runtime, bool>);

impl Outages {
    /// One sentence, if somebody should hear of it: one that never answered is not missed.
    pub(crate) fn sentence(&mut self, said: &Said) -> Option<String> {
        match said {
            Said::Found(runtime) => {
                let back = self.0.insert(*runtime, true) == Some(false);
                back.then(|| format!("{runtime} answers again"))
            }
            Said::Lost(runtime, why) => {
                let answers = self.0.get_mut(runtime).filter(|answers| **answers)?;
                *answers = false;
                Some(format!(
                    "{runtime} does not answer any more ({why}); until it does, its new containers are known by its files alone"
                ))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_was_there_is_missed_once_and_welcomed_once() {
        let mut outages = Outages::default();
        let lost = |runtime| Said::Lost(runtime, "its socket is gone".to_owned());
        let found = Said::Found;
        let (docker, podman) = (Runtime::Docker, Runtime::Podman);
        let mut say = |said: Said| outages.sentence(&said).unwrap_or_default();
        assert_eq!(say(lost(docker)), "", "it never was there");
        assert_eq!(say(found(docker)), "", "at first");
        let words = say(lost(docker));
        assert!(
            words.starts_with("docker does not answer any more (its socket is gone)"),
            "{words}"
        );
        assert_eq!(say(lost(docker)), "");
        assert_eq!(say(found(podman)), "");
        assert_eq!(say(found(docker)), "docker answers again");
        assert_eq!(say(found(docker)), "");
        assert_eq!(say(Said::Silent(podman)), "");
    }
}
