//! What a bench found, as a table and as JSON.

use serde_json::{Value, json};
use std::borrow::Cow;

/// One figure with what it is measured against.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its name, as the specification has it.
    pub name: &'static str,
    /// What was measured of us.
    pub value: f64,
    /// The unit of both.
    pub unit: &'static str,
    /// What it is measured against, in words.
    pub against: Cow<'static, str>,
    /// What was measured of that; none where the goal is a number.
    pub baseline: Option<f64>,
    /// The goal: the ratio, or the value where there is no baseline, is at most this; at least, if `at_least`.
    pub goal: Option<f64>,
    /// See `goal`.
    pub at_least: bool,
}

impl Figure {
    /// Ours against a baseline, the ratio at most `goal`.
    pub fn ratio(
        name: &'static str,
        unit: &'static str,
        value: f64,
        against: impl Into<Cow<'static, str>>,
        baseline: f64,
        goal: f64,
    ) -> Self {
        Self {
            name,
            value,
            unit,
            against: against.into(),
            baseline: Some(baseline),
            goal: Some(goal),
            at_least: false,
        }
    }

    /// A number that is to be at most `goal`.
    pub fn most(name: &'static str, unit: &'static str, value: f64, goal: f64) -> Self {
        Self {
            name,
            value,
            unit,
            against: "".into(),
            baseline: None,
            goal: Some(goal),
            at_least: false,
        }
    }

    /// The other way round: more is better.
    pub fn at_least(mut self) -> Self {
        self.at_least = true;
        self
    }

    fn ratio_of(&self) -> Option<f64> {
        self.baseline.map(|b| self.value / b)
    }

    fn met(&self) -> Option<bool> {
        let measured = self.ratio_of().unwrap_or(self.value);
        self.goal.map(|goal| {
            if self.at_least {
                measured >= goal
            } else {
                measured <= goal
            }
        })
    }

    fn goal_text(&self) -> String {
        let Some(goal) = self.goal else {
            return String::new();
        };
        let sign = if self.at_least { ">=" } else { "<=" };
        let unit = if self.baseline.is_some() {
            "x"
        } else {
            self.unit
        };
        let space = if self.baseline.is_some() { "" } else { " " };
        format!("{sign} {goal}{space}{unit}")
    }
}

/// The middle one; of none, not a number.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// The value below which `percent` of them lie.
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 - 1.0) * percent / 100.0).round();
    sorted.get(at as usize).copied().unwrap_or(f64::NAN)
}

/// All figures as lines.
pub fn table(figures: &[Figure]) -> String {
    let mut text = format!(
        "{:44} {:>12} {:>12} {:8} {:>8}  {:14} \n",
        "figure", "ours", "baseline", "unit", "ratio", "goal"
    );
    for f in figures {
        let number = |n: Option<f64>| n.map_or_else(String::new, |n| format!("{n:.3}"));
        let met = match f.met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        let line = format!(
            "{:44} {:>12} {:>12} {:8} {:>8}  {:14} {met:7} {}",
            f.name,
            number(Some(f.value)),
            number(f.baseline),
            f.unit,
            f.ratio_of()
                .map_or_else(String::new, |r| format!("{r:.2}x")),
            f.goal_text(),
            f.against
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// All figures for programs.
pub fn json(figures: &[Figure]) -> String {
    let list: Vec<Value> = figures
        .iter()
        .map(|f| {
            json!({
                "name": f.name, "value": f.value, "unit": f.unit, "against": f.against, "baseline": f.baseline,
                "ratio": f.ratio_of(), "goal": f.goal_text(), "met": f.met(),
            })
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&list).unwrap_or_default();
    text.push('\n');
    text
}
