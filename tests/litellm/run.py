#!/usr/bin/env python3
"""Two owners of schemas in one database: LiteLLM's migrations and ours.

Usage: run.py TOLLGATE_BINARY MIGRATIONS_FOLDER

MIGRATIONS_FOLDER is `litellm_proxy_extras/migrations` of the package `litellm-proxy-extras`. The databases lie in the
private cluster of a `tollgate dev` that is started for it.

Ours run before, after and between theirs; then all that the catalog says of theirs must be what it is without
us, and the other way round. LiteLLM's own membership table must give people their roles.
"""

import json
import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

TABLE = 'public."LiteLLM_OrganizationMembership"'
ORGANIZATION = str(uuid.uuid4())

# Everything that the catalog knows of a schema's objects, without the numbers that differ in each database.
SNAPSHOT = """
with space as (select oid from pg_namespace where nspname = '{schema}')
select * from (
  select 'schema' as kind, nspname::text as name, format('%s %s', nspowner::regrole, nspacl) as what
    from pg_namespace where oid in (select oid from space)
  union all
  select 'relation', c.oid::regclass::text,
         format('%s %s %s %s %s %s %s %s', relkind, relowner::regrole, relacl, relrowsecurity, relforcerowsecurity, reloptions,
                relpersistence, relreplident)
    from pg_class c where relnamespace in (select oid from space)
  union all
  select 'column', format('%s.%s', attrelid::regclass, attname),
         format('%s %s %s %s %s', format_type(atttypid, atttypmod), attnotnull, attacl, attidentity,
                (select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = attrelid and adnum = attnum))
    from pg_attribute a join pg_class c on c.oid = attrelid
    where relnamespace in (select oid from space) and attnum > 0 and not attisdropped
  union all
  select 'constraint', format('%s.%s', conrelid::regclass, conname), pg_get_constraintdef(oid)
    from pg_constraint where connamespace in (select oid from space)
  union all
  select 'index', indexrelid::regclass::text, format('%s %s', pg_get_indexdef(indexrelid), indisvalid)
    from pg_index join pg_class c on c.oid = indexrelid where relnamespace in (select oid from space)
  union all
  select 'trigger', format('%s.%s', tgrelid::regclass, regexp_replace(tgname, '[0-9]+', 'n')), regexp_replace(pg_get_triggerdef(t.oid), '_[0-9]+', '_n')
    from pg_trigger t join pg_class c on c.oid = tgrelid where relnamespace in (select oid from space)
  union all
  select 'policy', format('%s.%s', tablename, policyname), format('%s %s %s %s', roles, cmd, qual, with_check)
    from pg_policies where schemaname = '{schema}'
  union all
  select 'function', p.oid::regprocedure::text, format('%s %s %s', proowner::regrole, proacl, md5(pg_get_functiondef(p.oid)))
    from pg_proc p where pronamespace in (select oid from space) and prokind <> 'a'
  union all
  select 'type', t.typname::text, format('%s %s %s', typtype, typacl,
         (select string_agg(enumlabel, ',' order by enumsortorder) from pg_enum where enumtypid = t.oid))
    from pg_type t where typnamespace in (select oid from space)
) as everything order by 1, 2, 3
"""
# What of one schema is held by something of the other: keys, views, functions with bound bodies, triggers.
BOUND = """
select count(*) from pg_depend d
  join pg_class r on r.oid = d.refobjid and d.refclassid = 'pg_class'::regclass
  join pg_namespace theirs on theirs.oid = r.relnamespace
  left join pg_class c on c.oid = d.objid and d.classid = 'pg_class'::regclass
  left join pg_rewrite w on w.oid = d.objid and d.classid = 'pg_rewrite'::regclass
  left join pg_class v on v.oid = w.ev_class
  left join pg_constraint k on k.oid = d.objid and d.classid = 'pg_constraint'::regclass
  left join pg_proc p on p.oid = d.objid and d.classid = 'pg_proc'::regclass
  join pg_namespace mine on mine.oid = coalesce(c.relnamespace, v.relnamespace, k.connamespace, p.pronamespace)
  where (theirs.nspname, mine.nspname) in (('public', 'tollgate'), ('tollgate', 'public'))
"""


class Database:
    def __init__(self, server, name):
        self.server, self.name = urlsplit(server), name
        self.url = urlunsplit(self.server._replace(path="/" + name))

    def __enter__(self):
        self.psql_at(urlunsplit(self.server), f"create database {self.name} template template0")
        return self

    def __exit__(self, *_):
        self.psql_at(urlunsplit(self.server), f"drop database {self.name} with (force)")

    @staticmethod
    def psql_at(url, sql):
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", "-"]
        done = subprocess.run(command, input=sql, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"psql: {done.stderr.strip()}\n{sql[:400]}")
        return done.stdout.strip()

    def psql(self, sql):
        return self.psql_at(self.url, sql)

    def snapshot(self, schema):
        return self.psql(SNAPSHOT.format(schema=schema)).splitlines()

    def tollgate(self, *arguments, fails=False):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TOLLGATE_")}
        environment["DATABASE_URL"] = self.url
        done = subprocess.run([BINARY, *arguments, "--json"], capture_output=True, text=True, env=environment)
        if fails:
            check(done.returncode != 0, f"tollgate {arguments} fails")
            return done.stderr
        if done.returncode:
            sys.exit(f"tollgate {arguments}: {done.stderr}")
        return json.loads(done.stdout)

    def theirs(self, migrations):
        for migration in migrations:
            self.psql(migration.read_text())


