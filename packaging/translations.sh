#!/bin/sh
# Write the catalogs anew from what code and templates say: `make translations` runs this. New messages come in empty.
set -eu
cd "$(dirname "$0")/.."
pybabel=.venv/bin/pybabel
template=$(mktemp)
trap 'rm -f "$template"' EXIT
$pybabel -q extract -F pyproject.toml --no-location --sort-output -k lazy_gettext -k pgettext:1c,2 \
    --project gazetteer --version '' -o "$template" app
for language in de pt; do
    catalog=app/translations/$language/LC_MESSAGES/messages.po
    if [ ! -e $catalog ]; then
        $pybabel -q init -i "$template" -d app/translations -l $language
    fi
    # Nothing is guessed from messages that look alike, and no date changes when nothing else does.
    $pybabel -q update -i "$template" -d app/translations -l $language --no-fuzzy-matching --ignore-obsolete \
        --ignore-pot-creation-date --no-wrap
done
