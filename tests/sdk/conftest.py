"""One running `tollgate dev --json` for all SDK tests, and the books checked after them."""

import json
import os
import signal
import subprocess
import time
import urllib.request

import psycopg
import pytest

TOLLGATE = os.environ.get("TOLLGATE_BIN", os.path.join(os.path.dirname(__file__), "../../target/debug/tollgate"))


class Gateway:
    def __init__(self, process, ready):
        self.process = process
        self.url = ready["url"]
        self.database_url = ready["database_url"]
        self.token_url = ready["token_url"]
        self.mock_url = ready["mock_url"]
        self.organizations = ready["organizations"]

    def token(self, organization=0, role="member"):
        return self.organizations[organization]["tokens"][role]

    def mint(self, **claims):
        request = urllib.request.Request(
            self.token_url,
            data=json.dumps(claims).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["token"]

    def rows(self, sql, *parameters):
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(sql, parameters).fetchall()

    def booked(self, request_id):
        """What is in the books of a call: input, output, ending, whether it is an estimate, its organization, and
        whether it was charged anything; by its usage row, which is there once the answer is."""
        return self.rows(
            """
            select u.input_tokens, u.output_tokens, u.ending, u.estimated, u.organization_id::text, h.charged > 0
              from tollgate.usage u join tollgate.credit_holds h using (organization_id, request_id)
              where u.request_id = %s
            """,
            request_id,
        )

    def whole(self, input_tokens, output_tokens):
        """The books of one whole call of the first organization, which used this much."""
        return [(input_tokens, output_tokens, "complete", False, self.organizations[0]["id"], True)]

    def command(self, *arguments):
        done = subprocess.run(
            [TOLLGATE, *arguments, "--database-url", self.database_url, "--json"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    def wait_for_row(self, table, request_id):
        """The one row of a call. Its end may be written after the client has left, so ask until it is there."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            rows = self.rows(f"select * from tollgate.{table} where request_id = %s", request_id)
            if rows:
                return rows
            time.sleep(0.05)
        raise AssertionError(f"no row of {request_id} in {table}")


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    data = tmp_path_factory.mktemp("tollgate")
    process = subprocess.Popen(
        [TOLLGATE, "dev", "--json", "--listen", "127.0.0.1:0", "--data-dir", str(data)],
        stdout=subprocess.PIPE,
        stderr=open(data / "log", "w"),
        text=True,
    )
    line = process.stdout.readline()
    assert line, (data / "log").read_text()
    running = Gateway(process, json.loads(line))
    try:
        yield running
        check_the_books(running)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert "secret-prompt" not in (data / "log").read_text(), "a prompt must never be in a log"


def check_the_books(gateway):
    status, out, err = gateway.command("reconcile")
    assert status == 0, out + err
    assert gateway.rows("select count(*) from tollgate.credit_holds where status = 'open'") == [(0,)]
    doubled = """
        select request_id from tollgate.usage group by request_id having count(*) <> 1
        union all select request_id from tollgate.audit_events group by request_id having count(*) <> 1
        union all (select request_id from tollgate.usage except select request_id from tollgate.audit_events)
        union all (select request_id from tollgate.audit_events except select request_id from tollgate.usage)
    """
    assert gateway.rows(doubled) == [], "every call has exactly one usage row and one audit event"
    assert gateway.rows("select count(*) > 0 from tollgate.usage") == [(True,)]
