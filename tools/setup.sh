#!/usr/bin/env bash
# Builds .venv with everything that gtpt_mm, its demo and its tests need.
# Safe to run again: finished steps are skipped, an interrupted one is redone.
# usage: tools/setup.sh [--docs]      PYTHON=python3.12 chooses the interpreter
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${VENV:-.venv}
constraints=requirements/constraints.txt

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

supported() {
    "$1" -c 'import sys; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12), (3, 13)])' 2>/dev/null
}

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        supported "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13"
        echo "$PYTHON"
        return
    fi
    for candidate in python3.11 python3.12 python3.13 python3 python; do
        if supported "$candidate"; then echo "$candidate"; return; fi
    done
    fail "no Python 3.11, 3.12 or 3.13 on PATH; install one, or name it: make setup PYTHON=/path/to/python3.11"
}

# step NAME FILE... -- COMMAND...: run once for each state of the files
step() {
    local name=$1 stamp files=()
    shift
    while [ "$1" != -- ]; do files+=("$1"); shift; done
    shift
    stamp="$venv/.done-$name-$(cat "${files[@]}" | cksum | cut -d' ' -f1)"
    if [ -e "$stamp" ]; then return; fi
    printf 'setup: %s ...\n' "$name"
    local start=$SECONDS
    "$@" || fail "step '$name' failed; the lines above say why. Run the same command again to go on from here."
    rm -f "$venv/.done-$name-"*
    touch "$stamp"
    printf 'setup: %s done in %d s\n' "$name" $((SECONDS - start))
}

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
install() { pip install --quiet --constraint "$constraints" "$@"; }

make_venv() {
    if [ -L "$venv" ]; then
        fail "$venv is a link to $(readlink "$venv"), which would be emptied; remove the link, or choose another folder with VENV="
    fi
    "$python" -m venv --clear "$venv" ||
        fail "$python cannot create virtual environments; on Debian or Ubuntu: apt-get install python3-venv"
}

# A C compiler, and the headers of the interpreter.
can_compile() {
    "${CC:-cc}" --version >/dev/null 2>&1 &&
        "$venv/bin/python" -c 'import os, sys, sysconfig; sys.exit(not os.path.isfile(sysconfig.get_path("include") + "/Python.h"))'
}

install_source() {
    install --no-build-isolation --no-binary xtcocotools -r requirements/source.txt
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

# Complete, and made in this folder: scripts in it hold its path.
venv_is_usable() {
    [ "$(cat "$venv/.made-in" 2>/dev/null)" = "$PWD" ] &&
        supported "$venv/bin/python" &&
        "$venv/bin/python" -m pip --version >/dev/null 2>&1
}

if ! venv_is_usable; then
    python=$(find_python)
    printf 'setup: creating %s with %s\n' "$venv" "$("$python" --version)"
    make_venv
    pwd >"$venv/.made-in"
elif [ -n "${PYTHON:-}" ] && [ "$(version_of "$(find_python)")" != "$(version_of "$venv/bin/python")" ]; then
    fail "$venv has Python $(version_of "$venv/bin/python"), not the $(version_of "$PYTHON") of PYTHON=$PYTHON; run 'make clean' first, or keep both with VENV=.venv-$(version_of "$PYTHON")"
fi

step build-tools "$constraints" requirements/build.txt -- \
    install -r requirements/build.txt
step torch "$constraints" requirements/runtime.txt -- \
    install torch torchvision
step runtime "$constraints" requirements/runtime.txt requirements/tests.txt -- \
    install -r requirements/runtime.txt -r requirements/tests.txt
if can_compile; then
    step source-builds "$constraints" requirements/source.txt -- install_source
else
    echo 'setup: no C compiler here: pycocotools serves in place of xtcocotools, whose scores are the same. To build it all the same: apt-get install build-essential python3-dev (Debian, Ubuntu), then make setup'
fi
step mmpose "$constraints" requirements/mminstall.txt -- \
    install --no-deps -r requirements/mminstall.txt
step gtpt-mm setup.py pyproject.toml gtpt_mm/version.py requirements/*.txt -- \
    pip install --quiet --no-build-isolation --no-deps --editable .
step pose-samples projects/pose_samples/pyproject.toml -- \
    pip install --quiet --no-build-isolation --no-deps --editable projects/pose_samples
# Finds mmpose and the rest there; replaces OpenCV where libGL is missing.
step check "$constraints" requirements/mminstall.txt -- "$venv/bin/gtpt-mm" setup
if [ "${1:-}" = --docs ]; then
    step docs "$constraints" requirements/docs.txt -- \
        install -r requirements/docs.txt
fi
printf 'setup: %s is ready\n' "$venv"
