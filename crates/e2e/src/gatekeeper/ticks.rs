//! What commands that must not run twice noted of themselves, and the judge of it.
//!
//! `testbed-app tick` appends a line every 2 ms with the machine's boot clock, which all containers of all nodes share. So the
//! last line bounds the death of an instance, however it died.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};

/// The machine's boot clock now.
pub fn boot_now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_BOOTTIME).context("reading the boot clock")?.into())
}

/// One life of a command. Times are on the boot clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The pod.
    pub pod: String,
    /// `HOTSTANDBY_TERM`, where it was given.
    pub term: Option<i64>,
    /// The first sign of life.
    pub start: Duration,
    /// When it was told to stop.
    pub told: Option<Duration>,
    /// The last sign of life.
    pub last: Duration,
    /// Whether it ended by itself, having been told to.
    pub stopped: bool,
    /// The longest time without a sign of life.
    pub pause: Duration,
}

/// All lives noted in a file; reads on where it stopped.
#[derive(Debug)]
pub struct Ticks {
    path: PathBuf,
    read: u64,
    half: String,
    lives: BTreeMap<String, Life>,
}

impl Ticks {
    /// Of this file, which need not exist yet.
    pub fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), read: 0, half: String::new(), lives: BTreeMap::new() }
    }

    /// Takes in what is new, and returns all lives in the order of their starts.
    pub fn lives(&mut self) -> Result<Vec<Life>> {
        if let Ok(mut file) = File::open(&self.path) {
            let mut text = String::new();
            file.seek(SeekFrom::Start(self.read))
                .and_then(|_| file.read_to_string(&mut text))
                .with_context(|| format!("reading {}", self.path.display()))?;
            self.read += u64::try_from(text.len())?;
            self.take(&text);
        }
        let mut lives: Vec<Life> = self.lives.values().cloned().collect();
        lives.sort_by_key(|life| life.start);
        Ok(lives)
    }

    fn take(&mut self, text: &str) {
        let whole = std::mem::take(&mut self.half) + text;
        let (lines, half) = whole.rsplit_once('\n').unwrap_or(("", &whole));
        for line in lines.lines() {
            let mut words = line.split(' ');
            let (Some(at), Some(what), Some(instance), Some(term)) =
                (words.next().and_then(|at| at.parse().ok()), words.next(), words.next(), words.next())
            else {
                continue;
            };
            let at = Duration::from_nanos(at);
            let life = self.lives.entry(instance.to_owned()).or_insert_with(|| Life {
                pod: instance.split('/').next().unwrap_or_default().to_owned(),
                term: term.parse().ok(),
                start: at,
                told: None,
                last: at,
                stopped: false,
                pause: Duration::ZERO,
            });
            life.pause = life.pause.max(at.saturating_sub(life.last));
            life.last = life.last.max(at);
            match what {
                "told" => life.told = Some(at),
                "stop" => life.stopped = true,
                _ => {}
            }
        }
        half.clone_into(&mut self.half);
    }
}

/// All pairs of lives at one time, in words; lives are in the order of their starts.
pub fn overlaps(lives: &[Life]) -> Vec<String> {
    let mut found = Vec::new();
    for (place, earlier) in lives.iter().enumerate() {
        for later in lives.iter().skip(place + 1) {
            if later.start <= earlier.last {
                found.push(format!(
                    "{} (term {:?}) lived {:.1} ms into the life of {} (term {:?})",
                    earlier.pod,
                    earlier.term,
                    earlier.last.saturating_sub(later.start).as_secs_f64() * 1000.0,
                    later.pod,
                    later.term
                ));
            }
        }
    }
    found
}

/// Terms that do not rise from a life to the next, in words. Lives without a term are left out.
pub fn falls(lives: &[Life]) -> Vec<String> {
    let terms: Vec<(i64, &str)> =
        lives.iter().filter_map(|life| Some((life.term?, life.pod.as_str()))).collect();
    let pairs = terms.iter().zip(terms.iter().skip(1));
    pairs
        .filter(|((before, _), (after, _))| after <= before)
        .map(|((before, old), (after, new))| format!("{new} started at term {after} after {old} at {before}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives(text: &str) -> Vec<Life> {
        let mut ticks = Ticks::of(Path::new("/nowhere"));
        // As it comes while it is being written.
        for half in text.as_bytes().chunks(7) {
            ticks.take(std::str::from_utf8(half).unwrap());
        }
        ticks.lives().unwrap()
    }

    #[test]
    fn lives_one_after_the_other_are_well() {
        let lives = lives(
            "100 start a/100 4\n110 alive a/100 4\n190 told a/100 4\n200 stop a/100 4\n\
             201 start b/201 5\n250 alive b/201 5\n300 start a/300 6\n",
        );
        assert_eq!(lives.len(), 3);
        assert!(lives[0].stopped && !lives[1].stopped);
        assert_eq!(
            (lives[0].told, lives[0].last),
            (Some(Duration::from_nanos(190)), Duration::from_nanos(200))
        );
        assert_eq!(lives[0].pause, Duration::from_nanos(80));
        assert!(overlaps(&lives).is_empty() && falls(&lives).is_empty());
    }

    #[test]
    fn two_lives_at_once_are_seen_even_if_another_lies_between() {
        let lives = lives(
            "100 start a/100 4\n200 start b/200 5\n210 alive b/200 5\n220 start c/220 6\n230 alive a/100 4\n",
        );
        assert_eq!(overlaps(&lives).len(), 2);
    }

    #[test]
    fn a_term_that_does_not_rise_is_seen() {
        let lives = lives("100 start a/100 4\n200 start b/200 -\n300 start c/300 4\n");
        assert_eq!(falls(&lives).len(), 1);
    }
}
