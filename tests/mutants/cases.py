"""The cases of `tests/stores/cases`, without the test program around them: a mutant costs parts of a second.

What `tests/stores/cases.rs` says of the files holds here too.
"""

import collections
import pathlib
import re
import threading

from server import Server

# No transaction and no setting of a case before, or of a mutant, is left.
ANEW = "set client_min_messages = error;\nrollback;\nreset all;\nset client_min_messages = error;\nset statement_timeout = '60s';\n"
FOLDER = pathlib.Path(__file__).resolve().parents[1] / "stores/cases"


class Case:
    def __init__(self, title: str):
        self.title, self.steps = title, []

    def script(self) -> str:
        return "".join(f"{statement};\n\\echo ====\n" for statement, _ in self.steps)


def rows(answer: str) -> list[str]:
    found = (re.sub(r"^ERROR:\s+(\w{5})\b.*", r"ERROR \1", line.rstrip()) for line in answer.splitlines())
    return [row for row in found if row]


def read() -> list[Case]:
    cases = []
    for file in sorted(FOLDER.glob("*.sql")):
        for line in file.read_text().splitlines() if file.name != "words.sql" else ():
            if line.startswith("## "):
                cases.append(Case(f"{file.stem}: {line[3:]}"))
            elif line.startswith("-->"):
                cases[-1].steps[-1][1].append(line[3:].strip())
            elif line.strip():
                cases[-1].steps.append((line.rstrip().rstrip(";"), []))
    return cases


class Session:
    """One psql that stays, in a database of its own, in which mutants come and go."""

    def __init__(self, server: Server, database: str):
        server.sql(f'create database "{database}" template tollgate_template')
        server.sql((FOLDER / "words.sql").read_text(), database)
        options = ["-F", " ", "-P", "null=-", "-v", "VERBOSITY=sqlstate"]
        self.psql = server.start(server.psql(database) + options)

    def ask(self, script: str, answers: int) -> list[str]:
        self.psql.stdin.write(script)
        self.psql.stdin.flush()
        found, lines = [], []
        while len(found) < answers:
            line = self.psql.stdout.readline()
            if not line:
                raise RuntimeError(f"psql has ended: {''.join(lines)}")
            if line == "====\n":
                found.append("".join(lines))
                lines = []
            else:
                lines.append(line)
        return found

    def define(self, function: str) -> bool:
        return "ERROR" not in self.ask(f"{ANEW}{function};\n\\echo ====\n", 1)[0]

    def holds(self, case: Case) -> bool:
        answers = self.ask(ANEW + case.script(), len(case.steps))
        return all(rows(answer) == expected for answer, (_, expected) in zip(answers, case.steps))


class Cases:
    def __init__(self, server: Server):
        self.server, self.all, self.local = server, read(), threading.local()
        # What noticed mutants of a function before is tried first.
        self.noticed = collections.defaultdict(collections.Counter)

    def session(self) -> Session:
        if not hasattr(self.local, "session"):
            self.local.session = Session(self.server, f"cases_{threading.get_native_id()}")
        return self.local.session

    def first_wrong(self, function: str, original: str, mutant: str) -> str | None:
        session, counts = self.session(), self.noticed[function]
        if not session.define(mutant):
            return "not viable"
        try:
            for case in sorted(self.all, key=lambda case: -counts[case.title]):
                if not session.holds(case):
                    counts[case.title] += 1
                    return case.title
            return None
        finally:
            session.define(original)
