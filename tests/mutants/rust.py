"""Which mistakes in the rooms where money is decided the unit tests notice.

    cargo install cargo-mutants --locked
    python3 tests/mutants/rust.py [--only src/domain/price] [--ids FILE] [--jobs 2] [--json FILE] [--features axum,…]
                                  [--suites money,survive]

The mutants are those of `cargo mutants` (.cargo/mutants.toml). It would build the library once for each; here `weave`
puts all of them into one build, each behind a switch (`TOLLGATE_MUTANT`), so that a mutant costs a run of the tests and
no build. What does not compile so is left out and listed: most of it compiles in no way.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SWITCH = """
/// Which mutant is on.
#[doc(hidden)]
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod mutant {
    static ON: std::sync::LazyLock<Option<u32>> =
        std::sync::LazyLock::new(|| std::env::var("TOLLGATE_MUTANT").ok().and_then(|id| id.parse().ok()));

    pub fn on(id: u32) -> bool {
        *ON == Some(id)
    }
}
"""


def copied(work):
    """A copy of what git knows, at `work`; files that did not change keep their time, for the next build."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    for name in filter(None, names):
        source, target = ROOT / name, work / name
        if not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copyfile(source, target)


def build(work, features, suites):
    """The unit tests and, if any is asked for, the suites: the programs, or the compiler's errors as (file, start, end, text)."""
    command = ["cargo", "test", "--no-run", "--locked", "--message-format=json", *features]
    command += ["--lib"] + (["--test", "suites"] if suites else [])
    ran = subprocess.run(command, cwd=work, capture_output=True, text=True, env={**os.environ, "RUSTFLAGS": "--cap-lints=allow", "CARGO_PROFILE_DEV_OPT_LEVEL": "1"})
    built, errors = {}, []
    for line in ran.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            kind = message["target"]["kind"][0]
            built["lib" if kind == "lib" else message["target"]["name"]] = message["executable"]
        told = message.get("message")
        if message["reason"] == "compiler-message" and told["level"].startswith("error"):
            spans = [(s["file_name"], s["byte_start"], s["byte_end"]) for s in sorted(told["spans"], key=lambda s: not s["is_primary"])]
            errors.append((spans, told["message"]))
    return (built, []) if ran.returncode == 0 else (None, errors or [([], ran.stderr[-2000:])])


def blamed(errors, woven):
    """The mutants to which the errors belong: the narrowest part that a span lies in."""
    ids, rest = set(), []
    for spans, text in errors:
        for file, start, end in spans:
            around = [(b - a, one["id"]) for one in woven if one["file"] == file for a, b in one["parts"] if a <= start and end <= b]
            if around:
                narrow = min(around)[0]
                ids.update(id for width, id in around if width == narrow)
                break
        else:
            rest.append((spans, text))
    return ids, rest


def elsewhere(spans, text, mutants, woven):
    """The mutants to which an error belongs that the compiler sees in the code around them."""
    # A function that is no longer `const` is used where only such are allowed.
    named = re.search(r"cannot call non-const (?:function|method|associated function) `(?:.*::)?(\w+)`", text)
    if named:
        return {id for id, m in enumerate(mutants) if m["function"] and m["function"]["function_name"].split("::")[-1] == named[1]}
    for file, start, _ in spans:
        at = {one["id"]: one["parts"][0][0] for one in woven if one["file"] == file}
        if "non-exhaustive patterns" in text:
            # An arm that is gone was needed after all.
            after = sorted((begun, id) for id, begun in at.items() if begun >= start and mutants[id]["genre"] == "MatchArm")
            same = mutants[after[0][1]]["function"] if after else None
            return {id for _, id in after if mutants[id]["function"] == same}
        # An early return is of another type than the `impl Trait` of the rest.
        before = [(begun, id) for id, begun in at.items() if begun <= start and mutants[id]["genre"] == "FnValue"]
        if before:
            same = mutants[max(before)[1]]["function"]
            return {id for _, id in before if mutants[id]["function"] == same}
    return set()


def prepared(work, mutants, features, suites):
    listing = work.parent / "mutants.json"
    listing.write_text(json.dumps(mutants))
    subprocess.run(["cargo", "build", "--quiet"], cwd=HERE / "weave", check=True, env={**os.environ, "CARGO_TARGET_DIR": str(work.parent / "weave")})
    remembered = work.parent / "left-out.json"
    names = {mutant["name"]: id for id, mutant in enumerate(mutants)}
    out = {names[name] for name in json.loads(remembered.read_text()) if name in names} if remembered.exists() else set()
    while True:
        copied(work)
        weave = [str(work.parent / "weave/debug/weave"), str(listing), str(work), *map(str, sorted(out))]
        told = json.loads(subprocess.run(weave, check=True, capture_output=True, text=True).stdout)
        with (work / "src/lib.rs").open("a") as lib:
            lib.write(SWITCH)
        built, errors = build(work, features, suites)
        if built is not None:
            return built, told["left"]
        ids, rest = blamed(errors, told["woven"])
        for spans, text in rest:
            ids.update(elsewhere(spans, text, mutants, told["woven"]))
        print(f"{len(errors)} errors, {len(ids)} mutants left out", file=sys.stderr)
        if not ids - out:
            sys.exit("errors that belong to no mutant:\n" + "\n".join(f"{text} {spans[:1]}" for spans, text in rest[:20]))
        out |= ids
        remembered.write_text(json.dumps(sorted(mutants[id]["name"] for id in out)))


