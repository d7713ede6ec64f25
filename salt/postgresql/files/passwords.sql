-- The password of a role, out of a file: so it is no argument of a program, and the server is told not to log it.
--
--   PASSWORD_FILE=/run/secrets/database_password psql --no-psqlrc --quiet --file salt/postgresql/files/passwords.sql \
--       --set role=gazetteer postgres
\set ON_ERROR_STOP on
\set password `cat "$PASSWORD_FILE"`
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET password_encryption = 'scram-sha-256';
SELECT format('ALTER ROLE %I PASSWORD %L', :'role', :'password')
\gexec
