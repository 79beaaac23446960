"""``python -m ometria_provider.sandbox``."""

import typer

from ometria_provider.sandbox.command import sandbox

if __name__ == "__main__":
    typer.run(sandbox)
