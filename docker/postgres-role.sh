# Read by the image's own set-up when the database's folder is empty: an ordinary role that owns its database (docs/adr/0021).
psql -v ON_ERROR_STOP=1 --no-password --username "$POSTGRES_USER" -v password="$DATABASE_PASSWORD" <<'SQL'
CREATE ROLE keyline LOGIN PASSWORD :'password';
CREATE DATABASE keyline OWNER keyline ENCODING 'UTF8' TEMPLATE template0;
SQL
