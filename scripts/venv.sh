#!/usr/bin/env bash
# Make a virtual environment, or bring it up to date; say nothing when there is nothing to do.
#
#   scripts/venv.sh FOLDER CONSTRAINTS REQUIREMENT...
#
# PYTHON names the interpreter (python3). FOLDER/.complete is written last and holds what the
# environment was made from, so that a half-finished one is never used: without it we start afresh.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 constraints=$2
shift 2
python=${PYTHON:-python3}

fail() {
    echo "$1 Python 3.10 or newer is needed; to name one: make PYTHON=/path/to/python3 ..." >&2
    exit 1
}

if ! command -v "$python" >/dev/null; then
    fail "There is no '$python' here."
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    fail "'$python' is $("$python" -V 2>&1)."
fi
# The interpreter itself, also where `python3` is that of an active virtual environment.
python=$("$python" -c 'import os, sys; print(os.path.realpath(sys._base_executable))')
version=$("$python" -V)

# A moved checkout or another interpreter needs a new environment; changed requirements an update.
home="$version, $python, $PWD"
wanted=$({ printf '%s\n' "$@"; cat "$constraints" pyproject.toml; } | cksum)
made_at='' made_from=''
if [ -f "$folder/.complete" ] && "$folder/bin/python" -c '' 2>/dev/null; then
    { read -r made_at && read -r made_from; } <"$folder/.complete" || true
fi
if [ "$made_at" = "$home" ] && [ "$made_from" = "$wanted" ]; then
    exit 0
fi

SECONDS=0
if [ "$made_at" = "$home" ]; then
    echo "Bringing $folder up to date: pyproject.toml or $constraints has changed."
    rm "$folder/.complete"
else
    echo "Making $folder with $version: some minutes, the first time (see $folder/install.log)."
    rm -rf "$folder"
    "$python" -m venv "$folder"
fi
if ! "$folder/bin/python" -m pip install -c "$constraints" "$@" >"$folder/install.log" 2>&1; then
    tail -n 20 "$folder/install.log" >&2
    echo "Installing failed (see above and $folder/install.log). The next call starts afresh." >&2
    exit 1
fi
printf '%s\n' "$home" "$wanted" >"$folder/.complete"
echo "Installed in $SECONDS s."
