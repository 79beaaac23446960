#!/bin/sh
# Build dist/*.tar.gz and dist/*.whl and check them. The same checkout gives the same bytes: hatchling writes sorted
# names, fixed modes and one date for all files (SOURCE_DATE_EPOCH, when that is set).
set -eu
cd "$(dirname "$0")/.."
rm -rf dist
.venv/bin/python -m hatchling build -d dist > /dev/null
.venv/bin/twine --no-color check --strict dist/*
.venv/bin/check-wheel-contents dist/*.whl
sha256sum dist/*
