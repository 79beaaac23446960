#!/bin/sh
# Resolve pyproject.toml anew in clean environments outside the checkout and write what came out to
# requirements.txt (to run) and requirements-dev.txt (what a developer needs on top).
set -eu
cd "$(dirname "$0")/.."
python=$(sh scripts/python.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/wanted.py" <<'PY'
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))
extras = project["project"]["optional-dependencies"]
groups = {
    # The build backend too: the project itself is installed without build isolation.
    "run": project["project"]["dependencies"] + project["build-system"]["requires"],
    "dev": extras["dev"] + extras["postgres"] + extras["alerts"],
}
print("\n".join(groups[sys.argv[1]]))
PY

"$python" -m venv "$work/venv"
pip="$work/venv/bin/pip"
"$python" "$work/wanted.py" run > "$work/run.in"
"$python" "$work/wanted.py" dev > "$work/dev.in"

"$pip" install --quiet --no-compile -r "$work/run.in"
"$pip" freeze --all | grep -v -E '^(pip|wheel)==' > "$work/run.txt"
"$pip" install --quiet --no-compile -c "$work/run.txt" -r "$work/dev.in"
"$pip" freeze --all | grep -v -E '^(pip|wheel)==' > "$work/all.txt"

{ echo "# Written by \`make lock\`: what \`make run\` installs."; cat "$work/run.txt"; } > requirements.txt
{
    echo "# Written by \`make lock\`: what \`make test\` installs on top."
    echo "-r requirements.txt"
    grep -v -x -F -f "$work/run.txt" "$work/all.txt"
} > requirements-dev.txt
wc -l requirements.txt requirements-dev.txt
