//! Logs as LAS 2.0 and 3.0, the formats of the Canadian Well Logging Society that well-log software
//! reads.

use std::fmt::Write;

use super::depth_log::{Bed, DepthLog};
use crate::error::{Result, check};

/// Stands where there is no value.
const NULL: f64 = -999.25;

/// Depths are counted in these, for multiples of a step in metres are not those that they are
/// written as: seven times 0.01 is above 0.07.
const MICROMETRES: f64 = 1e6;

/// Depths of intervals have so many decimals, and those of curves no fewer.
const DECIMALS: usize = 4;

/// The depths of curves, the multiples of a step within a log: all in micrometres.
pub(super) struct Samples {
    first: i64,
    last: i64,
    step: i64,
}

impl Samples {
    /// Those of a range and a step in metres.
    pub(super) fn new((top, bottom): (f64, f64), step: f64) -> Result<Self> {
        let whole = |metres: f64| (metres * MICROMETRES).round() as i64;
        let in_range = (0.001..=10.0).contains(&step);
        let is_whole = (step * MICROMETRES - whole(step) as f64).abs() < 1e-3;
        let expected = "0.001 to 10 metres in whole micrometres";
        check(in_range && is_whole, "step", expected, step)?;
        let samples = Self {
            first: -(-whole(top)).div_euclid(whole(step)),
            last: whole(bottom).div_euclid(whole(step)),
            step: whole(step),
        };
        let expected = format!("one with a multiple in the log, {top} to {bottom} m");
        check(samples.first <= samples.last, "step", &expected, step)?;
        Ok(samples)
    }

    fn depth(&self, index: i64) -> f64 {
        (index * self.step) as f64 / MICROMETRES
    }

    /// First depth, last depth and step.
    fn ends(&self) -> [f64; 3] {
        [self.depth(self.first), self.depth(self.last), self.depth(1)]
    }

    /// How many decimals the step and its multiples have.
    fn decimals(&self) -> usize {
        let rest = match self.step {
            step if step % 100 == 0 => 0,
            step if step % 10 == 0 => 1,
            _ => 2,
        };
        DECIMALS + rest
    }
}

/// Curves of the class (numbered from 1 in the parameters), its confidence and each probability at
/// each of the depths, and the intervals as lines of the section `~Other`.
pub(super) fn las(log: &DepthLog, well: &str, samples: &Samples) -> String {
    let mut text = String::new();
    let mut line = |content: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{content}");
    };
    line(format_args!("~Version information"));
    line(format_args!(
        " VERS.   2.0 : CWLS LOG ASCII STANDARD - VERSION 2.0"
    ));
    line(format_args!(" WRAP.    NO : ONE LINE PER DEPTH STEP"));
    let well = well_information(well, samples.ends(), samples.decimals());
    line(format_args!("{well}"));
    line(format_args!("~Curve information"));
    line(format_args!(" DEPT.M : DEPTH"));
    line(format_args!(" CLASS. : CLASS, A NUMBER OF THE PARAMETERS"));
    line(format_args!(" CONF.  : PROBABILITY OF THE CLASS"));
    let names = mnemonics(log.classes());
    let classes = class_names(log);
    for (mnemonic, class) in names.iter().zip(&classes) {
        line(format_args!(" {mnemonic}. : PROBABILITY OF {class}"));
    }
    line(format_args!("~Parameter information"));
    for (number, class) in (1..).zip(&classes) {
        line(format_args!(" C{number}. {class} : CLASS {number}"));
    }
    line(format_args!("~Other"));
    line(format_args!(
        "Intervals: top (m), bottom (m), class, confidence"
    ));
    for (bed, name) in named_beds(log, &classes) {
        line(format_args!(
            "{:.4} {:.4} {name} {:.3}",
            bed.top, bed.bottom, bed.confidence
        ));
    }
    line(format_args!("~ASCII DEPT CLASS CONF {}", names.join(" ")));
    let decimals = samples.decimals();
    for index in samples.first..=samples.last {
        let depth = samples.depth(index);
        let values = values(log, depth).join(" ");
        line(format_args!("{depth:.decimals$} {values}"));
    }
    text
}

/// The number of the class at a depth, its probability and those of all classes.
fn values(log: &DepthLog, depth: f64) -> Vec<String> {
    // What is rounded to the end of an interval is in the one below.
    let place = depth + 0.5 / MICROMETRES;
    let class = log.at(place).and_then(|bed| bed.class);
    let Some((class, shares)) = class.zip(log.probabilities(place)) else {
        return vec![NULL.to_string(); 2 + log.classes().len()];
    };
    let shown = std::iter::once(&shares[class]).chain(shares);
    let shown = shown.map(|share| format!("{share:.4}"));
    std::iter::once((class + 1).to_string())
        .chain(shown)
        .collect()
}

