# Sourced by the scripts beside it: goes to the repository's root and defines `prepare`,
# which makes the virtual environment and installs into it. Not a command of its own.
#
#   PYTHON  the interpreter to build the environment with (default: the first found)
#   VENV    where the environment lies (default: .venv)

cd "$(dirname "${BASH_SOURCE[0]}")/.."
VENV=${VENV:-.venv}
export KERAS_BACKEND=${KERAS_BACKEND:-tensorflow}
export MPLBACKEND=Agg # no display is needed
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-2}

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        is_recent "$PYTHON" ||
            fail "Python 3.11 or newer is needed. PYTHON=$PYTHON is older or does not run."
        printf '%s\n' "$PYTHON"
        return
    fi
    for candidate in python3.11 python3.12 python3.13 python3 python; do
        if is_recent "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed, and none is on the PATH." \
        "Install one, or name it: PYTHON=/path/to/python3.11 $0"
}

make_environment() {
    local python
    python=$(find_python)
    echo "Making $VENV with $("$python" --version 2>&1)."
    # Some systems ship venv without ensurepip; their own pip then brings the new one.
    "$python" -m venv "$VENV" >/dev/null 2>&1 ||
        { "$python" -m venv --clear --without-pip "$VENV" &&
            "$python" -m pip --python "$VENV/bin/python" install --quiet pip; } ||
        fail "Could not make a virtual environment in $VENV."
}

# prepare STAMP REQUIREMENT...: the environment with these requirements installed.
# Does nothing if that was done before and the files that decide about it are the same.
prepare() {
    local stamp=$VENV/.installed-$1 wanted
    shift
    wanted=$(cat pyproject.toml constraints.txt - <<<"$*" | cksum)
    if "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        is_recent "$VENV/bin/python" ||
            fail "$VENV has a Python older than 3.11. Remove it and start again."
        [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    else
        make_environment
    fi
    echo "Installing into $VENV (some minutes the first time): $*"
    local install=("$VENV/bin/python" -m pip install --quiet --constraint constraints.txt)
    "${install[@]}" --upgrade pip
    "${install[@]}" "$@"
    printf '%s\n' "$wanted" >"$stamp"
}
