"""Writing TOML: the standard library only reads it."""

import json
import re


def dumps(table):
    """A dict of strings, numbers, booleans, lists and dicts of the same as TOML text; `None` is left out."""
    return "\n".join(_lines(table, "")).strip() + "\n"


def _lines(table, prefix):
    nested = {key: value for key, value in table.items() if isinstance(value, dict)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if key not in nested and value is not None]
    for key, value in nested.items():
        lines += ["", f"[{prefix}{_key(key)}]", *_lines(value, f"{prefix}{_key(key)}.")]
    return lines


def _key(key):
    """Bare where TOML lets it be, else in quotation marks."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value):
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # What JSON writes of a string, a number or a boolean is TOML too; DEL alone must be escaped in TOML and is not in JSON.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