/// The intervals that have a class as LAS 3.0, whose section of tops has a top, a base and a name a line.
pub(super) fn las_intervals(log: &DepthLog, well: &str) -> String {
    let (top, bottom) = log.range();
    // Intervals have no step.
    let well = well_information(well, [top, bottom, 0.0], DECIMALS);
    let head = "\
~Version
 VERS.   3.0 : CWLS LOG ASCII STANDARD - VERSION 3.0
 WRAP.    NO : ONE LINE PER INTERVAL
 DLM.  COMMA : DELIMITING CHARACTER";
    let definition = "\
~Tops_Definition
 TOPN.  : CLASS {S}
 TOPT.M : TOP DEPTH {F}
 TOPB.M : BASE DEPTH {F}
 CONF.  : PROBABILITY OF THE CLASS {F}
~Tops_Data | Tops_Definition";
    let mut text = format!("{head}\n{well}\n{definition}\n");
    for (bed, name) in named_beds(log, &class_names(log)) {
        let (top, bottom, confidence) = (bed.top, bed.bottom, bed.confidence);
        text += &format!("{name},{top:.4},{bottom:.4},{confidence:.3}\n");
    }
    text
}

/// The intervals that have a class, and its name of these.
fn named_beds<'l>(
    log: &'l DepthLog,
    classes: &'l [String],
) -> impl Iterator<Item = (&'l Bed, &'l String)> {
    let beds = log.beds().iter();
    beds.filter_map(|bed| Some((bed, classes.get(bed.class?)?)))
}

/// The section of the well, whose first depth, last depth and step these are.
fn well_information(well: &str, depths: [f64; 3], decimals: usize) -> String {
    let [first, last, step] = depths.map(|depth| format!("{depth:.decimals$}"));
    let mut text = format!(
        "~Well information\n STRT.M {first} : FIRST DEPTH\n STOP.M {last} : LAST DEPTH\n \
         STEP.M {step} : STEP\n NULL.  {NULL} : NO VALUE\n WELL.  {} : WELL",
        ascii(well)
    );
    for (name, what) in [
        ("COMP", "COMPANY"),
        ("FLD", "FIELD"),
        ("LOC", "LOCATION"),
        ("PROV", "PROVINCE"),
        ("SRVC", "SERVICE COMPANY"),
        ("DATE", "DATE"),
        ("UWI", "UNIQUE WELL ID"),
    ] {
        text += &format!("\n {name}.  : {what}");
    }
    text
}

/// LAS files are ASCII, and a colon ends a value.
fn ascii(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_graphic() && c != ':' || c == ' ' {
            c
        } else {
            '_'
        }
    };
    text.chars().map(plain).collect()
}

/// Distinct names of curves: capital letters, digits and `_`.
fn mnemonics(classes: &[String]) -> Vec<String> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let name = |class: &String| format!("P_{}", class.chars().map(plain).collect::<String>());
    distinct(classes.iter().map(name))
}

/// The names of classes as [`ascii`], without what lines of intervals are parted and quoted by, and
/// what makes a line a comment or a section.
fn class_names(log: &DepthLog) -> Vec<String> {
    let classes = log.classes().iter();
    distinct(classes.map(|class| ascii(class).replace([',', '"', '#', '~'], "_")))
}

