"""`rnnzoo generate`: text or music that a preset writes."""

import click

from rnnzoo.cli._shared import PATH, as_json, force, json_text, with_weights

# What music is written as, beside text, and the endings of text where it is music.
MUSIC, NOTES = (".mid", ".midi", ".png", ".svg"), ("", ".txt", ".text", ".json")


@click.command("generate")
@click.argument("preset")
@click.option("--prompt", default="", metavar="TEXT", help="What the texts begin with; of music, a MIDI file or notes.")
@click.option("--prompt-length", type=int, help="So much of the beginning of the prompt: characters, or frames of music.")
@click.option("--input", "raw", metavar="INPUT", help="The input that a model answers, such as 1294 of number-spelling.")
@click.option("--count", type=int, default=1, show_default=True, help="How many texts, all in one batch.")
@click.option("--length", type=int, help="Characters at the most; of a language model or of music, how many are written.")
@click.option("--greedy", is_flag=True, help="Always the likeliest character: as --temperature 0.")
@click.option("--temperature", type=float, help="Below 1 likely characters get likelier, above 1 less so.  [default: 1]")
@click.option("--top-k", type=int, default=0, help="Draw from so many of the likeliest characters.")
@click.option("--top-p", type=float, default=1.0, help="Draw from the fewest likeliest that have this probability together.")
@click.option("--seed", type=int, help="The same seed writes the same again.")
@click.option("-o", "--output", type=PATH, help="Write to a file; of music, .mid, .png or .svg.")
@force
@as_json
def command(
    preset, prompt, prompt_length, raw, count, length, greedy, temperature, top_k, top_p, seed, output, force, as_json
):
    """Write text with the trained weights of a PRESET (or a run's folder).

    What is written is drawn, character by character, and one text is shown as it is written. baby-names writes names,
    shakespeare goes on with a text; models that answer an input with text, such as number-spelling, need --input.

    chorales writes music, frame by frame: which notes sound, such as C4:E4:G4, or r for none. With -o it writes a MIDI file
    (.mid) or a picture of one, a piano roll (.png, .svg); with --count, NAME-1.mid, NAME-2.mid and so on.
    """
    if greedy and temperature is not None:
        raise click.UsageError("give --greedy or --temperature, not both")
    with_weights(preset)
    from rnnzoo.files import fresh_output

    temperature = 0.0 if greedy else 1.0 if temperature is None else temperature
    options = {"prompt": prompt, "input": raw, "count": count, "length": length, "seed": seed}
    options |= {"temperature": temperature, "top_k": top_k, "top_p": top_p, "prompt_length": prompt_length}
    if output is not None:
        if _music(preset, options, output, force, as_json):
            return
        with fresh_output(output, force) as partial:
            partial.write_text(_whole(_generated(preset, options), prompt, as_json), encoding="utf-8")
        click.echo(output)
        return
    try:
        if count == 1 and not as_json:
            _generated(preset, {**options, "written": lambda part: click.echo(part, nl=False)})
            click.echo()
        else:
            click.echo(_whole(_generated(preset, options), prompt, as_json), nl=False)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None


def _music(preset, options, output, force, as_json):
    """Writes music as the file's ending says; `False` where it says text.

    Raises:
        InputError: the ending is of what the preset does not write.
    """
    import rnnzoo
    from rnnzoo.composing import check_music, is_music, save_music

    zoo, suffix = rnnzoo.from_preset(preset), output.suffix.lower()
    if suffix in MUSIC and (as_json or not is_music(zoo)):
        what = "JSON" if as_json else f"'{zoo.name}' writes text"
        raise rnnzoo.InputError(f"{output}: {what}; expected a file such as {output.stem}.{'json' if as_json else 'txt'}")
    if suffix not in MUSIC:
        if is_music(zoo) and suffix not in NOTES:
            raise rnnzoo.InputError(f"{output}: expected {', '.join(MUSIC)}, or .txt for notes as text")
        return False
    check_music(output)
    for path in save_music(rnnzoo.generate(zoo, **options), output, zoo, force=force):
        click.echo(path)
    return True


def _generated(preset, options):
    import rnnzoo

    return rnnzoo.generate(preset, **options)


def _whole(texts, prompt, as_json):
    """All texts: a line each, or with rules between them where they have lines of their own; or JSON."""
    if as_json:
        objects = [{"prompt": prompt, "text": text} for text in texts]
        return json_text(objects, indent=2) + "\n"
    between = "\n\n---\n\n" if any("\n" in text for text in texts) else "\n"
    return between.join(texts) + "\n"
