//! How long to wait before the next attempt.

use std::time::Duration;

use super::ReconnectOptions;

/// The pause before attempt number `attempt` (from 1): it doubles up to the cap, and `random` in
/// 0.0..=1.0 takes away up to half of it, so that many publishers do not come back at once.
pub(crate) fn delay(options: &ReconnectOptions, attempt: u32, random: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    let full = options
        .initial_delay
        .saturating_mul(1 << doublings)
        .min(options.max_delay);
    full.mul_f64(1.0 - 0.5 * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_jitter_takes_at_most_half() {
        let options = ReconnectOptions {
            initial_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(8),
            ..ReconnectOptions::default()
        };
        let pauses: Vec<_> = (1..=7).map(|n| delay(&options, n, 0.0)).collect();
        let expected = [500, 1000, 2000, 4000, 8000, 8000, 8000].map(Duration::from_millis);
        assert_eq!(pauses, expected);
        assert_eq!(delay(&options, 1, 1.0), Duration::from_millis(250));
        assert_eq!(delay(&options, u32::MAX, 1.0), Duration::from_secs(4));
    }
}
