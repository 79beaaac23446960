"""Write the generated pages of docs/ and the schemas of include/ anew.

With --check only say which differ, exit code 1 if any does.
`make docs` and `make docs-check` call it; a test checks too, so that none can grow old unseen.
"""

from __future__ import annotations

import os
import sys
import tempfile

from reference.places import INCLUDE, REFERENCE, ROOT


def main(check: bool) -> int:
    """Write or check every page and schema and return the exit code."""
    # Airflow is imported for the DAGs' page: it reads and writes no home of anybody's.
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(AIRFLOW_HOME=home, AIRFLOW__CORE__LOAD_EXAMPLES="False")
        from reference import PAGES, SCHEMAS

        texts = {REFERENCE / name: write() for name, write in PAGES.items()}
        texts |= {INCLUDE / name: write() for name, write in SCHEMAS.items()}
    stale = [file for file, text in texts.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    if not check:
        for file in stale:
            file.write_text(texts[file], encoding="utf-8")
    verb = "is out of date: run `make docs`" if check else "written"
    for file in stale:
        print(f"{file.relative_to(ROOT)} {verb}")
    if not stale:
        print(f"{len(texts)} pages and schemas are up to date.")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
