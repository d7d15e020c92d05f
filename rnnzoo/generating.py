"""What models write: answers letter by letter, and what comes after a beginning, drawn or the likeliest; music, too."""

import itertools
import math
import numbers
import shlex

import numpy as np
import tensorflow as tf

from rnnzoo.composing import Composer, is_music
from rnnzoo.errors import InputError
from rnnzoo.predicting import Predictor, from_preset
from rnnzoo.running import _tensors
from rnnzoo.sampling import Sampler
from rnnzoo.stepping import step_model
from rnnzoo.tasks._inputs import short

# How many characters a language model writes where nobody says; and what it begins with where nobody does.
LENGTH, BEGINNING = 500, "\n"
MOST = 100_000  # samples in one batch
LONGEST = 10**7  # characters, or frames, of one of them


def generate(
    preset,
    *,
    prompt="",
    prompt_length=None,
    input=None,
    count=1,
    length=None,
    temperature=1.0,
    top_k=0,
    top_p=1.0,
    seed=None,
    written=None,
):
    """Texts that a preset's trained weights write, `count` of them in one batch.

    One-to-many and encoder-decoder models write their answer up to its end; language models, many-to-many with the next
    character as the answer, go on with a text. With the same seed, options and weights the texts are the same, and the first
    of a batch are those of a smaller batch.

    Music is written as text, too, frames of notes such as `C3:G3:E4:C5`, `r` where there are none, with spaces between them;
    `rnnzoo.composing.save_music` makes MIDI files and pictures of it.

    Args:
        preset: a name, a folder, or a `Predictor`.
        prompt: what the texts begin with; of music, frames as text or the path of a MIDI file.
        prompt_length: how many characters, or frames, of the prompt's beginning that is; all if `None`.
        input: the raw input of a model that answers one, such as `1294` of `number-spelling`.
        count: how many texts.
        length: how many characters a text has at the most, the prompt included, or, of a language model, how many are
            written after it (500 if `None`), or of music how many frames are (64).
        temperature: probabilities are softmax(logits / temperature); 0 is greedy, the likeliest character each time. Of
            music, each key is drawn for itself with the probability sigmoid(logit), and a temperature changes which sound,
            not how many (see `rnnzoo.composing.likely`); `top_k` and `top_p` are refused.
        top_k: draws from so many of the likeliest characters; 0 from all.
        top_p: draws from the fewest of the likeliest that together have this probability (Holtzman et al. 2020).
        seed: a whole number, 0 or more; another one each time if `None`.
        written: called with each part of the one text as it is written, the prompt first.

    Returns:
        A list of `count` strings, prompts included.

    Raises:
        InputError: the preset writes no text, or an argument is out of range or cannot be written.
    """
    predictor = preset if isinstance(preset, Predictor) else from_preset(preset)
    if predictor._writer is None:
        predictor._writer = (Composer if is_music(predictor) else Writer)(predictor)
    writer = predictor._writer
    _check(count, length, prompt_length, temperature, top_k, top_p, seed)
    if written is not None and count > 1:
        raise InputError(f"count={count}: one text alone can be shown as it is written")
    seed = int(np.random.default_rng().integers(2**62)) if seed is None else seed
    options = (np.float32(temperature), np.int32(top_k), np.float32(top_p), np.int64(seed))
    begin, show = writer.begin(prompt, prompt_length), written or (lambda text: None)
    texts = [[begin] for _ in range(count)]
    parts = writer.parts(begin, input, count, length, options)
    first = [*itertools.islice(parts, 1)]  # what is wrong is told before anything is shown
    show(begin)
    for characters in itertools.chain(first, parts):
        show(characters[0])
        for text, character in zip(texts, characters, strict=True):
            text.append(character)
    return ["".join(text) for text in texts]


def specimen(predictor):
    """What a model card shows of what the weights write: a dict of the `command` and of its `texts`; `None` for nothing."""
    options = predictor.task.specimen
    if options is None:
        return None
    said = [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in options.items()]
    command = " ".join([f"rnnzoo generate {predictor.preset.name}", *said])
    return {"command": command, "texts": generate(predictor, **options)}


