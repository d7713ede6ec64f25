-- The roles of one database, and what each may do. Run it as a superuser, as often as you like: it prints what it
-- changes, so without output nothing was left to do.
--
--   psql --no-psqlrc --file salt/postgresql/files/roles.sql --set name=gazetteer [--set database=OTHER] postgres
--
--   <name>_owner   owns database and schema; migrations run as this role, and nothing else does
--   <name>         the application: reads and writes rows
--   <name>_reader  reads: reports, backups, people
--
-- Roles are made without a password, so over a network they can't log in until they are given one: passwords.sql, or
-- Salt. What the owner makes later is covered by its default privileges, so no migration has to grant anything.
\set ON_ERROR_STOP on
\if :{?database}
\else
    \set database :name
\endif
\set owner :name _owner
\set reader :name _reader

SELECT format('CREATE ROLE %I LOGIN', role)
FROM unnest(ARRAY[:'owner', :'name', :'reader']) AS role
WHERE role NOT IN (SELECT rolname FROM pg_roles)
\gexec

SELECT format('ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', rolname)
FROM pg_roles
WHERE rolname IN (:'owner', :'name', :'reader')
    AND (NOT rolcanlogin OR rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)
\gexec

-- The app must not become the owner by SET ROLE.
SELECT format('REVOKE %I FROM %I', parent.rolname, member.rolname)
FROM pg_auth_members AS membership
    JOIN pg_roles AS parent ON parent.oid = membership.roleid
    JOIN pg_roles AS member ON member.oid = membership.member
WHERE member.rolname IN (:'name', :'reader')
\gexec

SELECT format('CREATE DATABASE %I OWNER %I ENCODING ''UTF8'' TEMPLATE template0', :'database', :'owner')
WHERE :'database' NOT IN (SELECT datname FROM pg_database)
\gexec

SELECT format('ALTER DATABASE %I OWNER TO %I', datname, :'owner')
FROM pg_database
WHERE datname = :'database' AND pg_get_userbyid(datdba) <> :'owner'
\gexec

SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', :'database')
WHERE has_database_privilege('public', :'database', 'CONNECT')
    OR has_database_privilege('public', :'database', 'TEMPORARY')
\gexec

SELECT format('GRANT CONNECT ON DATABASE %I TO %I', :'database', role)
FROM unnest(ARRAY[:'name', :'reader']) AS role
WHERE NOT has_database_privilege(role, :'database', 'CONNECT')
\gexec

\set QUIET on
\connect :database
\set QUIET off

SELECT format('ALTER SCHEMA public OWNER TO %I', :'owner')
FROM pg_namespace
WHERE nspname = 'public' AND pg_get_userbyid(nspowner) <> :'owner'
\gexec

-- Schema, what the owner will make, and what is there already: the difference between the privileges that are wanted
-- and those that exist, each as one statement. Which migrations ran is the migrator's to write: everybody reads it.
WITH
wanted (kind, role, privilege) AS (
    VALUES
        ('n', :'name', 'USAGE'), ('n', :'reader', 'USAGE'),
        ('r', :'name', 'SELECT'), ('r', :'name', 'INSERT'), ('r', :'name', 'UPDATE'), ('r', :'name', 'DELETE'),
        ('r', :'reader', 'SELECT'),
        ('S', :'name', 'SELECT'), ('S', :'name', 'USAGE'),
        ('S', :'reader', 'SELECT')
),
things (kind, alter_defaults, target, grants) AS (
    SELECT 'n', '', 'SCHEMA public', nspacl FROM pg_namespace WHERE nspname = 'public'
    UNION ALL
    SELECT
        kind,
        format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public ', :'owner'),
        CASE kind WHEN 'r' THEN 'TABLES' ELSE 'SEQUENCES' END,
        (
            SELECT defaclacl FROM pg_default_acl
            WHERE pg_get_userbyid(defaclrole) = :'owner' AND defaclobjtype::text = kind
                AND defaclnamespace = 'public'::regnamespace
        )
    FROM unnest(ARRAY['r', 'S']) AS kind
    UNION ALL
    SELECT
        CASE relkind WHEN 'S' THEN 'S' ELSE 'r' END,
        '',
        format('%s %s', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, oid::regclass),
        relacl
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
),
existing (kind, alter_defaults, target, role, privilege) AS (
    SELECT kind, alter_defaults, target, coalesce(rolname, 'public'), privilege_type
    FROM things
        CROSS JOIN aclexplode(grants)
        LEFT JOIN pg_roles ON pg_roles.oid = grantee
    WHERE rolname IS DISTINCT FROM :'owner' AND (rolname IS NULL OR NOT rolsuper)
),
desired (kind, alter_defaults, target, role, privilege) AS (
    SELECT things.kind, alter_defaults, target, role, privilege
    FROM things JOIN wanted USING (kind)
    WHERE target <> 'TABLE alembic_version' OR privilege = 'SELECT'
)
SELECT format('%sGRANT %s ON %s TO %I', alter_defaults, privilege, target, role)
FROM (TABLE desired EXCEPT TABLE existing) AS missing
UNION ALL
SELECT format('%sREVOKE %s ON %s FROM %s', alter_defaults, privilege, target,
    CASE role WHEN 'public' THEN 'PUBLIC' ELSE quote_ident(role) END)
FROM (TABLE existing EXCEPT TABLE desired) AS superfluous
\gexec
