//! The table at the end.

use std::fs;
use std::path::Path;

use super::sinks::Figures;
use crate::failure::Failure;
use crate::figures;

/// One output.
pub(crate) struct Row {
    output: String,
    what: &'static str,
    figures: Figures,
    bytes: u64,
}

impl Row {
    /// A file's row; an empty file is a failure.
    pub(crate) fn file(what: &'static str, path: &Path, figures: Figures) -> Result<Self, Failure> {
        let output = path.display().to_string();
        let length = fs::metadata(path).map(|found| found.len());
        let bytes =
            length.map_err(|error| Failure::of(&format!("cannot read {output}"), &error))?;
        if bytes == 0 || figures.frames == 0 {
            return Err(Failure::failed(format!("{output} is empty: no media came")));
        }
        Ok(Self {
            output,
            what,
            figures,
            bytes,
        })
    }
}

/// Prints the rows, and by how much the sound was late in what was decoded.
#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
pub(crate) fn print(rows: &[Row], offsets_us: &[i64]) {
    let width = rows
        .iter()
        .map(|row| row.output.chars().count())
        .max()
        .unwrap_or(0)
        .max(6);
    println!("{:width$}  frames  duration     bytes  dropped", "output");
    for row in rows {
        let Figures {
            frames,
            duration_us,
            dropped,
        } = row.figures;
        println!(
            "{:width$}  {frames:>6}  {:>8}  {:>8}  {dropped:>7}  {}",
            row.output,
            figures::seconds(duration_us),
            figures::bytes(row.bytes),
            row.what
        );
    }
    println!("{}", offset(offsets_us));
}

fn offset(offsets_us: &[i64]) -> String {
    let (Some(low), Some(high)) = (offsets_us.iter().min(), offsets_us.iter().max()) else {
        return "A/V offset: no flash and beep were seen; ask for more seconds".to_owned();
    };
    let mean = offsets_us.iter().sum::<i64>() as f64 / offsets_us.len() as f64;
    format!(
        "A/V offset: {:+.1} ms ({:+.1} to {:+.1} in {} flashes)",
        mean / 1e3,
        *low as f64 / 1e3,
        *high as f64 / 1e3,
        offsets_us.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_told_in_milliseconds() {
        assert_eq!(
            offset(&[1_000, 3_000]),
            "A/V offset: +2.0 ms (+1.0 to +3.0 in 2 flashes)"
        );
        assert!(offset(&[]).contains("no flash"));
    }
}