class Writer:
    """One character of a text after the other, of a batch of texts: a step that is compiled once.

    Args:
        predictor: the `Predictor`.

    Raises:
        InputError: its model writes no text.
    """

    def __init__(self, predictor):
        self.name, self.task, self.model = predictor.name, predictor.task, predictor.model
        self.decoder = predictor.serving.decoder
        if self.decoder is not None:
            self.step, self._fed = self.decoder.step, "fed"
        elif self.task.answer.kind == "characters":
            self.step, self._fed = step_model(self.model), "inputs"
        else:
            raise InputError(f"'{self.name}' writes no text; ask `rnnzoo predict {self.name}` for its answers")
        specs = {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in self.step.input.items()}
        self._names = [name for name in specs if name != self._fed]
        dtypes = (tf.float32, tf.int32, tf.float32, tf.int64, tf.int32)
        signature = [specs[self._fed], [specs[name] for name in self._names], [tf.TensorSpec([], dtype) for dtype in dtypes]]
        self._next = tf.function(self._drawn, input_signature=signature, autograph=False)

    def _drawn(self, fed, states, options):
        """Token ids (batch,), states and how to draw -> the ids that come next, and the new states."""
        *options, t = options
        temperature, top_k, top_p, seed = options
        found = dict(self.step({self._fed: fed, **dict(zip(self._names, states, strict=True))}))
        logits = found.pop("outputs")
        if self.decoder is not None:
            logits = self.decoder.logits(logits)[:, 1:]  # id 0 is padding, which nothing writes
        return Sampler(temperature, top_k, seed, top_p)(logits, t) + 1, [found[name] for name in self._names]

    def begin(self, prompt, length):
        """What the texts begin with: so many characters of the prompt, or all of it."""
        if not isinstance(prompt, str):
            raise InputError(f"{type(prompt).__name__} {prompt!r} is no text to begin with")
        return prompt[:length]

    def parts(self, prompt, raw, count, length, options):
        """Yields what comes next in each of `count` texts, a list of strings that are empty once a text has ended.

        Args:
            prompt, raw, count, length: see `generate`.
            options: temperature, top_k, top_p and seed.

        Raises:
            InputError: the prompt or the input is wrong.
        """
        fed, states, length = self._begun(prompt, raw, count, length)
        end = None if self.decoder is None else self.decoder.end_token
        alphabet = ["", *self.task.answer.alphabet, ""]
        done = np.zeros(count, bool)
        token = None
        for t in range(len(fed) + length - 1):
            ids = np.full(count, fed[t], np.int32) if t < len(fed) else token
            token, states = self._next(tf.constant(ids), states, [*options, np.int32(t)])
            if t < len(fed) - 1:
                continue
            token = np.where(done, 0, token.numpy())
            done |= token == end
            if done.all():
                return
            yield [alphabet[index] for index in token]

    def _begun(self, prompt, raw, count, length):
        """What is fed before anything is drawn, the first states, and how many characters are drawn at the most."""
        if self.decoder is None:
            if raw is not None:
                raise InputError(f"'{self.name}' takes no input but the text that it goes on with: give it as the prompt")
            about = self.task.input.describe()
            ids = _tensors.front(about, [self.task.input.check(prompt or BEGINNING)])[0]
            states = [tf.zeros((count, tensor.shape[1])) for name, tensor in self.step.input.items() if name != self._fed]
            return ids, states, LENGTH if length is None else length
        answer = self.task.answer
        if raw is None and self.task.input.kind == "constant":
            raw = self.task.input.example
        if raw is None:
            hint = f"{self.task.input.hint}, for example {self.task.input.example}"
            raise InputError(f"'{self.name}' writes an answer to an input: give one, {hint}")
        length = answer.max_length if length is None else length
        for position, character in enumerate(prompt, 1):
            if character not in answer.alphabet:
                raise InputError(
                    f"'{short(character)}' at position {position} of the prompt '{short(prompt)}' is nothing that "
                    f"'{self.name}' writes; expected characters of "
                    f"'{short(''.join(piece for piece in answer.alphabet if len(piece) == 1))}'"
                )
        begun = answer.pieces(prompt)
        if len(begun) >= length:
            what = "characters" if begun == [*prompt] else "pieces"
            raise InputError(f"the prompt has {len(begun)} {what}, and the text is to have at most {length}")
        try:
            checked = self.task.input.check(raw)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None
        began = self.decoder.start(self.task.input.front(self.task.input.tensor([checked])))
        states = [tf.repeat(began[name], count, axis=0) for name in self._names]
        ids = [self.decoder.start_token, *(answer.alphabet.index(piece) + 1 for piece in begun)]
        return ids, states, length - len(begun)


def _check(count, length, prompt_length, temperature, top_k, top_p, seed):
    """Refuses what is out of range."""
    whole = {"count": (count, 1, MOST), "length": (length, 1, LONGEST), "prompt_length": (prompt_length, 1, None)}
    whole |= {"top_k": (top_k, 0, None), "seed": (seed, 0, 2**63 - 1)}
    for name, (value, least, most) in whole.items():
        if value is None and name in ("length", "prompt_length", "seed"):
            continue
        right = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not right or value < least or (most is not None and value > most):
            upto = "" if most is None or name == "seed" else f" up to {most:,}"
            raise InputError(f"{name} must be a whole number from {least}{upto}, not {value!r}")
    for name, value, right in (
        ("temperature", temperature, lambda value: 0 <= value < math.inf),
        ("top_p", top_p, lambda value: 0 < value <= 1),
    ):
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not right(value):
            expected = "0 (greedy) or more" if name == "temperature" else "over 0 up to 1"
            raise InputError(f"{name} must be a number, {expected}, not {value!r}")
