//! Which samples a segment has.
//!
//! A segment is made of whole groups of pictures: those whose keyframe is shown within
//! [start, end). The pictures that follow an open group's keyframe and are shown before it belong
//! to it as well, for they cannot be decoded without it. So segments that follow each other have
//! each picture once, in decoding order. Where a segment ends in the middle of a group, pictures
//! shown at its end or later are left out, and the next one begins with its first keyframe.

/// A span of time in microseconds.
#[expect(
    clippy::struct_field_names,
    reason = "the unit is in each name, as everywhere"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start_us: i64,
    /// The first time that is not in it any more.
    pub(super) end_us: i64,
    /// By how much times may be off: a keyframe so much before the start is at the start.
    pub(super) tolerance_us: i64,
}

/// Follows a track of pictures through a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Progress {
    /// No keyframe within the window was seen.
    #[default]
    Before,
    Within,
    /// Nothing that comes belongs to the window.
    After,
}

impl Window {
    /// Whether a time is at the end or behind it.
    pub(super) fn is_after(&self, time_us: i64) -> bool {
        time_us.saturating_add(self.tolerance_us) >= self.end_us
    }

    pub(super) fn is_before(&self, time_us: i64) -> bool {
        time_us.saturating_add(self.tolerance_us) < self.start_us
    }

    /// Whether the next picture in decoding order is in the window.
    pub(super) fn takes(&self, progress: &mut Progress, keyframe: bool, shown_us: i64) -> bool {
        if keyframe && *progress != Progress::After {
            *progress = if self.is_after(shown_us) {
                Progress::After
            } else if self.is_before(shown_us) {
                Progress::Before
            } else {
                Progress::Within
            };
        }
        *progress == Progress::Within && !self.is_after(shown_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window {
        start_us: 1_000,
        end_us: 2_000,
        tolerance_us: 1,
    };

    fn taken(pictures: &[(bool, i64)]) -> Vec<i64> {
        let mut progress = Progress::default();
        pictures
            .iter()
            .filter(|(keyframe, time)| WINDOW.takes(&mut progress, *keyframe, *time))
            .map(|(_, time)| *time)
            .collect()
    }

    #[test]
    fn whole_groups_of_pictures_are_taken() {
        let pictures = [
            (true, 0),
            (false, 500),
            (true, 999),
            (false, 1_300),
            (false, 1_100),
            (true, 1_500),
            (false, 1_400),
            (true, 1_999),
            (false, 1_998),
            (false, 2_100),
            (true, 2_500),
        ];
        assert_eq!(taken(&pictures), [999, 1_300, 1_100, 1_500, 1_400]);
    }

    #[test]
    fn pictures_behind_the_end_are_left_out_of_a_group_that_goes_on() {
        let pictures = [
            (true, 1_000),
            (false, 2_400),
            (false, 1_800),
            (true, 3_000),
            (false, 1_900),
        ];
        assert_eq!(taken(&pictures), [1_000, 1_800]);
    }
}
