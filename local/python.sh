#!/bin/sh
# Prints the path of a Python that can be used: 3.13, Lambda's version, where present, or else the
# newest from 3.11 up. With a version as argument ("3.13") only that version will do.
# A candidate counts only if it runs: version managers leave shims that do not.
set -eu

wanted="${1:-}"

runs() { # runs <candidate> <test on sys.version_info>: prints its real path if it passes
    "$1" -c "import sys, venv, ensurepip
if not ($2): sys.exit(1)
print(sys.executable)" 2>/dev/null
}

candidates() { # candidates <minor>: where a python3.<minor> may be
    echo "python3.$1"
    for root in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$1"*; do
        [ -x "$root/bin/python3.$1" ] && echo "$root/bin/python3.$1"
    done
    if command -v uv >/dev/null 2>&1; then uv python find --no-python-downloads "3.$1" 2>/dev/null || true; fi
    echo "/opt/homebrew/bin/python3.$1"
    echo "/usr/local/bin/python3.$1"
}

find_minor() {
    candidates "$1" | while IFS= read -r candidate; do
        if runs "$candidate" "sys.version_info[:2] == (3, $1)"; then break; fi
    done
}

if [ -n "$wanted" ]; then
    found=$(find_minor "${wanted#3.}")
    [ -n "$found" ] && echo "$found" && exit 0
    exit 1
fi

found=$(find_minor 13)
[ -n "$found" ] || found=$(runs python3 "sys.version_info[:2] >= (3, 11)" || true)
for minor in 14 12 11; do
    [ -n "$found" ] || found=$(find_minor "$minor")
done
if [ -z "$found" ]; then
    echo "Farthing needs Python 3.11 or newer with venv (3.13 is best); python3 here is: $(python3 -V 2>&1 || true)" >&2
    exit 1
fi
echo "$found"
