"""The one error hierarchy.

A message names the file, the fact, the limit and the way out, in one line: messages are part of the interface and are
tested.  The command line maps each class to an exit code; a bad input never ends in a traceback.
"""


class StructkitError(Exception):
    """Base of every error that structkit raises on purpose."""


class InputError(StructkitError):
    """An input is missing, unreadable, truncated, too large or of the wrong kind."""


class OptionError(StructkitError):
    """An option has a value that it cannot have, or clashes with another option."""


class CheckpointError(StructkitError):
    """A checkpoint is missing, damaged, or made for another purpose."""


class DeviceError(StructkitError):
    """The device asked for is absent, or it ran out of memory with nothing left to reduce."""


class OutputError(StructkitError):
    """An output cannot be written, or would overwrite something that it must not."""
