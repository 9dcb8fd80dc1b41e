//! Makes decoded sound a little shorter or longer without changing its pitch.
//!
//! A step takes out, or says again, a stretch that resembles what follows it: a pitch period of a
//! vowel, any piece of noise. The two are faded over each other (waveform similarity overlap-add,
//! Verhelst and Roelands, ICASSP 1993).

/// How much alike must be what is faded over each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// So much that nothing is heard of it: a normalised correlation of 0.8.
    Close,
    /// As much as speech nearly always is somewhere near: 0.5. A little rough, and better than a
    /// delay that people talk into each other for.
    Rough,
}

impl Likeness {
    fn correlation_min(self) -> f32 {
        match self {
            Self::Close => 0.8,
            Self::Rough => 0.5,
        }
    }
}

/// Takes up to `most` samples out of `pcm`; returns how many it is shorter.
///
/// `None` if nothing in it resembles itself closely enough, or it is too short; then it is
/// unchanged.
pub fn shorten(pcm: &mut [f32], most: usize, likeness: Likeness) -> Option<usize> {
    let lag = best_lag(pcm, most, likeness)?;
    for index in 0..FADE_SAMPLES {
        pcm[index] += (pcm[index + lag] - pcm[index]) * share(index);
    }
    pcm.copy_within(FADE_SAMPLES + lag.., FADE_SAMPLES);
    Some(lag)
}

/// Says up to `most` of the first `length` samples of `pcm` again; returns how many it is longer.
/// Behind those samples there is room for more.
///
/// `None` as for `shorten`, or if there is no room.
pub fn lengthen(pcm: &mut [f32], length: usize, most: usize, likeness: Likeness) -> Option<usize> {
    let lag = best_lag(&pcm[..length], most.min(pcm.len() - length), likeness)?;
    pcm.copy_within(..length, lag);
    for index in 0..FADE_SAMPLES {
        // What was at `n` is at `n + lag` now, and what follows the first stretch at `n + 2 * lag`.
        let following = pcm[index + 2 * lag];
        let again = &mut pcm[index + lag];
        *again = following + (*again - following) * share(index);
    }
    Some(lag)
}

/// Returns how far into the fade a sample is, from 0 to 1.
fn share(index: usize) -> f32 {
    (index + 1) as f32 / (FADE_SAMPLES + 1) as f32
}

/// Finds after how many samples, `most` at most, the sound resembles its beginning best.
fn best_lag(pcm: &[f32], most: usize, likeness: Likeness) -> Option<usize> {
    let longest = most.min(LAG_MAX).min(pcm.len().checked_sub(FADE_SAMPLES)?);
    if longest < LAG_MIN {
        return None;
    }
    let beginning = &pcm[..FADE_SAMPLES];
    let energy = dot(beginning, beginning);
    let correlation = |lag: usize| {
        let following = &pcm[lag..lag + FADE_SAMPLES];
        let other = dot(following, following);
        let is_quiet = energy.max(other) <= QUIET_ENERGY;
        let both = (energy * other).sqrt();
        (is_quiet, if both > 0.0 { dot(beginning, following) / both } else { 0.0 })
    };
    let (mut best, mut best_lag) = (f32::MIN, LAG_MIN);
    for lag in (LAG_MIN..=longest).step_by(COARSE_STEP) {
        let (is_quiet, value) = correlation(lag);
        if is_quiet {
            return Some(longest);
        }
        if value > best {
            (best, best_lag) = (value, lag);
        }
    }
    let around = best_lag.saturating_sub(COARSE_STEP - 1).max(LAG_MIN)..=best_lag + COARSE_STEP - 1;
    for lag in around.take_while(|lag| *lag <= longest) {
        let (_, value) = correlation(lag);
        if value > best {
            (best, best_lag) = (value, lag);
        }
    }
    (best >= likeness.correlation_min()).then_some(best_lag)
}

/// Sums the products, in several sums so that they can be made at once; what is left of a whole
/// number of those is left out.
pub(crate) fn dot(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for (one, other) in one.as_chunks::<LANES>().0.iter().zip(other.as_chunks::<LANES>().0) {
        for ((sum, one), other) in sums.iter_mut().zip(one).zip(other) {
            *sum += one * other;
        }
    }
    sums.iter().sum()
}

/// One stretch fades into the other for 5 ms, as long as it must resemble it.
const FADE_SAMPLES: usize = 240;
const _: () = assert!(FADE_SAMPLES.is_multiple_of(LANES));

