#!/bin/sh
# Print a Python of version 3.11 or newer that can make virtual environments, or say what is missing.
# As root on Debian a missing venv module is installed; nobody else's machine is touched.
set -eu

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
complete() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

found=
for name in ${PYTHON:-} python3.11 python3 python3.12 python3.13 python; do
    if path=$(command -v "$name") && recent "$path"; then
        complete "$path" && { echo "$path"; exit 0; }
        found=${found:-$path}
    fi
done

if [ -z "$found" ]; then
    echo "No Python 3.11 or newer found. Install one (Debian: apt-get install python3 python3-venv)," >&2
    echo "or name it: make run PYTHON=/path/to/python3.11" >&2
    exit 1
fi

package="python$("$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "Installing $package: $found cannot make virtual environments without it ..." >&2
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package"; } >&2
    complete "$found" && { echo "$found"; exit 0; }
fi
echo "$found cannot make virtual environments. On Debian: sudo apt-get install $package" >&2
exit 1
