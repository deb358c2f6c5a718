"""Which mistakes in the SQL that moves money the tests notice.

    cargo test --no-run --test suites
    python3 tests/mutants/run.py [--only hold,finish] [--sample 10] [--ids FILE] [--jobs 2] [--json FILE]

Makes mutants of each function (`mutate.py`), puts each into the databases of the suites that should notice
(`TOLLGATE_TEST_SQL`), and lists those that no test noticed. The test programs are run as they were built.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from cases import Cases
from mutate import Mutant, mutants_of, shown
from server import Server

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The functions, and for each group the runs of the suites that should notice, the quickest first: a suite, and its parts.
ALIKE = ("stores", "postgres::")
# The cases are run without the program: a mutant that they notice costs parts of a second.
CASES = ("cases",)
MONEY = [
    CASES, ALIKE, ("stores", "budgets::", "edges::in_postgres", "fuzz::the_books_balance_whatever"),
    ("stores", "operator::", "limits::", "statements::", "rebill::", "sweep::"),
]
BOOKS = [CASES, ("stores", "reconcile::"), ("stores", "rebill::", "statements::")]
MOVER = [
    CASES, ("places", "moves::"), ("places", "stale::", "caps::", "away::", "residence::", "crowd::"),
    ("places", "switches::", "death::", "calls::"),
]
GROUPS = [
    (MONEY, "hold budgets_of window_of end_in_windows expire_holds give_back expire renew finish standing grant_credits"),
    (BOOKS, "reconcile check_prices settled_calls arrived_at ledger_seq_before"),
    (MOVER, "stay still_here is_away key_columns key_list key_values key_range movable move_keys move_marks move_out move_in"
            " move_clear move_self_out move_self_in rows_here"),
]
SUITES = {name: suites for suites, names in GROUPS for name in names.split()}
RUN_SECONDS_MAX = 240


def program() -> str:
    """The newest build of the suites."""
    built = [path for path in (target() / "debug/deps").glob("suites-*") if not path.suffix and os.access(path, os.X_OK)]
    if not built:
        raise SystemExit("not built: cargo test --no-run --test suites")
    return str(max(built, key=lambda path: path.stat().st_mtime))


def target() -> pathlib.Path:
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def explanations() -> list[tuple[re.Pattern, str]]:
    lines = (line.split(" | ", 3) for line in (pathlib.Path(__file__).parent / "explained.txt").read_text().splitlines())
    return [(re.compile(f"({name}):({rule}) .*({line})"), why) for name, rule, line, why in (fields for fields in lines if len(fields) == 4)]


def explained(text: str, mutant: Mutant, known: list[tuple[re.Pattern, str]]) -> bool:
    name, *_, rule = mutant.id.split(":")
    before, after = (" ".join(line[2:] for line in shown(text, mutant) if line[0] == sign) for sign in "-+")
    return any(pattern.match(f"{name}:{rule} {before} => {after}") for pattern, _ in known)


class Trial:
    """Runs suites against a server whose databases get a file of SQL."""

    def __init__(self, server: Server):
        self.server, self.program, self.cases = server, program(), Cases(server)

    def run(self, suite: tuple[str, ...], sql: str | None, threads: int) -> str | None:
        """What failed first, if anything."""
        environment = os.environ | {"TOLLGATE_TEST_SERVER": str(self.server.folder)}
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            if sql is not None:
                file.write(sql)
                file.flush()
                environment["TOLLGATE_TEST_SQL"] = file.name
            command = [self.program, *(f"{suite[0]}::{part}" for part in suite[1:]), "--test-threads", str(threads)]
            process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, start_new_session=True)
            late = threading.Timer(RUN_SECONDS_MAX, lambda: self.kill(process))
            late.start()
            failed, tests = None, 0
            try:
                for line in process.stdout:
                    tests += bool(re.match(r"test .* \.\.\. ok", line))
                    if match := re.match(r"test (\S+) .*\.\.\. FAILED", line):
                        failed = match.group(1)
                        break
            finally:
                in_time = late.is_alive()
                late.cancel()
                self.kill(process)
                status = process.wait()
        if failed:
            return failed
        if not in_time:
            return None
        return f"{suite[0]} ended with {status} after {tests} tests" if status not in (0, -signal.SIGKILL) else None

    def kill(self, process: subprocess.Popen) -> None:
        if process.poll() is None and process.stdout and process.stdout.closed is False:
            # It may have said its last line and be about to end.
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)

    def noticed(self, name: str, original: str, sql: str, threads: int, first: int) -> str | None:
        for suite in SUITES[name][:first]:
            by = self.cases.first_wrong(name, original, sql) if suite == CASES else self.run(suite, sql, threads)
            if by:
                return by
        return None


def definition(server: Server, name: str) -> str:
    sql = f"select pg_get_functiondef(p.oid) from pg_proc p where p.proname = '{name}' and p.pronamespace = 'tollgate'::regnamespace"
    text = server.sql(sql, "tollgate_template").strip()
    if text.count("CREATE OR REPLACE") != 1:
        raise SystemExit(f"{name}: not one function")
    return text


def sampled(mutant: Mutant, percent: float, seed: str) -> bool:
    digest = hashlib.sha256((seed + mutant.id).encode()).digest()
    return int.from_bytes(digest[:8], "big") % 10_000 < percent * 100


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--only", help="functions, with commas")
    ask.add_argument("--sample", type=float, default=100, help="so many percent of the mutants, chosen by their ids")
    ask.add_argument("--seed", default="", help="another sample")
    ask.add_argument("--ids", help="a file with the ids to try, one a line")
    ask.add_argument("--first", type=int, default=9, help="only so many of the suites of each function")
    ask.add_argument("--list", action="store_true", help="only list the mutants")
    ask.add_argument("--jobs", type=int, default=2)
    ask.add_argument("--threads", type=int, default=4, help="of the test program")
    ask.add_argument("--json", help="write what each mutant came to here")
    asked = ask.parse_args()
    names = asked.only.split(",") if asked.only else list(SUITES)
    ids = set(pathlib.Path(asked.ids).read_text().split()) if asked.ids else None

    server = Server()
    try:
        trial = Trial(server)
        # Makes the template; and what fails without a mistake shows nothing.
        for suite in sorted({ALIKE} | {suite for name in names for suite in SUITES[name][: asked.first]}):
            if suite != CASES and (by := trial.run(suite, None, asked.threads)):
                raise SystemExit(f"fails without any mutant: {by}")
        texts = {name: definition(server, name) for name in names}
        every = {name: mutants_of(name, text) for name, text in texts.items()}
        chosen = [m for of_one in every.values() for m in of_one
                  if (ids is None or m.id in ids) and sampled(m, asked.sample, asked.seed)]
        if asked.list:
            for mutant in chosen:
                print(mutant.id, *(f"    {line}" for line in shown(texts[mutant.id.split(":")[0]], mutant)), sep="\n")
            return 0
        if by := trial.cases.first_wrong(names[0], texts[names[0]], texts[names[0]]):
            raise SystemExit(f"fails without any mutant: {by}")
        results, known = {}, explanations()
        begun = time.monotonic()

        def attempt(mutant: Mutant) -> tuple[Mutant, str | None]:
            name = mutant.id.split(":")[0]
            if explained(texts[name], mutant, known):
                return mutant, "explained"
            sql = mutant.applied_to(texts[name])
            return mutant, trial.noticed(name, texts[name], sql, asked.threads, asked.first)

        with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
            for mutant, by in pool.map(attempt, chosen):
                results[mutant.id] = by
                if len(results) % 20 == 0:
                    drop_quietly(server)
                if by is None:
                    print(f"SURVIVED {mutant.id}", *shown(texts[mutant.id.split(":")[0]], mutant), sep="\n    ", flush=True)
                print(f"  {len(results)}/{len(chosen)} {time.monotonic() - begun:.0f} s: {mutant.id} {by}", file=sys.stderr, flush=True)
                if asked.json:
                    pathlib.Path(asked.json).write_text(json.dumps(results, indent=1))
        return table(results, every)
    finally:
        server.stop()


def drop_quietly(server: Server) -> None:
    """Those of runs that have ended."""
    made = server.sql("select datname from pg_database d where datname like 'test%' and not exists (select from pg_stat_activity a where a.datname = d.datname)").split()
    for name in made:
        process = name.split("_")[1]
        if not pathlib.Path(f"/proc/{process}").exists():
            server.sql(f'drop database if exists "{name}" with (force)')


def table(results: dict[str, str | None], every: dict[str, list[Mutant]]) -> int:
    counts = collections.defaultdict(collections.Counter)
    for mutant, by in results.items():
        outcome = "survived" if by is None else by if by in ("not viable", "explained") else "caught"
        counts[mutant.split(":")[0]][outcome] += 1
    print(f"\n{'function':20} {'mutants':>8} {'viable':>7} {'caught':>7} {'explained':>10} {'survived':>9}")
    total = collections.Counter()
    for name, count in [*sorted(counts.items()), ("all", sum(counts.values(), collections.Counter()))]:
        total = count
        tried = sum(count.values()) - count["not viable"]
        all_of_it = sum(map(len, every.values())) if name == "all" else len(every[name])
        caught = f"   {100 * count['caught'] / max(tried, 1):.1f} % caught" if tried else ""
        print(f"{name:20} {all_of_it:8} {tried:7} {count['caught']:7} {count['explained']:10} {count['survived']:9}{caught}")
    return 0 if total["survived"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
