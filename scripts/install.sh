#!/bin/sh
# Make .venv fit the locked requirements: `install.sh run` or `install.sh dev`.
# A stamp named by a digest of everything that matters makes the second call a matter of milliseconds.
set -eu
cd "$(dirname "$0")/.."
group=$1
case $group in
    run) last=requirements.txt files=$last ;;
    dev) last=requirements-dev.txt files="requirements.txt requirements-deploy.txt $last" ;;
    *) echo "usage: install.sh run|dev" >&2; exit 2 ;;
esac

# The tests of the pages walk them in Debian's own Chromium.
if [ "$group" = dev ] && ! command -v chromium > /dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        echo "Installing Chromium (once) ..."
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium; } > /dev/null
    else
        echo "Chromium is missing: the tests of the pages are skipped (apt-get install chromium)." >&2
    fi
fi

# The place is part of it: a virtual environment that was moved or copied does not work.
digest=$({ pwd; cat $files pyproject.toml; } | sha256sum | cut -c1-16)
for stamp in ".venv/.installed-$group-$digest" ".venv/.installed-dev-$digest"; do
    [ -e "$stamp" ] && [ -x .venv/bin/python ] && exit 0
done

began=$(date +%s)
python=$(sh scripts/python.sh)
[ -x .venv/bin/python ] && .venv/bin/python -c '' 2> /dev/null || {
    echo "Making .venv with $("$python" --version) ..."
    rm -rf .venv
    "$python" -m venv .venv
}
log=.venv/install.log
run() {
    "$@" > "$log" 2>&1 || { cat "$log" >&2; echo "Installing failed; the output above is in $log too." >&2; exit 1; }
}
rm -f .venv/.installed-*
echo "Installing $(cat $files | grep -c '==') packages (once; a minute or two) ..."
export PIP_DISABLE_PIP_VERSION_CHECK=1
# The lock is complete, and each file begins with the one before it: nothing is left to resolve.
run .venv/bin/pip install --no-compile --no-deps --progress-bar off -r "$last"
# With the build backend of the lock: nothing else is downloaded.
run .venv/bin/pip install --no-compile --no-deps --no-build-isolation -e .
# Airflow without bytecode takes twice as long to start, for every command.
echo "Compiling bytecode ..."
.venv/bin/python -m compileall -q -j 0 .venv/lib plugins/ometria_provider scripts > "$log" 2>&1 || true
: > ".venv/.installed-$group-$digest"
echo "Installed in $(($(date +%s) - began)) s."
