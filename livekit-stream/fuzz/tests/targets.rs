//! Every target on its corpus, and on inputs made of it at random. `FUZZ_SECONDS` says for how
//! long; the default is a minute for all together.

use std::alloc::System;
use std::path::Path;
use std::time::{Duration, Instant};

use cap::Cap;
use livekit_stream_fuzz::TARGETS;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// All memory of this process. An input that makes a parser take more aborts the test.
const MEMORY: usize = 512 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MEMORY);

/// The longest input made.
const MAX_LEN: usize = 8192;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    let read = |path| std::fs::read(path).expect("a corpus file");
    paths.into_iter().map(read).collect()
}

/// An input like one of the corpus: bytes changed, removed, repeated, or of two inputs.
fn mutate(corpus: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut input = corpus[random.random_range(0..corpus.len())].clone();
    for _ in 0..random.random_range(0..8) {
        if input.is_empty() {
            input = vec![0; random.random_range(1..64)];
            random.fill_bytes(&mut input);
        }
        let at = random.random_range(0..input.len());
        let end = random.random_range(at..=input.len().min(at + 64));
        match random.random_range(0..7) {
            0 => input[at] ^= 1 << random.random_range(0..8),
            1 => input[at] = random.random(),
            2 => input[at] = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)],
            3 => input.truncate(at),
            4 => drop(input.drain(at..end)),
            5 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            _ => {
                let other = &corpus[random.random_range(0..corpus.len())];
                let from = random.random_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input.truncate(MAX_LEN);
    input
}

fn seconds() -> u64 {
    match std::env::var("FUZZ_SECONDS") {
        Ok(text) => text.parse().expect("FUZZ_SECONDS is a number"),
        Err(_) => 60,
    }
}

#[test]
fn no_input_panics_hangs_or_takes_the_memory() {
    let share = Duration::from_secs(seconds()) / TARGETS.len() as u32;
    for target in TARGETS {
        let corpus = corpus(target.name);
        for input in &corpus {
            (target.run)(input);
        }
        let mut random = StdRng::seed_from_u64(rand::random());
        let start = Instant::now();
        let mut runs = 0;
        while start.elapsed() < share {
            let input = mutate(&corpus, &mut random);
            let began = Instant::now();
            let ended = std::panic::catch_unwind(|| (target.run)(&input));
            let took = began.elapsed();
            assert!(
                ended.is_ok() && took < Duration::from_secs(5),
                "{} on this input, after {took:?}: {input:02x?}",
                target.name
            );
            runs += 1;
        }
        println!(
            "{}: {} of the corpus, {runs} at random",
            target.name,
            corpus.len()
        );
    }
}

#[test]
fn each_target_has_its_binary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    for target in TARGETS {
        assert!(
            folder.join(format!("{}.rs", target.name)).exists(),
            "{}",
            target.name
        );
    }
    assert_eq!(folder.read_dir().expect("targets").count(), TARGETS.len());
}
