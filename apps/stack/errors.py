"""What stops the launcher, as a sentence that says what to do."""

from __future__ import annotations


class StackError(Exception):
    """Something the reader of the terminal has to mend; the message is the whole answer."""


class StopRequested(BaseException):
    """A signal asked for the end: unwind, stop everything, exit 0. Not an error, so not an Exception."""
