//! The four spoken clips that ship inside the program, so that a demo needs no files.

use std::path::Path;

use super::{clip::Clip, ogg_opus};

/// Returns the clips made by `scripts/make-clips.sh`: four voices, 3.6 to 4.1 s each, speech at
/// -20 dBFS between 100 ms and 200 ms of silence, sorted by name.
#[must_use]
pub fn built_in_clips() -> Vec<Clip> {
    CLIPS
        .iter()
        .map(|(name, bytes)| {
            let samples = ogg_opus::decode_opus(Path::new(name), bytes)
                .expect("the built-in clips are well-formed; a test decodes each");
            Clip { name: (*name).to_owned(), samples }
        })
        .collect()
}

/// Name and Ogg Opus bytes of each clip.
const CLIPS: [(&str, &[u8]); 4] = [
    ("asha", include_bytes!("../../clips/asha.opus")),
    ("ben", include_bytes!("../../clips/ben.opus")),
    ("carla", include_bytes!("../../clips/carla.opus")),
    ("dev", include_bytes!("../../clips/dev.opus")),
];
