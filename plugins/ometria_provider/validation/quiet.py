"""Great Expectations, imported late, quietly and without the parts that no rule of ours needs.

Its import is the dearest of all that a task can do (seconds and a hundred megabytes), so it happens only when there is
something to validate. Three things are arranged first:

- **Half of it stays out.** `scipy.stats` (all of SciPy) and `altair` (charts for its HTML reports) are imported by it
  at module level, for one rule type and its drawing. They are put off until something really looks into them, by the
  standard library's `LazyLoader`: a rule that needs them still gets them.
- **Nothing is logged.** It writes hundreds of INFO lines while being imported, and error lines that quote the values
  which a rule failed on. What matters comes back to us as results; its loggers end at a wall.
- **Nothing is reported home**, and no project folder is looked for.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

PUT_OFF = frozenset({"scipy.stats", "altair"})


class _PutOff:
    """A meta path finder: the modules in `PUT_OFF` are found as always, but run at the first look into them."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in PUT_OFF:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = importlib.util.LazyLoader(spec.loader)
                return spec
        return None


@contextmanager
def _put_off() -> Iterator[None]:
    finder = _PutOff()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def import_great_expectations() -> None:
    """Import Great Expectations as the module's text says; later `import` statements then cost nothing."""
    logger = logging.getLogger("great_expectations")
    logger.propagate = False
    if "great_expectations" in sys.modules:
        return
    logger.addHandler(logging.NullHandler())
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with _put_off(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations  # noqa: F401 - the import itself is the effect
