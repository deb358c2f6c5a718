"""The README's own lines of Python, as they stand there."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
LISTENS = "http://127.0.0.1:8080"


def test_the_vendors_clients_call_as_the_readme_says(gateway):
    [lines] = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert lines.count(LISTENS) == 2
    counted = "select endpoint, model, ending, count(*)::int from tollgate.usage group by 1, 2, 3"

    def calls():
        return {tuple(call): count for *call, count in gateway.rows(counted)}

    before = calls()
    exec(compile(lines.replace(LISTENS, gateway.url), str(README), "exec"), {"TOKEN": gateway.token()})
    more = {call: count - before.get(call, 0) for call, count in calls().items()}
    assert {call: count for call, count in more.items() if count} == {
        ("chat_completions", "gpt-4o-mini", "complete"): 1,
        ("messages", "claude-sonnet-5", "complete"): 1,
    }
