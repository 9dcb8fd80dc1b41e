"""Scores recordings against what was said; started by score.sh, which says how."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import soundfile
from pesq import PesqError, pesq
from pystoi import stoi
from scipy.signal import fftconvolve, resample_poly

# What wideband PESQ takes.
RATE = 16_000
# Envelopes have a value each 10 ms.
STEP = RATE // 100
# Quieter than the loudest 10 ms by more than this is a pause.
PAUSE_DB = 40
# Pauses up to this are within a sentence, in steps.
PAUSE_STEPS = 30
# Shorter sounds are no sentences, in steps.
SENTENCE_STEPS = 50
# Silence that is scored on both sides of a sentence, in steps.
AROUND_STEPS = 15
# An envelope that is less alike is something else.
ALIKE_MIN = 0.6
# Where a demo's line may be heard around its time in the report, in seconds.
EARLY, LATE = 0.5, 1.0
# Around a sentence that is found, for PESQ's own alignment, in samples.
MARGIN = RATE // 10
# Below this, in dB of full scale, speech is missing.
SILENCE_DB = -65


def load(path):
    sound, rate = soundfile.read(path, always_2d=True)
    common = math.gcd(rate, RATE)
    return resample_poly(sound.mean(axis=1), RATE // common, rate // common)


def levels(sound):
    """Returns the level of each 10 ms, in dB of full scale."""
    frames = sound[: len(sound) // STEP * STEP].reshape(-1, STEP)
    return 10 * np.log10((frames**2).mean(axis=1) + 1e-10)


def sentences(sound):
    """Returns begin and end of each sentence, in samples."""
    level = levels(sound)
    active = np.flatnonzero(level > level.max() - PAUSE_DB)
    parts = np.split(active, np.flatnonzero(np.diff(active) > PAUSE_STEPS) + 1)
    long = [part for part in parts if len(part) and part[-1] - part[0] >= SENTENCE_STEPS]
    return [
        (max(0, part[0] - AROUND_STEPS) * STEP, (part[-1] + AROUND_STEPS) * STEP) for part in long
    ]


def likeness(sentence, sound):
    """Returns how alike the envelopes are at each 10 ms of the sound, -1 to 1."""
    wanted, there = np.maximum(levels(sentence), -70), np.maximum(levels(sound), -70)
    if len(there) < len(wanted):
        return np.zeros(0)
    windows = np.lib.stride_tricks.sliding_window_view(there, len(wanted))
    spread = windows.std(axis=1) * wanted.std() + 1e-9
    return ((windows - windows.mean(axis=1, keepdims=True)) @ (wanted - wanted.mean())) / (
        spread * len(wanted)
    )


def cut(sentence, sound, near):
    """Returns where the sentence is heard near a sample, and what is heard there."""
    begin = max(0, near - MARGIN)
    around = sound[begin : near + len(sentence) + MARGIN]
    if len(around) < len(sentence):
        around = np.pad(around, (0, len(sentence) - len(around)))
    match = fftconvolve(around, sentence[::-1], mode="valid")
    offset = int(np.argmax(np.abs(match)))
    return begin + offset, around[offset : offset + len(sentence)]


def rate(name, sentence, sound, near):
    at, heard = cut(sentence, sound, near)
    try:
        quality = pesq(RATE, sentence, heard, "wb")
    except PesqError:
        # Nothing that PESQ takes for speech: as bad as can be.
        quality = 1.0
    said, got = levels(sentence), levels(heard)
    missing = (said > said.max() - PAUSE_DB + 10) & (got < SILENCE_DB)
    runs = "".join("x" if one else " " for one in missing).split()
    return {
        "name": name,
        "at": at / RATE,
        "pesq": quality,
        "stoi": stoi(sentence, heard, RATE),
        "gain": 20 * np.log10((heard.std() + 1e-9) / (sentence.std() + 1e-9)),
        "gap": max((len(run) for run in runs), default=0) * 10,
    }


def repeats(reference, recording):
    """Rates every repeat of each sentence of a reference."""
    for number, (begin, end) in enumerate(sentences(reference)):
        sentence = reference[begin:end]
        alike = likeness(sentence, recording).copy()
        while len(alike) and alike.max() >= ALIKE_MIN:
            place = int(alike.argmax())
            yield rate(f"sentence {number + 1}", sentence, recording, place * STEP)
            half = len(sentence) // STEP // 2
            alike[max(0, place - half) : place + half] = -1


def demo(folder, user):
    """Rates what one member of a demo heard of each line that was spoken alone."""
    report = json.loads((folder / "report.json").read_text())
    members = {member["user"]: member for member in report["members"]}
    if user is None:
        silent = [name for name, member in members.items() if "reference_wav" not in member]
        user = silent[0] if silent else next(iter(members))
    if user not in members:
        sys.exit(f"score: there is no member {user}; there are {', '.join(members)}")
    print(f"{user} heard:")
    recording = load(folder / members[user]["wav"])
    said = {
        name: load(folder / member["reference_wav"])
        for name, member in members.items()
        if "reference_wav" in member
    }
    for line in report["segments"]:
        if not line["alone"] or line["user"] == user:
            continue
        begin, end = (int(line[key] * RATE / 1000) for key in ("start_ms", "end_ms"))
        before, behind = int(EARLY * RATE), int(LATE * RATE)
        # What was said is silent but for the lines, and was said before it was heard.
        around = said[line["user"]][max(0, begin - behind) : end + before // 4]
        spoken = sentences(around)
        if not spoken:
            sys.exit(f"score: {line['user']} says nothing at {begin / RATE:.1f} s")
        sentence = around[spoken[0][0] : spoken[-1][1]]
        first = max(0, begin - before)
        alike = likeness(sentence, recording[first : end + behind])
        place = int(alike.argmax()) if len(alike) else 0
        yield rate(f"{line['user']} {line['clip']}", sentence, recording, first + place * STEP)


def main():
    arguments = sys.argv[1:]
    if not 1 <= len(arguments) <= 2:
        sys.exit("usage: score.sh DEMO [MEMBER] | score.sh REFERENCE RECORDING")
    first = Path(arguments[0])
    if first.is_dir():
        rated = demo(first, arguments[1] if len(arguments) == 2 else None)
    elif len(arguments) == 2:
        rated = repeats(load(first), load(arguments[1]))
    else:
        sys.exit(f"score: {first} is no folder; name what was recorded too")
    results = sorted(rated, key=lambda one: one["at"])
    for one in results:
        print(
            f"{one['at']:8.3f} s  {one['name']:<28} PESQ-WB {one['pesq']:.2f}  "
            f"STOI {one['stoi']:.3f}  gain {one['gain']:+.1f} dB  gap {one['gap']} ms"
        )
    if not results:
        sys.exit("score: nothing of what was said was found in the recording")
    quality = [one["pesq"] for one in results]
    print(
        f"{len(results)} lines  PESQ-WB median {np.median(quality):.2f} lowest {min(quality):.2f}  "
        f"STOI median {np.median([one['stoi'] for one in results]):.3f}  "
        f"longest gap {max(one['gap'] for one in results)} ms"
    )


main()
