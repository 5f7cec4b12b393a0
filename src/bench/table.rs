//! The report as a table.

use std::fmt;

use crate::report::{Figures, Report};

const HEAD: [&str; 8] =
    ["ops/s", "requests/s", "MiB/s", "p50 ms", "p99 ms", "CPU µs/req", "CPU s/GiB", "peak MiB"];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "A  {}", self.a)?;
        if let Some(b) = &self.b {
            writeln!(f, "B  {b}")?;
        }
        writeln!(
            f,
            "large blobs of {}, small ones of {}; {} round{} of {} s; {} client thread{}",
            size(self.large_bytes),
            size(self.small_bytes),
            self.rounds,
            if self.rounds == 1 { "" } else { "s" },
            self.seconds,
            self.threads,
            if self.threads == 1 { "" } else { "s" },
        )?;
        write!(f, "\n{:<20} {:>7} {:<5}", "work", "clients", "")?;
        for head in HEAD {
            write!(f, " {head:>11}")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:<20} {:>7} {:<5}", row.work, row.clients, "A")?;
            line(f, &row.a, |figure| figure.map(number))?;
            if let Some(b) = &row.b {
                write!(f, "{:<20} {:>7} {:<5}", "", "", "B")?;
                line(f, &b.figures, |figure| figure.map(number))?;
                write!(f, "{:<20} {:>7} {:<5}", "", "", "A/B")?;
                line(f, &b.a_by_b, |ratio| ratio.map(|ratio| format!("{:.2}", ratio.median)))?;
                write!(f, "{:<20} {:>7} {:<5}", "", "", "")?;
                line(f, &b.a_by_b, |ratio| ratio.map(|ratio| format!("{:.2}-{:.2}", ratio.low, ratio.high)))?;
            }
        }
        for note in &self.notes {
            write!(f, "\n* {note}")?;
        }
        Ok(())
    }
}

fn line<T: Copy>(
    f: &mut fmt::Formatter<'_>,
    figures: &Figures<T>,
    show: impl Fn(T) -> Option<String>,
) -> fmt::Result {
    for figure in &figures.all()[..HEAD.len()] {
        write!(f, " {:>11}", show(*figure).unwrap_or_else(|| "-".to_owned()))?;
    }
    writeln!(f)
}

/// Three significant digits, or all digits before the point.
fn number(number: f64) -> String {
    let decimals = match number.abs() {
        large if large >= 100.0 => 0,
        medium if medium >= 10.0 => 1,
        small if small >= 1.0 => 2,
        _ => 3,
    };
    format!("{number:.decimals$}")
}

fn size(bytes: u64) -> String {
    match bytes {
        mebi if mebi >= 1 << 20 && mebi % (1 << 20) == 0 => format!("{} MiB", mebi >> 20),
        kibi if kibi >= 1 << 10 && kibi % (1 << 10) == 0 => format!("{} KiB", kibi >> 10),
        bytes => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_what_counts() {
        for (given, shown) in [(12345.6, "12346"), (12.34, "12.3"), (1.234, "1.23"), (0.0123, "0.012")] {
            assert_eq!(number(given), shown);
        }
        for (given, shown) in [(64 << 20, "64 MiB"), (4096, "4 KiB"), (1500, "1500 B")] {
            assert_eq!(size(given), shown);
        }
    }
}
