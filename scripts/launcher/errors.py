"""What ends the launcher, by exit code."""

from __future__ import annotations


class LauncherError(Exception):
    """Ends the launcher with a text for a person: what is wrong, where, what to do."""

    exit_code = 1


class Broken(LauncherError):
    """Something that should work does not: exit 1."""


class Refused(LauncherError):
    """Used wrongly; nothing was started or sent: exit 2."""

    exit_code = 2
