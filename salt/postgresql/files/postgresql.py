#!/usr/bin/python3
"""Look after PostgreSQL for Salt: say what is not as it should be, and mend it, unless told `--test`.

  postgresql make-cluster FOLDER    make a cluster where there is none (the RHEL family)
  postgresql settle SERVICE         see that what runs has read the settings; restart it only when nobody is connected
  postgresql roles NAME DATABASE    roles, rights, the database and an empty one beside it, in which migrations are
                                    rehearsed; and passwords, from variables PASSWORD_OF_<role>

The last line is for Salt (cmd.run, stateful): changed=yes or no, and why.
"""

import base64
import hashlib
import hmac
import os
import re
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "PGAPPNAME": "salt"}
RESTART = "setting could not be applied"  # pg_file_settings says so of what takes a restart
UNREAD = """
    SELECT coalesce(name, ''), error, sourcefile, sourceline FROM pg_file_settings
    WHERE error IS NOT NULL
        AND coalesce(name, '') NOT IN (SELECT name FROM pg_settings WHERE source = 'command line')
    UNION ALL
    SELECT '', error, 'pg_hba.conf', line_number FROM pg_hba_file_rules WHERE error IS NOT NULL
"""
UNLOGGED = "SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_error_statement = 'panic';"
PREFIX = "PASSWORD_OF_"
REHEARSAL = "_rehearsal"  # the owner may make no database, and migrations are tried in one before they run
ITERATIONS = 4096  # PostgreSQL's own


class Failed(Exception):
    """It can't be done; why, for a person."""


def main(words):
    """Carry out one command; give the exit status."""
    test = "--test" in words
    verb, *rest = [word for word in words if word != "--test"]
    verbs = {"make-cluster": make_cluster, "settle": settle, "roles": roles}
    try:
        changed, why = verbs[verb](*rest, test=test)
    except Failed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    comment = " ".join(why.replace("'", "").replace('"', "").replace("\\", "").split())
    sys.stdout.write(f"changed={'yes' if changed else 'no'} comment='{comment}'\n")
    return 0


def make_cluster(folder, test):
    """Make a cluster where there is none."""
    if Path(folder, "PG_VERSION").exists():
        return False, "the cluster is there"
    if not test:
        call(["postgresql-setup", "--initdb"], PGSETUP_INITDB_OPTIONS="--data-checksums --locale=C.UTF-8")
    return True, f"there was no cluster in {folder}"


def settle(service, test):
    """See that what runs has read the settings."""
    rows = psql(UNREAD)
    wrong = [f"{file}:{line}: {name}: {error}" for name, error, file, line in rows if error != RESTART]
    if wrong:
        raise Failed("PostgreSQL can't read its settings:\n" + "\n".join(wrong))
    waiting = sorted({name for name, error, _, _ in rows})
    if not waiting:
        return False, "PostgreSQL runs with the settings of its files"
    settings = ", ".join(waiting)
    clients = psql(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )[0][0]
    if clients != "0":
        return (
            False,
            f"{settings} take a restart, but {clients} clients are there: systemctl restart {service} when that suits",
        )
    if not test:
        call(["systemctl", "restart", service])
    return True, f"nobody was connected, so PostgreSQL was restarted for its new {settings}"


def roles(name, database, test):
    """See that roles, database, rights and passwords are there."""
    known, databases = inventory()
    missing = [f"CREATE ROLE {role}" for role in (f"{name}_owner", name, f"{name}_reader") if role not in known]
    both = (database, database + REHEARSAL)
    missing += [f"CREATE DATABASE {each}" for each in both if each not in databases]
    # Rights are compared by queries that need roles and database.
    rights = [] if missing else [line for each in both for line in statements(name, each)]
    done = [*missing, "and their rights"] if missing else rights
    if done and not test:
        for each in both:
            run_sql(roles_sql(), name, each)
        known, _ = inventory()
    done += passwords(known, test)
    return bool(done), "; ".join(done) or f"{database} and its roles are as they should be"


def inventory():
    """List roles, with what is stored of their passwords, and databases."""
    rows = psql(
        "SELECT 'role', rolname, coalesce(rolpassword, '') FROM pg_authid"
        " UNION ALL SELECT 'database', datname, '' FROM pg_database"
    )
    return {name: stored for kind, name, stored in rows if kind == "role"}, {
        name for kind, name, _ in rows if kind != "role"
    }


def statements(name, database):
    """Say what is to be done about rights: the same queries, printed instead of carried out."""
    return run_sql(re.sub(r"^\\gexec$", r"\\g", roles_sql(), flags=re.MULTILINE), name, database).splitlines()


def roles_sql():
    """Read the roles and rights, written down beside this program."""
    return Path(f"{Path(__file__).resolve()}-roles.sql").read_text(encoding="utf-8")


def run_sql(text, name, database):
    """Run SQL with the names filled in; give what it printed."""
    return as_postgres("--set", f"name={name}", "--set", f"database={database}", "--quiet", text=text)


def passwords(known, test):
    """Give roles the passwords that they lack; say whose were changed, and nothing more."""
    wanted = {key[len(PREFIX) :]: value for key, value in os.environ.items() if key.startswith(PREFIX)}
    stale = sorted(role for role, password in wanted.items() if not fits(password, known.get(role, "")))
    if stale and not test:
        lines = [f'ALTER ROLE "{role}" PASSWORD {literal(verifier(wanted[role], os.urandom(16)))};' for role in stale]
        as_postgres("--quiet", text="\n".join([UNLOGGED, *lines]))
    return [f"password of {role}" for role in stale]


def fits(password, stored):
    """Tell whether a stored verifier is of this password."""
    match = re.match(r"SCRAM-SHA-256\$(\d+):([^$]+)\$", stored)
    return bool(match) and hmac.compare_digest(stored, verifier(password, base64.b64decode(match[2]), int(match[1])))


def verifier(password, salt, iterations=ITERATIONS):
    """Make what PostgreSQL keeps of a password (RFC 5803); it never sees the password itself."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{text[0]}${text[1]}:{text[2]}"


def literal(text):
    """Quote a text for SQL (standard_conforming_strings)."""
    return "'" + text.replace("'", "''") + "'"


def psql(query):
    """Ask PostgreSQL; give rows of words."""
    return [line.split("\x1f") for line in as_postgres("--field-separator", "\x1f", text=query).splitlines()]


def as_postgres(*options, text):
    """Run SQL as the system's postgres, from standard input: an argument could be read by anybody."""
    words = ["psql", "--no-psqlrc", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1", *options, "postgres"]
    return call(["runuser", "-u", "postgres", "--", *words], text=text)


def call(words, text=None, **environment):
    """Run a program; give what it says.

    Raises: Failed with its last words.
    """
    done = subprocess.run(
        words, input=text, capture_output=True, text=True, cwd="/", check=False, env={**ENVIRONMENT, **environment}
    )
    if done.returncode:
        raise Failed(f"{words[0]} ended with {done.returncode}:\n{(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
