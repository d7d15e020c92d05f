"""The tasks: one module is one task, with its examples, its front (raw input to tensor), its back (tensor to answer).

The module `digit_sum` holds the class `DigitSum`; the arguments of its constructor are the `[task_options]` of a preset.
Modules are found, not listed.
"""

import importlib


def create(name, **options):
    """The task of module `name`, with its options."""
    module = importlib.import_module(f"rnnzoo.tasks.{name}")
    return getattr(module, class_name(name))(**options)


def class_name(name):
    """`digit_sum` -> `DigitSum`."""
    return name.title().replace("_", "")