/// Names of which none is there twice: the second of a kind has `_2` at its end.
fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut result: Vec<String> = Vec::new();
    for name in names {
        let mut other = name.clone();
        let mut count = 1;
        while result.contains(&other) {
            count += 1;
            other = format!("{name}_{count}");
        }
        result.push(other);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::super::depth_log::LogSettings;
    use super::super::predictions::TilePrediction;
    use super::*;

    /// The curves every `step` metres.
    fn curves(log: &DepthLog, step: f64) -> String {
        las(log, "U1618A", &Samples::new(log.range(), step).unwrap())
    }

    /// A log of one class from `top` to `bottom`.
    fn log_of_one(class: &str, top: f64, bottom: f64) -> DepthLog {
        let tile = TilePrediction::new(top, bottom, vec![1.0]);
        DepthLog::new(&[tile], &[class.to_owned()], &LogSettings::default()).unwrap()
    }

    #[test]
    fn curves_begin_at_the_first_step_and_keep_to_it() {
        for top in [0.07, 0.14, 0.29, 0.57, 1.1, 8.2, -0.07, 555.55] {
            let text = curves(&log_of_one("x", top, top + 0.1), 0.01);
            assert!(text.contains(&format!(" STRT.M {top:.4} :")), "{text}");
            assert!(
                text.contains(&format!("\n{top:.4} 1 1.0000 1.0000\n")),
                "{text}"
            );
            assert!(
                text.contains(&format!(" STOP.M {:.4} :", top + 0.1)),
                "{text}"
            );
        }
        for (step, shown) in [
            (0.00125, "0.00125"),
            (0.003_333, "0.003333"),
            (0.01, "0.0100"),
        ] {
            let text = curves(&log_of_one("x", 0.0, 20.0), step);
            assert!(text.contains(&format!(" STEP.M {shown} :")), "{text}");
            let (_, rows) = text.split_once("~ASCII DEPT CLASS CONF P_X\n").unwrap();
            let last = rows.lines().last().unwrap();
            let depth = shown.parse::<f64>().unwrap() * (rows.lines().count() - 1) as f64;
            let decimals = shown.len() - 2;
            assert!(last.starts_with(&format!("{depth:.decimals$} ")), "{last}");
        }
        for (step, expected) in [
            (
                0.001_234_567,
                "step: expected 0.001 to 10 metres in whole micrometres",
            ),
            (
                10.0,
                "step: expected one with a multiple in the log, 0.05 to 0.3 m, found 10",
            ),
            (0.0001, "step: expected 0.001 to 10 metres"),
            (f64::NAN, "step: expected 0.001 to 10 metres"),
        ] {
            let error = Samples::new((0.05, 0.3), step).err().unwrap().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn no_class_makes_a_comment_or_a_section() {
        for (class, name) in [("#1 sand", "_1 sand"), ("~silt", "_silt"), (" # x", " _ x")] {
            let intervals = las_intervals(&log_of_one(class, 0.0, 1.0), "U1618A");
            let expected = format!("\n{name},0.0000,1.0000,1.000\n");
            assert!(intervals.ends_with(&expected), "{intervals}");
        }
    }

    #[test]
    fn curves_have_a_value_per_step_and_null_in_gaps() {
        let classes = [
            "up-arching".to_owned(),
            "up arching".to_owned(),
            "Störung: x".to_owned(),
        ];
        let tile = |top, bottom| TilePrediction::new(top, bottom, vec![0.25, 0.7, 0.05]);
        let tiles = [tile(10.005, 10.105), tile(10.205, 10.305)];
        let log = DepthLog::new(&tiles, &classes, &LogSettings::default()).unwrap();
        let text = curves(&log, 0.05);
        assert!(text.is_ascii());
        for expected in [
            " STRT.M 10.0500 :",
            " STOP.M 10.3000 :",
            " P_UP_ARCHING. :",
            " P_UP_ARCHING_2. :",
            " C3. St_rung_ x : CLASS 3",
            "10.0050 10.1050 up arching 0.700",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        let intervals = las_intervals(&log, "U1618A");
        let (_, beds) = intervals
            .split_once("~Tops_Data | Tops_Definition\n")
            .unwrap();
        let [first, second] = ["10.0050,10.1050", "10.2050,10.3050"];
        assert_eq!(
            beds,
            format!("up arching,{first},0.700\nup arching,{second},0.700\n")
        );
        assert!(intervals.contains(" STOP.M 10.3050 :"), "{intervals}");

        let rows: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.starts_with("~ASCII"))
            .skip(1)
            .collect();
        assert_eq!(rows.len(), 6);
        assert_eq!(rows[0], "10.0500 2 0.7000 0.2500 0.7000 0.0500");
        assert_eq!(rows[2], "10.1500 -999.25 -999.25 -999.25 -999.25 -999.25");
    }

    #[test]
    fn classes_that_differ_outside_of_ascii_stay_distinct() {
        let classes = ["gré", "grè", "grè, fin", "grè: fin"].map(str::to_owned);
        let tile = |top: f64, class: usize| {
            let mut shares = vec![0.0; 4];
            shares[class] = 1.0;
            TilePrediction::new(top, top + 0.1, shares)
        };
        let tiles = [0, 1, 2, 3].map(|class| tile(0.1 * class as f64, class));
        let log = DepthLog::new(&tiles, &classes, &LogSettings::default()).unwrap();
        let text = curves(&log, 0.05);
        for expected in [
            " C1. gr_ : CLASS 1",
            " C2. gr__2 : CLASS 2",
            " C3. gr__ fin : CLASS 3",
            " C4. gr__ fin_2 : CLASS 4",
            "0.1000 0.2000 gr__2 1.000",
            " P_GR__2. : PROBABILITY OF gr__2",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        let intervals = las_intervals(&log, "U1618A");
        assert!(intervals.ends_with(
            "gr_,0.0000,0.1000,1.000\ngr__2,0.1000,0.2000,1.000\ngr__ fin,0.2000,0.3000,1.000\n\
             gr__ fin_2,0.3000,0.4000,1.000\n"
        ));
    }
}