def check(holds, what):
    if not holds:
        sys.exit(f"does not hold: {what}")


def same(one, other, what):
    lost, new = sorted(set(one) - set(other)), sorted(set(other) - set(one))
    check(not lost and not new, "\n  ".join([what, *("- " + line for line in lost[:9]), *("+ " + line for line in new[:9])]))


def role_of(database, user):
    """The role as the gateway's own login is told it."""
    claims = json.dumps({"organization_id": ORGANIZATION, "sub": user})
    sql = f"set session authorization tollgate_login; select role from tollgate.standing('{ORGANIZATION}', '{claims}')"
    return database.psql(sql) or None


def memberships(database):
    # Prisma would write the rows with these columns; the rest have their defaults.
    database.psql(
        f"""
        set session_replication_role = replica; -- their own keys to users and organizations are not the subject
        insert into {TABLE} (user_id, organization_id, user_role) values
          ('admin', '{ORGANIZATION}', 'org_admin'), ('member', '{ORGANIZATION}', 'internal_user'),
          ('viewer', '{ORGANIZATION}', 'internal_user_viewer'), ('proxy', '{ORGANIZATION}', 'proxy_admin'),
          ('nothing', '{ORGANIZATION}', null), ('admin', 'an-organization-of-their-own', 'org_admin')
        """
    )
    database.tollgate("org", "create", "--name", "Ours", "--id", ORGANIZATION)
    check(role_of(database, "admin") is None, "their table gives no role before the database is told")
    before = database.snapshot("public")
    database.tollgate("migrate", "--membership", "litellm")
    for user, role in [("admin", "admin"), ("member", "member"), ("viewer", "viewer"), ("proxy", None), ("nothing", None), ("nobody", None)]:
        check(role_of(database, user) == role, f"{user} is {role}: {role_of(database, user)}")
    granted = sorted(set(database.snapshot("public")) ^ set(before))
    columns = {line.split("|")[1] for line in granted}
    check(columns == {f'"LiteLLM_OrganizationMembership".{c}' for c in ("user_id", "organization_id", "user_role")}
          or columns == {f"{TABLE}.{c}" for c in ("user_id", "organization_id", "user_role")},
          f"of theirs, three columns may be read and nothing else changed: {granted}")
    check(database.psql(BOUND) == "0", "nothing of theirs is bound to ours")
    # They stay free to change it, and the migrations that come may.
    database.psql(f"begin; alter table {TABLE} drop column user_role; alter table {TABLE} rename to gone; drop table public.gone cascade; rollback")
    database.tollgate("migrate", "--membership", "tollgate")
    same(before, database.snapshot("public"), "the way back leaves no trace in theirs")


def main():
    with tempfile.TemporaryDirectory() as folder:
        command = [BINARY, "dev", "--json", "--listen", "127.0.0.1:0", "--data-dir", f"{folder}/data"]
        # Which server is tested against is the caller's choice; everything else is the default.
        environment = {k: v for k, v in os.environ.items()
                       if k == "TOLLGATE_POSTGRES_BIN" or not k.startswith("TOLLGATE_") and k != "DATABASE_URL"}
        with open(f"{folder}/log", "w") as log:
            dev = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment, cwd=folder)
        try:
            ready = dev.stdout.readline()
            check(ready, f"tollgate dev starts: {Path(folder, 'log').read_text()}")
            run(json.loads(ready)["database_url"])
        finally:
            dev.terminate()
            dev.wait(60)


def run(server):
    migrations = sorted(Path(sys.argv[2]).glob("*/migration.sql"))
    check(len(migrations) > 100, f"these are LiteLLM's migrations: {len(migrations)} found")
    half = len(migrations) // 2
    print("Postgres", Database.psql_at(server, "show server_version"))
    name = "litellm_{}".format
    with Database(server, name("theirs")) as theirs, Database(server, name("ours")) as ours:
        theirs.theirs(migrations)
        ours.tollgate("migrate")
        reference, our_reference = theirs.snapshot("public"), ours.snapshot("tollgate")
    check(len(reference) > 1000 and len(our_reference) > 200, "the snapshots hold something")
    for order in ["before", "after", "between"]:
        with Database(server, name(order)) as database:
            if order == "before":
                database.tollgate("migrate")
                refused = database.tollgate("migrate", "--membership", "litellm", fails=True)
                check("let LiteLLM make its tables first" in refused, f"the error says what to do: {refused}")
                database.theirs(migrations)
            elif order == "after":
                database.theirs(migrations)
            else:
                database.theirs(migrations[:half])
                database.tollgate("migrate")
                same(our_reference, database.snapshot("tollgate"), "ours, half way through theirs")
                database.theirs(migrations[half:])
            again = database.tollgate("migrate")["applied"]
            check((again == 0) == (order != "after"), f"{order}: {again} applied")
            check(database.tollgate("migrate")["applied"] == 0, "a further run finds nothing to do")
            same(reference, database.snapshot("public"), f"theirs, with ours {order}")
            same(our_reference, database.snapshot("tollgate"), f"ours {order} theirs")
            check(database.psql(BOUND) == "0", "nothing is bound across")
            memberships(database)
            print(f"ours {order} theirs: {len(migrations)} migrations, {len(reference)} of their objects as they were, roles read")


BINARY = str(Path(sys.argv[1]).resolve())
main()