const LANES: usize = 8;

/// The shortest stretch: 1 ms.
const LAG_MIN: usize = 48;

/// The longest stretch: 12.5 ms, the pitch period of the lowest voices.
const LAG_MAX: usize = 600;

/// Lags that are tried first, before those around the best: of what speech consists of, nothing
/// falls between.
const COARSE_STEP: usize = 3;

/// Sound of less energy than this may be cut anywhere: -66 dBFS.
const QUIET_ENERGY: f32 = FADE_SAMPLES as f32 * 2.5e-7;

#[cfg(test)]
mod tests {
    use super::Likeness::Close;
    use super::*;

    const RATE: f32 = 48_000.0;

    fn tone(hertz: f32, length: usize) -> Vec<f32> {
        (0..length).map(|n| (n as f32 * hertz / RATE * std::f32::consts::TAU).sin() * 0.1).collect()
    }

    fn largest_step(pcm: &[f32]) -> f32 {
        pcm.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
    }

    fn rms(pcm: &[f32]) -> f32 {
        (dot(pcm, pcm) / pcm.len() as f32).sqrt()
    }

    /// Stretches a tone a hundred times in each direction, and checks what is left of it.
    fn check_tone(hertz: f32) {
        let whole = tone(hertz, 960 * 2);
        for begins in (0..100).map(|n| n * 7) {
            let mut pcm = whole[begins..begins + 960].to_vec();
            let removed = shorten(&mut pcm, 960, Close).expect("a tone resembles itself");
            pcm.truncate(960 - removed);
            let mut longer = whole[begins..begins + 960].to_vec();
            longer.resize(960 * 2, 0.0);
            let added = lengthen(&mut longer, 960, 960, Close).expect("a tone resembles itself");
            longer.truncate(960 + added);
            for changed in [pcm, longer] {
                let step = largest_step(&changed) / largest_step(&whole);
                assert!(step <= 1.05, "{hertz} Hz: a step {step} times the tone's own");
                for part in changed.windows(FADE_SAMPLES).step_by(24) {
                    let gain = rms(part) / rms(&whole);
                    let own = part.len() as f32 * hertz / RATE;
                    // A part of few periods has not the mean of all.
                    let bound = 0.02 + 0.2 / own;
                    assert!((gain - 1.0).abs() <= bound, "{hertz} Hz: gain {gain}");
                }
            }
        }
    }

    #[test]
    fn tone_keeps_its_steps_within_a_twentieth_and_its_level() {
        for hertz in [110.0, 173.0, 220.0, 441.0, 1_000.0, 2_637.0, 5_000.0] {
            check_tone(hertz);
        }
    }

    #[test]
    fn vowel_loses_or_gains_whole_periods() {
        // 131 Hz with overtones: a period of 366.4 samples.
        let parts: Vec<_> = (1..20).map(|n| tone(131.0 * n as f32, 960)).collect();
        let vowel: Vec<f32> =
            (0..960).map(|at| parts.iter().map(|part| part[at] / 10.0).sum()).collect();
        let mut shorter = vowel.clone();
        assert_eq!(shorten(&mut shorter, 960, Close), Some(366));
        let mut longer = vowel.clone();
        longer.resize(1_920, 0.0);
        assert_eq!(lengthen(&mut longer, 960, 960, Close), Some(366));
        assert_eq!(longer[..366], vowel[..366]);
        assert_eq!(longer[366 + 240..960 + 366], vowel[240..]);
        assert_eq!(shorten(&mut vowel.clone(), 300, Close), None, "less than a period");
    }

    #[test]
    fn sound_that_never_repeats_is_left_alone() {
        let mut noise = 1_u64;
        let mut random = || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let mut pcm: Vec<f32> = (0..960).map(|_| random()).collect();
        let before = pcm.clone();
        assert_eq!(shorten(&mut pcm, 960, Close), None);
        assert_eq!(lengthen(&mut pcm, 700, 260, Close), None);
        assert_eq!(pcm, before);
        assert_eq!(shorten(&mut pcm[..240], 960, Close), None, "too short");
    }

    #[test]
    fn silence_is_cut_by_as_much_as_is_asked() {
        assert_eq!(shorten(&mut [0.0; 960], 96, Close), Some(96));
        assert_eq!(shorten(&mut [0.0; 960], 47, Close), None, "not worth it");
        assert_eq!(
            lengthen(&mut [0.0; 1_100], 960, 960, Close),
            Some(140),
            "as far as there is room"
        );
    }
}
