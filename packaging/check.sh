#!/bin/sh
# The one list of checks, called by make and so by CI.
#   packaging/check.sh lint          formatting, lint, import rules, types
#   packaging/check.sh test ARG...   the tests; ARG... go to pytest
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
unset PYTHONDONTWRITEBYTECODE # or every worker, and every program that a test starts, compiles its libraries anew

lint() {
    $bin/ruff check --quiet .
    $bin/ruff format --check --quiet .
    $bin/lint-imports --no-cache >/tmp/slipway-imports.$$ || { cat /tmp/slipway-imports.$$; rm -f /tmp/slipway-imports.$$; exit 1; }
    rm -f /tmp/slipway-imports.$$
    find salt -name '*.sls' -exec $bin/salt-lint {} +
    $bin/mypy
}

case ${1:-} in
    lint) lint ;;
    # More workers than processors: whole rollouts spend half their time waiting for a drain, a boot, a dying process.
    test) shift; exec $bin/pytest -n "${WORKERS:-$(($(nproc) * 3 / 2))}" --dist loadfile --no-loadscope-reorder "$@" ;;
    *) echo "usage: packaging/check.sh lint|test [ARG...]" >&2; exit 2 ;;
esac
