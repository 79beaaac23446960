"""`ometria-sync`: look after contact syncs from a terminal."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from ometria_provider.cli.app import app

    app()
