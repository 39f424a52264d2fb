"""Errors between a gadget and its host."""

from __future__ import annotations


class InitError(Exception):
    """Raised by a gadget's ``__init__`` to end the run: the user reads the text, and nothing else."""


class HostError(Exception):
    """The host refused what a map or a timer was asked for; the text says why."""
