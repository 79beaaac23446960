"""Stand-ins for Antavo and Ometria on this machine, faithful to the contract, with limits, faults and made-up members.

The room imports nothing of ours, so that it cannot share our misreadings. ``server.py`` lists roots and paths,
``control.py`` what can be seen and steered from outside, ``members.py`` who is made up.
"""

from ometria_provider.sandbox.process import RunningSandbox, running
from ometria_provider.sandbox.settings import SandboxSettings

__all__ = ["RunningSandbox", "SandboxSettings", "running"]
