"""Errors that a user can act on.

Each message is one line: what is wrong, where, and what to do. The command line prints
the message without a traceback and exits with the class's code.
"""

from __future__ import annotations


class RoloBenchError(Exception):
    """Something failed; the message says what and how to go on, in one line that is safe on any terminal."""

    exit_code = 1

    def __str__(self) -> str:
        return "".join(c if c.isprintable() else " " for c in super().__str__())


class UsageError(RoloBenchError):
    """The request itself is wrong: an unknown name, option or combination."""

    exit_code = 2


class DataError(RoloBenchError):
    """A data, annotation or result file is missing, incomplete or malformed."""


class MissingError(DataError):
    """A file is not there at all: absent, not damaged."""


class WeightsError(RoloBenchError):
    """A weight file is missing, truncated, tampered with or of the wrong kind."""


class TrackerError(RoloBenchError):
    """A plugin, of a tracker or a detector, cannot be loaded, crashed, or broke the contract."""