def noticed(program, id, filters, seconds):
    """The first test that fails, "hangs", "dies", or None."""
    # What cargo would set.
    environment = {"RUST_TEST_THREADS": "4", **os.environ, "CARGO_PKG_NAME": "tollgate", "TOLLGATE_MUTANT": str(id)}
    ran = subprocess.Popen([program, *filters], cwd=pathlib.Path(program).parents[3], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)

    hung = threading.Event()

    def stop():
        hung.set()
        os.killpg(ran.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, stop)
    timer.start()
    failed = None
    for line in ran.stdout:
        found = re.match(r"test (\S+)(?: - .*)? \.\.\. FAILED", line)
        if found:
            failed = found[1]
            break
    if failed:
        os.killpg(ran.pid, signal.SIGKILL)
    code = ran.wait()
    timer.cancel()
    return failed or ("hangs" if hung.is_set() else "dies" if code != 0 else None)


# Takes long, and looks at one room.
LONG, OF = "limits::tests::keys::a_million_keys_take_60_megabytes_and_a_minute_later_they_are_gone", ("limits", "domain")


def tried(id, mutant, programs, suites, seconds):
    room = pathlib.Path(mutant["file"]).with_suffix("").parts[1:3]
    # Its own tests first: they fail soonest. A layer has its tests in one place, the domain in each of its subjects.
    own = "::".join(room if room[0] == "domain" else room[:1]) + "::"
    short = ["--skip", LONG]
    filters_of_lib = [[own, *short], short] + ([[LONG]] if room[0] in OF else [])
    for name, program in programs.items():
        for filters in filters_of_lib if name == "lib" else [[f"{suite}::"] for suite in suites]:
            by = noticed(program, id, filters, seconds)
            if by:
                return name, by
    return None


def explained():
    """(mutant, why): a regular expression for its name without line and column, of those that nothing can notice."""
    lines = (HERE / "explained-rust.txt").read_text().splitlines()
    for line in lines:
        if line and not line.startswith("#"):
            pattern, why = line.split(" | ")
            yield re.compile(pattern), why


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", help="files that begin so, with commas between")
    arguments.add_argument("--ids", help="a file with names of mutants, one a line")
    arguments.add_argument("--jobs", type=int, default=2)
    arguments.add_argument("--json", help="where to write what became of each")
    arguments.add_argument("--features", default="", help="of the library, with commas between")
    arguments.add_argument("--suites", default="", help="suites of tests/ to run after the unit tests, with commas between")
    arguments.add_argument("--seconds", type=float, default=120, help="after which the tests hang")
    arguments.add_argument("--work", default="/tmp/tollgate-mutants-rust")
    given = arguments.parse_args()

    listed = subprocess.run(["cargo", "mutants", "--list", "--json"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    mutants = json.loads(listed)
    work = pathlib.Path(given.work) / "crate"
    work.mkdir(parents=True, exist_ok=True)
    features = ["--no-default-features", *(["--features", given.features] if given.features else [])]
    suites = [name for name in given.suites.split(",") if name]
    programs, left = prepared(work, mutants, features, suites)
    wanted = [id for id in range(len(mutants)) if id not in set(left)]
    if given.only:
        wanted = [id for id in wanted if mutants[id]["file"].startswith(tuple(given.only.split(",")))]
    if given.ids:
        named = set(pathlib.Path(given.ids).read_text().splitlines())
        wanted = [id for id in wanted if mutants[id]["name"] in named]
    for name, program in programs.items():
        began = time.monotonic()
        by = noticed(program, "none", [] if name == "lib" else [f"{suite}::" for suite in suites], 900)
        print(f"{name}: {time.monotonic() - began:.1f} s without a mutant", file=sys.stderr)
        if by:
            sys.exit(f"{name} fails without a mutant: {by}")

    became = {}
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        running = {pool.submit(tried, id, mutants[id], programs, suites, given.seconds): id for id in wanted}
        for count, one in enumerate(concurrent.futures.as_completed(running), 1):
            id = running[one]
            became[mutants[id]["name"]] = one.result()
            if one.result() is None:
                print(f"survived: {mutants[id]['name']}", flush=True)
            if given.json and (count % 20 == 0 or count == len(wanted)):
                pathlib.Path(given.json).write_text(json.dumps(became, indent=1))
    reasons = list(explained())
    rooms = collections.defaultdict(collections.Counter)
    for name, by in became.items():
        bare = re.sub(r":\d+:\d+:", ":", name)
        fate = "caught" if by else "explained" if any(pattern.search(bare) for pattern, _ in reasons) else "survived"
        for room in ("/".join(name.split("/")[1:2]), "all"):
            rooms[room][fate] += 1
    for room, fates in rooms.items():
        told = ", ".join(f"{fates[fate]} {fate}" for fate in ("caught", "explained", "survived"))
        share = 100 * fates["caught"] / max(1, fates["caught"] + fates["survived"])
        print(f"{room}: {told}; {share:.1f} % of those not explained were caught")
    print(f"{len(left)} could not be woven in")


main()
