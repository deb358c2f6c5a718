"""A Postgres server of this run's own, in a temporary folder."""

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile


def programs() -> pathlib.Path:
    if named := os.environ.get("TOLLGATE_POSTGRES_BIN"):
        return pathlib.Path(named)
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    if not found and not on_path:
        raise SystemExit("no Postgres server programs: set TOLLGATE_POSTGRES_BIN to their folder")
    return found[-1].parent if found else pathlib.Path(on_path).resolve().parent


class Server:
    def __init__(self) -> None:
        self.bin = programs()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-mutants-"))
        # Postgres does not run as root.
        self.account = "postgres" if os.geteuid() == 0 else None
        if self.account:
            shutil.chown(self.folder, self.account)
        data = str(self.folder / "pgdata")
        self.run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D", data)
        settings = {
            "listen_addresses": "''", "unix_socket_directories": self.folder, "max_connections": 300, "fsync": "off",
            "full_page_writes": "off", "shared_buffers": "64MB", "timezone": "UTC", "log_timezone": "UTC", "autovacuum": "off",
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self.run("pg_ctl", "start", "-w", "-t", "120", "-D", data, "-l", str(self.folder / "server.log"), "-o", options)

    def as_account(self) -> dict:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
        user = {"user": self.account, "group": pwd.getpwnam(self.account).pw_gid} if self.account else {}
        return {"cwd": "/", "env": environment, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | user

    def start(self, command: list[str]) -> subprocess.Popen:
        return subprocess.Popen(command, stdin=subprocess.PIPE, **self.as_account())

    def run(self, program: str, *arguments: str, **more) -> str:
        done = subprocess.run([str(self.bin / program), *arguments], **self.as_account(), **more)
        if done.returncode:
            raise RuntimeError(f"{program} {' '.join(arguments)}\n{done.stdout}")
        return done.stdout

    def psql(self, database: str) -> list[str]:
        return [str(self.bin / "psql"), "-X", "-h", str(self.folder), "-U", "postgres", "-d", database, "-q", "-A", "-t"]

    def sql(self, sql: str, database: str = "postgres") -> str:
        return self.run(*["psql", *self.psql(database)[1:]], "-v", "ON_ERROR_STOP=1", input=sql)

    def stop(self) -> None:
        try:
            self.run("pg_ctl", "stop", "-m", "immediate", "-D", str(self.folder / "pgdata"))
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
