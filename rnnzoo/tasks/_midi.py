"""MIDI files: the notes that sound at each frame of a grid, read and written."""

import io

import numpy as np

from rnnzoo.errors import InputError, MissingExtraError
from rnnzoo.tasks._files import read_whole

SUFFIXES = frozenset([".mid", ".midi"])
NOTES = 128  # of MIDI
# Larger files are refused before they are read, and longer pieces before they are cut into frames.
MOST_BYTES, MOST_FRAMES = 2**24, 100_000
# What is written: ticks a quarter note, and how hard a key is struck.
TICKS, VELOCITY = 480, 80
# Of the 16 channels the one of percussion, whose numbers are no pitches.
DRUMS = 9
# A frame is what sounds an eighth of it after its beginning: notes that are struck a little late are in it, and those that
# are let go a little late are not.
LATE = 8


def library():
    """The module `mido`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import mido
    except ImportError:
        raise MissingExtraError("MIDI files are read and written by mido: pip install 'rnnzoo[music]'") from None
    return mido


def read(path, quarters):
    """The notes of a MIDI file at each frame, all tracks and instruments together, percussion left out.

    Args:
        path: the file.
        quarters: how many quarter notes a frame lasts.

    Returns:
        (frames, 128) bool, up to the last frame in which something sounds.

    Raises:
        InputError: there is no such file, it is no MIDI file, damaged, too long, or has no notes. It does not name the file.
        MissingExtraError: mido is not installed.
    """
    content = read_whole(path, MOST_BYTES)
    mido = library()
    try:
        file = mido.MidiFile(file=io.BytesIO(content))
    except EOFError:
        raise InputError("no whole MIDI file: it breaks off") from None
    # All that mido raises where bytes are not as they should be.
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, mido.KeySignatureError) as error:
        raise InputError(f"no MIDI file, or damaged: {' '.join(str(error).split()) or type(error).__name__}") from None
    if not 0 < file.ticks_per_beat < 2**15:
        raise InputError("its times are not in quarter notes; expected a MIDI file of ticks a quarter note")
    frame = round(LATE * file.ticks_per_beat * quarters)  # in eighths of ticks
    spans = [(_frame(begin, frame), _frame(end, frame), note) for begin, end, note in _spans(file)]
    frames = max((end for _, end, _ in spans), default=0)
    if frames > MOST_FRAMES:
        raise InputError(f"{frames:,} frames; expected {MOST_FRAMES:,} at the most")
    changes = np.zeros((frames + 1, NOTES), np.int32)
    for begin, end, note in spans:
        changes[begin, note] += 1
        changes[end, note] -= 1
    sounds = np.cumsum(changes, axis=0) > 0
    (last,) = np.nonzero(sounds.any(axis=1))
    if not len(last):
        raise InputError("no notes that a frame has; expected some")
    return sounds[: last[-1] + 1]


def _frame(ticks, frame):
    """The first frame whose sample is not before a time, given in ticks."""
    return max(0, -((frame // LATE - LATE * ticks) // frame))


def _spans(file):
    """Yields (begin, end, note) of each note, in ticks from the beginning."""
    for track in file.tracks:
        now, begun = 0, {}
        for message in track:
            now += message.time
            if message.type not in ("note_on", "note_off") or message.channel == DRUMS:
                continue
            key = message.channel, message.note
            if key in begun:  # let go, or struck again
                yield begun.pop(key), now, message.note
            if message.type == "note_on" and message.velocity > 0:
                begun[key] = now
        yield from ((begin, now, note) for (_, note), begin in begun.items())


def held(sounds):
    """(frames, notes) -> a list of (begin, end, note), by begin: what sounds in frame after frame is one long note."""
    edges = np.diff(np.pad(np.asarray(sounds) > 0, [(1, 1), (0, 0)]).astype(np.int8).T, axis=1)  # (notes, frames + 1)
    begins, ends = np.argwhere(edges > 0), np.argwhere(edges < 0)  # both by note, then by time
    return sorted((begin, end, note) for (note, begin), (_, end) in zip(begins.tolist(), ends.tolist(), strict=True))


def write(path, sounds, quarters, tempo):
    """Writes a MIDI file of one track: piano, and what sounds in frame after frame held.

    Args:
        path: where to write; a file that is there is replaced.
        sounds: (frames, 128), over 0 where a note sounds.
        quarters: how many quarter notes a frame lasts.
        tempo: quarter notes a minute.

    Raises:
        MissingExtraError: mido is not installed.
    """
    mido = library()
    events = []
    for begin, end, note in held(sounds):
        events += [(begin, 1, note), (end, 0, note)]
    file, track, now = mido.MidiFile(type=0, ticks_per_beat=TICKS), mido.MidiTrack(), 0
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    for t, struck, note in sorted(events):  # let go before anything is struck
        ticks = round(t * quarters * TICKS)
        track.append(mido.Message("note_on" if struck else "note_off", note=note, velocity=VELOCITY, time=ticks - now))
        now = ticks
    track.append(mido.MetaMessage("end_of_track", time=max(0, round(len(sounds) * quarters * TICKS) - now)))
    file.save(path)
