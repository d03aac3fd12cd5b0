#!/bin/sh
# Installs what the checkout needs into folders of the checkout: .venv (development),
# .local/ministack-venv (the AWS emulator) and node_modules (CDK's command line).
# Each has a stamp with the checksum of what it was installed from, so that a second run is quick.
# Where apt-get is there, hledger is unpacked into .local/hledger, without root: a test has it read
# the books. That test alone is skipped elsewhere.
set -eu
cd "$(dirname "$0")/.."

STATE=.local
LOCK=$STATE/install.lock
LOGS=$STATE/logs
LOCK_WAIT_S=600
NODE_MIN=20
mkdir -p "$LOGS"

started=$(date +%s)
say() { printf '[%4ds] %s\n' "$(($(date +%s) - started))" "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

take_lock() { # mkdir is atomic; a lock whose process is gone is taken over
    waited=0
    until mkdir "$LOCK" 2>/dev/null; do
        holder=$(cat "$LOCK/pid" 2>/dev/null || true)
        if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then rm -rf "$LOCK"; continue; fi
        [ "$waited" -lt "$LOCK_WAIT_S" ] || fail "another install holds $LOCK for more than $LOCK_WAIT_S s"
        [ "$waited" -gt 0 ] || say "another command is installing; waiting for it"
        sleep 1
        waited=$((waited + 1))
    done
    echo $$ >"$LOCK/pid"
    trap 'rm -rf "$LOCK"' EXIT
    trap 'exit 130' INT TERM
}

stamp_of() { cat "$@" | cksum; }
is_current() { [ "$(cat "$1" 2>/dev/null || true)" = "$2" ]; } # is_current <stamp file> <stamp>

runs_python() { [ -x "$1" ] && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

install_venv() { # install_venv <folder> <requirements file...>: the last file names what to install
    venv=$1; shift
    for requirements in "$@"; do :; done
    if ! runs_python "$venv/bin/python"; then
        rm -rf "$venv"
        "$python" -m venv "$venv"
    fi
    # Bytecode is compiled at first import: of aws-cdk-lib's many modules only few are used.
    "$venv/bin/python" -m pip install --quiet --no-input --no-compile \
        --disable-pip-version-check --requirement "$requirements"
    stamp_of "$@" >"$venv/.farthing-stamp"
}

install_node() {
    npm ci --no-progress
    stamp_of package-lock.json >node_modules/.farthing-stamp
}

check_node() {
    command -v node >/dev/null 2>&1 || fail "Farthing needs Node.js $NODE_MIN or newer (with npm) for CDK's command line; install it and run this again."
    major=$(node -p 'process.versions.node.split(".")[0]')
    [ "$major" -ge "$NODE_MIN" ] || fail "Farthing needs Node.js $NODE_MIN or newer; node here is $(node --version)."
    command -v npm >/dev/null 2>&1 || fail "Farthing needs npm beside Node.js; install it and run this again."
}

install_hledger() { # the package and the libraries that a small system may lack, with apt's state apart
    apt=$PWD/$STATE/apt
    rm -rf "$apt"
    mkdir -p "$apt/lists" "$apt/cache" "$apt/debs"
    options="-qq -o Dir::State::Lists=$apt/lists -o Dir::Cache=$apt/cache -o APT::Sandbox::User=$(id -un)"
    # shellcheck disable=SC2086 # options are words
    (cd "$apt/debs" && apt-get $options update &&
        apt-get $options download hledger libgmp10 libffi8 libtinfo6) || return 1
    for package in "$apt"/debs/*.deb; do dpkg-deb --extract "$package" "$apt/unpacked" || return 1; done
    cat >"$apt/unpacked/hledger" <<'EOF'
#!/bin/sh
root=$(dirname "$0")
for folder in "$root"/usr/lib/*-linux-gnu* "$root"/lib/*-linux-gnu*; do
    [ ! -d "$folder" ] || LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
done
export LD_LIBRARY_PATH
exec "$root/usr/bin/hledger" "$@"
EOF
    chmod +x "$apt/unpacked/hledger"
    "$apt/unpacked/hledger" --version || return 1
    rm -rf "$STATE/hledger" && mv "$apt/unpacked" "$STATE/hledger" && rm -rf "$apt"
}

begin() { # begin <name> <function and arguments...>: runs in the background with a log
    name=$1; shift
    say "installing $name"
    ( "$@" >"$LOGS/install-$name.log" 2>&1 ) &
    running="$running $name:$!"
}

python=$(sh local/python.sh) || exit 1
check_node
take_lock
running=""
if ! is_current .venv/.farthing-stamp "$(stamp_of requirements.txt requirements-dev.txt)" ||
    ! runs_python .venv/bin/python; then
    begin python install_venv .venv requirements.txt requirements-dev.txt
fi
if ! is_current $STATE/ministack-venv/.farthing-stamp "$(stamp_of local/requirements-ministack.txt)" ||
    ! runs_python $STATE/ministack-venv/bin/python; then
    begin ministack install_venv $STATE/ministack-venv local/requirements-ministack.txt
fi
if ! is_current node_modules/.farthing-stamp "$(stamp_of package-lock.json)"; then
    begin node install_node
fi
if ! command -v hledger >/dev/null 2>&1 && [ ! -x $STATE/hledger/hledger ] &&
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1; then
    begin hledger install_hledger
fi
failed=""
for entry in $running; do
    name=${entry%%:*}
    if wait "${entry##*:}"; then
        say "installed $name"
    elif [ "$name" = hledger ]; then
        say "hledger could not be installed ($LOGS/install-hledger.log): its test will be skipped"
    else
        failed=yes
        printf 'Installing %s failed:\n' "$name" >&2
        tail -n 20 "$LOGS/install-$name.log" >&2
    fi
done
[ -z "$failed" ] || exit 1
