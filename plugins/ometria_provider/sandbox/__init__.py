"""Stand-ins for Antavo and Ometria on this machine, faithful to the contract, with limits, faults and made-up members.

The room imports nothing of ours, so that it cannot share our misreadings. ``server.py`` lists roots and paths,
``control.py`` what can be seen and steered from outside, ``members.py`` who is made up.
"""

from typing import TYPE_CHECKING, Any

from ometria_provider.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from ometria_provider.sandbox.process import RunningSandbox, running

__all__ = ["RunningSandbox", "SandboxSettings", "running"]


def __getattr__(name: str) -> Any:
    """Import what starts a sandbox only for those who start one: the command line imports this room for its options."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ometria_provider.sandbox import process

    return getattr(process, name)
