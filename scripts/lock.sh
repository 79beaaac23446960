#!/bin/sh
# Resolve pyproject.toml into requirements.txt (to run), requirements-deploy.txt (what a deployment needs on top) and
# requirements-dev.txt (what a developer needs on top of that). What is locked and still fits stays; `--upgrade` takes
# the newest of everything. All are resolved together first, so that one version of a package serves everywhere, and for
# Debian 12's Python, the oldest that is served.
set -eu
cd "$(dirname "$0")/.."
python=$(sh scripts/python.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet uv

cat > "$work/wanted.py" <<'PY'
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))
extras = project["project"]["optional-dependencies"]
# The build backend too: the project itself is installed without build isolation.
run = project["project"]["dependencies"] + project["build-system"]["requires"]
deploy = run + [each for extra in ("postgres", "alerts", "celery", "fab", "metrics", "s3") for each in extras[extra]]
groups = {"run": run, "deploy": deploy, "dev": deploy + extras["dev"]}
print("\n".join(groups[sys.argv[1]]))
PY

# resolve GROUP [OPTION ...]: write to $work/GROUP.txt what a group needs, versions of that file first.
resolve() {
    group=$1
    shift
    "$python" "$work/wanted.py" "$group" > "$work/$group.in"
    "$work/venv/bin/uv" pip compile --quiet --no-header --no-annotate --python-version 3.11.2 "$@" \
        "$work/$group.in" -o "$work/$group.txt"
}
grep -h '==' requirements.txt requirements-deploy.txt requirements-dev.txt > "$work/dev.txt"
resolve dev "$@"
resolve deploy -c "$work/dev.txt"
resolve run -c "$work/dev.txt"

{ echo "# Written by \`make lock\`: what \`make run\` installs."; cat "$work/run.txt"; } > requirements.txt
{
    echo "# Written by \`make lock\`: what a deployment installs on top (PostgreSQL, Celery, FAB users, S3, alerts, metrics)."
    echo "-r requirements.txt"
    grep -v -x -F -f "$work/run.txt" "$work/deploy.txt"
} > requirements-deploy.txt
{
    echo "# Written by \`make lock\`: what \`make test\` installs on top."
    echo "-r requirements-deploy.txt"
    grep -v -x -F -f "$work/deploy.txt" "$work/dev.txt"
} > requirements-dev.txt
wc -l requirements.txt requirements-deploy.txt requirements-dev.txt
