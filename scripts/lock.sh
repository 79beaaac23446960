#!/bin/sh
# Resolve pyproject.toml anew in clean environments outside the checkout and write what came out to requirements.txt
# (to run), requirements-deploy.txt (what a deployment needs on top) and requirements-dev.txt (what a developer needs on
# top of that). All are resolved together first, so that one version of a package serves everywhere.
set -eu
cd "$(dirname "$0")/.."
python=$(sh scripts/python.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/wanted.py" <<'PY'
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))
extras = project["project"]["optional-dependencies"]
# The build backend too: the project itself is installed without build isolation.
run = project["project"]["dependencies"] + project["build-system"]["requires"]
deploy = run + [each for extra in ("postgres", "alerts", "celery", "fab", "s3") for each in extras[extra]]
groups = {"run": run, "deploy": deploy, "dev": deploy + extras["dev"]}
print("\n".join(groups[sys.argv[1]]))
PY

# install GROUP: write to $work/GROUP.txt what a group needs, as far as known in the versions of dev.
install() {
    "$python" -m venv "$work/$1"
    "$python" "$work/wanted.py" "$1" > "$work/$1.in"
    "$work/$1/bin/pip" install --quiet --no-compile -c "$work/dev.txt" -r "$work/$1.in"
    "$work/$1/bin/pip" freeze --all | grep -v -E '^(pip|wheel)==' > "$work/$1.txt.new"
    mv "$work/$1.txt.new" "$work/$1.txt"
    rm -rf "${work:?}/$1"
}
: > "$work/dev.txt"
install dev
install deploy
install run

{ echo "# Written by \`make lock\`: what \`make run\` installs."; cat "$work/run.txt"; } > requirements.txt
{
    echo "# Written by \`make lock\`: what a deployment installs on top (PostgreSQL, Celery, FAB users, S3, alerts)."
    echo "-r requirements.txt"
    grep -v -x -F -f "$work/run.txt" "$work/deploy.txt"
} > requirements-deploy.txt
{
    echo "# Written by \`make lock\`: what \`make test\` installs on top."
    echo "-r requirements-deploy.txt"
    grep -v -x -F -f "$work/deploy.txt" "$work/dev.txt"
} > requirements-dev.txt
wc -l requirements.txt requirements-deploy.txt requirements-dev.txt
