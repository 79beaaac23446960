from __future__ import annotations

from hypothesis import settings

# The first example may import pandas, and machines differ: a deadline for each says nothing about the code.
settings.register_profile("mapping", deadline=None, max_examples=40)
settings.load_profile("mapping")
