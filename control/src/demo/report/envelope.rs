//! The outline of a sound: its least and greatest sample in each column of a plot.

use sabha_client::sound::SAMPLES_PER_MS;

/// Least and greatest sample for each column of a plot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Envelope {
    /// Least and greatest sample by column, within -1 to 1; (0, 0) where there is no sound.
    pub columns: Vec<(f32, f32)>,
}

impl Envelope {
    /// Outlines f32 mono PCM at 48 kHz whose first sample is at `start_ms` of a plot that is
    /// `duration_ms` long and `columns` wide. What lies outside the plot is left off.
    #[must_use]
    pub fn of(pcm: &[f32], start_ms: f64, duration_ms: u64, columns: usize) -> Self {
        let columns = columns.min(COLUMNS_MAX);
        let column_samples = duration_ms as f64 * SAMPLES_PER_MS as f64 / columns.max(1) as f64;
        let first = start_ms * SAMPLES_PER_MS as f64;
        let sample_at = |column: usize| {
            // `as` saturates: what lies before the sound is its sample 0.
            ((column as f64 * column_samples - first).round() as usize).min(pcm.len())
        };
        let column = |i| outline(&pcm[sample_at(i)..sample_at(i + 1)]);
        Self { columns: (0..columns).map(column).collect() }
    }
}

fn outline(pcm: &[f32]) -> (f32, f32) {
    let extend = |(low, high): (f32, f32), &sample: &f32| (low.min(sample), high.max(sample));
    let (low, high) = pcm.iter().fold((0.0, 0.0), extend);
    (low.max(-1.0), high.min(1.0))
}

/// The most columns of an envelope; more than any screen shows, so pages stay small.
pub const COLUMNS_MAX: usize = 4_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_hold_the_extremes_of_their_time() {
        let mut pcm = vec![0.0; 100 * SAMPLES_PER_MS];
        pcm[15 * SAMPLES_PER_MS] = 0.5;
        pcm[16 * SAMPLES_PER_MS] = -2.0;
        pcm[95 * SAMPLES_PER_MS] = f32::NAN;
        let envelope = Envelope::of(&pcm, 0.0, 100, 10);
        assert_eq!(envelope.columns.len(), 10);
        assert_eq!(envelope.columns[1], (-1.0, 0.5));
        assert!(envelope.columns[2..].iter().all(|column| *column == (0.0, 0.0)));
    }

    #[test]
    fn sound_lies_where_it_starts_and_beyond_the_plot_is_left_off() {
        let pcm = vec![0.5; 30 * SAMPLES_PER_MS];
        let starts = |start_ms| Envelope::of(&pcm, start_ms, 100, 10).columns;
        let sounding = |columns: Vec<(f32, f32)>| -> Vec<usize> {
            (0..10).filter(|&i| columns[i].1 > 0.0).collect()
        };
        assert_eq!(sounding(starts(40.0)), [4, 5, 6]);
        assert_eq!(sounding(starts(-20.0)), [0]);
        assert_eq!(sounding(starts(80.0)), [8, 9]);
        assert_eq!(Envelope::of(&[], 0.0, 0, 3).columns, [(0.0, 0.0); 3]);
    }
}
